"""Every chapter is released and graded with real nbgrader runs, for three students."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from course.building.bake import bake
from course.building.exercises import (
    definitions,
    grade_id,
    is_graded,
    is_solution,
    names_read,
)
from course.building.release import prepare_work
from course.building.syllabus import Chapter, chapters
from course.grading.grade import grade
from tests.course.grading import (
    Class,
    expected_points,
    mixed_answers,
    points,
    submit,
)
from tests.course.validating import validated


@pytest.fixture(scope="module", params=[c.slug for c in chapters()], ids=str)
def group(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Class:
    """The three students of each chapter in turn."""
    folder = tmp_path_factory.mktemp("grading") / "course"
    return Class(folder, request.param, whole=bool(request.config.getoption("chapter")))


def test_the_release_gives_nothing_away(group: Class) -> None:
    chapter = group.released
    released = nbformat.read(chapter.release, as_version=4).cells
    code = [cell.source for cell in released if cell.cell_type == "code"]
    everything = squeezed("".join(code))  # a last hint, in the prose, may be code
    assert "###BEGIN" not in everything
    own = {grade_id(cell): squeezed(cell.source) for cell in released}
    for cell in nbformat.read(chapter.source, as_version=4).cells:
        shown, regions = split(cell.source)
        for region in regions:
            assert squeezed(region) not in everything, f"{grade_id(cell)} is told"
            for line in region.splitlines():
                text = squeezed(line)
                if len(text) > 15 and text not in squeezed(shown):
                    assert text not in own[grade_id(cell)], line


def test_every_graded_cell_fails_in_the_untouched_chapter(group: Class) -> None:
    """Of the cells as students see them, so without the held-out lines."""
    chapter = group.released
    notebook = nbformat.read(chapter.release, as_version=4)
    got = expected_points(notebook, chapter.release.parent, {})
    assert set(got) == {grade_id(c) for c in notebook.cells if is_graded(c)}
    assert not {name: score for name, score in got.items() if score}


def test_the_solved_chapter_scores_every_point(group: Class) -> None:
    assert points(group.graded.csv)["perfect", group.slug] == group.released.points


def test_the_untouched_chapter_scores_nothing(group: Class) -> None:
    assert points(group.graded.csv)["blank", group.slug] == 0
    assert set(group.cells("blank").values()) == {0}


def test_validate_names_each_failing_cell_of_the_untouched_chapter(
    group: Class,
) -> None:
    """So says its judge of the graded copy, which saves one more run."""
    copy = group.autograded("blank")
    tests = [c for c in nbformat.read(copy, as_version=4).cells if is_graded(c)]
    failed = validated(copy)["failed"]
    assert [cell["source"] for cell in failed] == [c.source.strip() for c in tests]
    assert all("NotImplementedError" in cell["raw_error"] for cell in failed)


def test_known_mistakes_cost_exactly_their_points(group: Class) -> None:
    chapter = group.released
    notebook = nbformat.read(chapter.source, as_version=4)
    answers = mixed_answers(chapter)
    expected = expected_points(notebook, chapter.source.parent, answers)
    assert group.cells("mixed") == expected
    assert points(group.graded.csv)["mixed", group.slug] == sum(expected.values())
    assert 0 < sum(expected.values()) < chapter.points


def test_a_mistake_costs_no_other_exercise_unless_its_answer_calls_it(
    group: Class,
) -> None:
    answers = mixed_answers(group.released)
    notebook = nbformat.read(group.released.source, as_version=4)
    lost, wrong, names = set(), set(answers), set()
    score = group.cells("mixed")
    for cell in notebook.cells:
        if is_solution(cell):
            tree = ast.parse(answers.get(cell.id, cell.source))
            if cell.id in wrong or names_read(tree) & names:
                wrong.add(cell.id)
                names |= {function.name for function in definitions(tree)}
        elif is_graded(cell) and score[cell.id] < cell.metadata.nbgrader.points:
            lost.add(cell.id.rpartition("-")[0])
    assert set(answers) <= lost <= wrong


@pytest.mark.parametrize("student", ["perfect", "blank", "mixed"])
def test_feedback_is_written(student: str, group: Class) -> None:
    folder: Path = group.graded.feedback / student / group.slug
    assert (folder / f"{group.slug}.html").stat().st_size > 10_000


def test_nobody_is_left_out(group: Class) -> None:
    assert not group.graded.failures
    assert len(points(group.graded.csv)) == 3


def test_chapters_of_a_class_share_a_gradebook_and_a_table(tiny: Chapter) -> None:
    """Of a chapter that a student has not handed in, a row without a score."""
    syllabus = tiny.folder / "syllabus.yml"
    for path in (syllabus, tiny.text):
        text = path.read_text().replace("01", "02")
        if path == syllabus:
            path.write_text(path.read_text() + text[text.index("  - id") :])
        else:
            path.with_name("02_tiny.py").write_text(text)
    chapters.cache_clear()
    one, two = chapters(tiny.folder)
    for chapter in (one, two):
        bake(chapter)
    prepare_work(tiny.folder)
    submit(one, "ada", one.source)
    submit(two, "ada", two.work)
    submit(two, "bea", two.source)
    graded = grade(root=tiny.folder, progress=False)
    assert points(graded.csv) == {
        ("ada", one.slug): 3,
        ("ada", two.slug): 0,
        ("bea", one.slug): None,
        ("bea", two.slug): 3,
    }
    assert not graded.failures


def squeezed(text: str) -> str:
    return "".join(text.split())


def split(source: str) -> tuple[str, list[str]]:
    """The text outside of all BEGIN and END marks, and the regions between them."""
    pattern = r"### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)### END"
    regions = re.findall(pattern, source, re.DOTALL)
    return re.sub(pattern, "", source, flags=re.DOTALL), regions
