"""Every chapter is released and graded with real nbgrader runs."""

import csv
import re
import shutil
from pathlib import Path

import nbformat
import pytest

from course.bake import execute
from course.exercises import grade_id, is_graded
from course.grade import grade
from course.release import prepare_work
from course.syllabus import FOLDER, Chapter, chapters

CHAPTERS = pytest.mark.parametrize("slug", [c.slug for c in chapters()])


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Chapter]:
    """A copy of the course with its chapters released, by slug."""
    folder = tmp_path_factory.mktemp("grading") / "course"
    shutil.copytree(FOLDER / "source", folder / "source")
    shutil.copy(FOLDER / "syllabus.yml", folder)
    prepare_work(folder)
    return {c.slug: c for c in chapters(folder)}


@pytest.fixture(scope="module")
def points(course: dict[str, Chapter]) -> dict[tuple[str, str], float]:
    """Points by student and chapter: one who solved everything, one who did not."""
    folder = next(iter(course.values())).folder
    for chapter in course.values():
        for student, notebook in (("solved", chapter.source), ("blank", chapter.work)):
            target = folder / "submitted" / student / chapter.slug
            target.mkdir(parents=True)
            shutil.copy(notebook, target)
    table = grade(root=folder, progress=False).csv
    with table.open() as file:
        rows = list(csv.DictReader(file))
    return {(r["student_id"], r["assignment"]): float(r["score"]) for r in rows}


@CHAPTERS
def test_the_solved_chapter_scores_every_point(
    slug: str, course: dict[str, Chapter], points: dict
) -> None:
    assert points["solved", slug] == course[slug].points


@CHAPTERS
def test_the_untouched_chapter_scores_nothing(slug: str, points: dict) -> None:
    assert points["blank", slug] == 0


@CHAPTERS
def test_feedback_is_written(slug: str, course: dict, points: dict) -> None:
    folder: Path = course[slug].folder / "feedback"
    assert (folder / "solved" / slug / f"{slug}.html").stat().st_size > 10_000


@CHAPTERS
def test_every_graded_cell_fails_in_the_untouched_chapter(
    slug: str, course: dict[str, Chapter]
) -> None:
    notebook = nbformat.read(course[slug].release, as_version=4)
    execute(notebook, course[slug].release.parent, stop_at_errors=False)
    vacuous = [
        grade_id(c)
        for c in notebook.cells
        if is_graded(c) and not any(o.output_type == "error" for o in c.outputs)
    ]
    assert not vacuous


@CHAPTERS
def test_the_release_gives_nothing_away(slug: str, course: dict[str, Chapter]) -> None:
    released = nbformat.read(course[slug].release, as_version=4).cells
    code = [cell.source for cell in released if cell.cell_type == "code"]
    everything = squeezed("".join(code))  # a last hint, in the prose, may be the code
    assert "###BEGIN" not in everything
    own = {grade_id(cell): squeezed(cell.source) for cell in released}
    for cell in nbformat.read(course[slug].source, as_version=4).cells:
        shown, regions = split(cell.source)
        for region in regions:
            assert squeezed(region) not in everything, f"{grade_id(cell)} is told"
            for line in region.splitlines():
                if len(squeezed(line)) > 15 and squeezed(line) not in squeezed(shown):
                    assert squeezed(line) not in own[grade_id(cell)], line


def squeezed(text: str) -> str:
    return "".join(text.split())


def split(source: str) -> tuple[str, list[str]]:
    """The text outside of all BEGIN and END marks, and the regions between them."""
    pattern = r"### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)### END"
    regions = re.findall(pattern, source, re.DOTALL)
    return re.sub(pattern, "", source, flags=re.DOTALL), regions
