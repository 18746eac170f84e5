"""A chapter whose tests have changed after a grading."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from course.building.syllabus import Chapter
from course.grading import rebuild
from course.grading.grade import grade
from course.grading.outcome import report
from tests.course.grading import points, submit

DATABASE = "sqlite:///{}"


def rename_heldout(chapter: Chapter) -> None:
    """The held-out cell goes, another with a harder test comes."""
    notebook = nbformat.read(chapter.source, as_version=4)
    (cell,) = [c for c in notebook.cells if c.id == "ex01-1-heldout"]
    cell.id = cell.metadata.nbgrader.grade_id = "ex01-1-heldout-b"
    cell.source = "assert double(50) == 100, 'fifty'"
    nbformat.write(notebook, chapter.source)


@pytest.fixture
def graded(released: Chapter) -> Chapter:
    """Graded, with points and a comment by hand."""
    submit(released, "ada", released.source)
    submit(released, "bea", released.work)
    with_points = grade(root=released.folder, progress=False)
    assert points(with_points.csv) == {("ada", "01_tiny"): 3, ("bea", "01_tiny"): 0}
    with Gradebook(DATABASE.format(with_points.gradebook)) as gradebook:
        where = ("01_tiny", "01_tiny", "bea")
        gradebook.find_grade("ex01-1-visible", *where).manual_score = 1
        gradebook.find_grade("ex01-1-heldout", *where).manual_score = 0.5
        gradebook.find_comment("ex01-1", *where).manual_comment = "nearly"
        gradebook.db.commit()
    return released


def test_changed_tests_are_graded_and_what_was_entered_is_kept(graded: Chapter) -> None:
    rename_heldout(graded)
    again = grade(root=graded.folder, progress=False)
    assert not again.failures
    assert points(again.csv) == {("ada", "01_tiny"): 3, ("bea", "01_tiny"): 1}
    assert (
        "  LOOK AGAIN bea, 01_tiny: 0.5 points by hand went with the cell "
        "ex01-1-heldout, which the chapter no longer has"
    ) in report(again).splitlines()
    page = again.feedback / "bea" / "01_tiny" / "01_tiny.html"
    assert "nearly" in page.read_text()
    assert not (graded.folder / rebuild.BEFORE).exists()


def test_a_rebuilding_that_is_interrupted_loses_nothing(
    graded: Chapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename_heldout(graded)
    book = graded.folder / "gradebook.db"

    def killed(*_: object) -> None:
        """As by a power cut: nothing is put back any more."""
        monkeypatch.setattr(rebuild, "recover", lambda root: None)
        raise KeyboardInterrupt

    monkeypatch.setattr(rebuild, "_enter", killed)
    with pytest.raises(KeyboardInterrupt):
        grade(root=graded.folder, progress=False)
    monkeypatch.undo()
    assert (graded.folder / rebuild.BEFORE).exists()
    with Gradebook(DATABASE.format(book)) as gradebook:
        assert not gradebook.find_assignment("01_tiny").submissions, "not yet filled"
    assert points(grade(root=graded.folder, progress=False).csv) == {
        ("ada", "01_tiny"): 3,
        ("bea", "01_tiny"): 1,
    }


def test_a_chapter_that_cannot_be_released_costs_no_other(
    graded: Chapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = nbformat.read(graded.source, as_version=4)
    (cell,) = [c for c in notebook.cells if c.id == "ex01-1-heldout"]
    cell.metadata.nbgrader.grade_id = "ex01-1"  # twice
    nbformat.write(notebook, graded.source)
    submit(graded, "ada", graded.work)
    shutil.rmtree(graded.folder / "autograded")
    again = grade(root=graded.folder, progress=False)
    assert set(again.failures) == {("ada", "01_tiny"), ("bea", "01_tiny")}
    for why in again.failures.values():
        assert why.startswith("its chapter cannot be released: ")
        assert "\n" not in why
    assert again.csv.exists()


def test_there_is_nothing_to_recover_in_a_new_course(tmp_path: Path) -> None:
    rebuild.recover(tmp_path)
    assert not list(tmp_path.iterdir())
