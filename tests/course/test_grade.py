import csv
import shutil
from pathlib import Path

import nbformat
import pytest

from course.bake import bake
from course.grade import grade, report
from course.release import prepare_work
from course.syllabus import Chapter


def submit(chapter: Chapter, student: str, path: Path, code: str = "") -> None:
    """Hand in the notebook at ``path``, with ``code`` as the answer if there is any."""
    folder = chapter.folder / "submitted" / student / chapter.slug
    folder.mkdir(parents=True)
    target = folder / f"{chapter.slug}.ipynb"
    shutil.copy(path, target)
    if code:
        notebook = nbformat.read(target, as_version=4)
        (cell,) = [c for c in notebook.cells if c.id == "ex01-1"]
        cell.source = code
        nbformat.write(notebook, target)


def points(table: Path) -> dict[str, float]:
    with table.open() as file:
        return {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}


def test_a_class_is_graded_whatever_one_student_hands_in(tiny: Chapter) -> None:
    bake(tiny)
    prepare_work(tiny.folder)
    submit(tiny, "ada", tiny.source)
    submit(tiny, "blaise", tiny.work)
    submit(tiny, "carl", tiny.work, "def double(number):\n    return number + 1")
    submit(tiny, "emmy", tiny.work, "import os\nos._exit(1)")
    broken = tiny.folder / "broken.ipynb"
    broken.write_text("this is no notebook")
    submit(tiny, "dada", broken)

    graded = grade(root=tiny.folder, progress=False)

    scores = points(graded.csv)
    assert scores["ada"] == 3
    assert scores["blaise"] == 0
    assert scores["carl"] == 1  # doubling one by adding one: caught by held-out tests
    assert set(graded.failures) == {("dada", "01_tiny"), ("emmy", "01_tiny")}
    assert graded.gradebook.exists()
    assert (graded.feedback / "carl" / "01_tiny" / "01_tiny.html").exists()
    assert "3 of 5 submissions graded" in report(graded)
    assert "NOT GRADED emmy, 01_tiny" in report(graded)

    submit(tiny, "grace", tiny.source)
    again = grade(root=tiny.folder, progress=False)
    assert points(again.csv)["grace"] == 3
    assert points(again.csv)["carl"] == 1


def test_submissions_may_lie_in_any_folder(tiny: Chapter, tmp_path: Path) -> None:
    bake(tiny)
    submit(tiny, "ada", tiny.source)
    elsewhere = tmp_path / "from the mail"
    (tiny.folder / "submitted").rename(elsewhere)
    graded = grade(elsewhere, root=tiny.folder, progress=False)
    assert points(graded.csv) == {"ada": 3}


def test_a_folder_without_submissions_is_refused(tiny: Chapter, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="submitted is not a folder"):
        grade(root=tiny.folder)
    with pytest.raises(FileNotFoundError, match="no submission in .*<student>"):
        grade(tmp_path, root=tiny.folder)
