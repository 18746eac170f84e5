"""The tests of a part's grading; ``test_grading_partN.py`` runs them for part N.

A file for each part, because files are what is handed to parallel workers.
"""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from course.building.exercises import (
    definitions,
    grade_id,
    is_graded,
    is_solution,
    names_read,
)
from course.building.syllabus import chapters
from tests.course.grading import Class, expected_points, mixed_answers, points


class PartTests:
    """Every chapter of a part is released and graded with real nbgrader runs."""

    part: int

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "slug" in metafunc.fixturenames:
            slugs = [c.slug for c in chapters() if c.part == self.part]
            metafunc.parametrize("slug", slugs)

    @pytest.fixture(scope="class")
    def group(self, tmp_path_factory: pytest.TempPathFactory) -> Class:
        return Class(tmp_path_factory.mktemp("grading") / "course", self.part)

    def test_the_release_gives_nothing_away(self, slug: str, group: Class) -> None:
        chapter = group.released[slug]
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

    def test_every_graded_cell_fails_in_the_untouched_chapter(
        self, slug: str, group: Class
    ) -> None:
        """Of the cells as students see them, so without the held-out lines."""
        chapter = group.released[slug]
        notebook = nbformat.read(chapter.release, as_version=4)
        got = expected_points(notebook, chapter.release.parent, {})
        assert set(got) == {grade_id(c) for c in notebook.cells if is_graded(c)}
        assert not {name: score for name, score in got.items() if score}

    def test_the_solved_chapter_scores_every_point(
        self, slug: str, group: Class
    ) -> None:
        assert points(group.graded.csv)["perfect", slug] == group.released[slug].points

    def test_the_untouched_chapter_scores_nothing(
        self, slug: str, group: Class
    ) -> None:
        assert points(group.graded.csv)["blank", slug] == 0
        assert set(group.cells("blank", slug).values()) == {0}

    def test_known_mistakes_cost_exactly_their_points(
        self, slug: str, group: Class
    ) -> None:
        chapter = group.released[slug]
        notebook = nbformat.read(chapter.source, as_version=4)
        answers = mixed_answers(chapter)
        expected = expected_points(notebook, chapter.source.parent, answers)
        assert group.cells("mixed", slug) == expected
        assert points(group.graded.csv)["mixed", slug] == sum(expected.values())
        assert 0 < sum(expected.values()) < chapter.points

    def test_a_mistake_costs_no_other_exercise_unless_its_answer_calls_it(
        self, slug: str, group: Class
    ) -> None:
        answers = mixed_answers(group.released[slug])
        notebook = nbformat.read(group.released[slug].source, as_version=4)
        lost, wrong, names = set(), set(answers), set()
        score = group.cells("mixed", slug)
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
    def test_feedback_is_written(self, slug: str, student: str, group: Class) -> None:
        folder: Path = group.graded.feedback / student / slug
        assert (folder / f"{slug}.html").stat().st_size > 10_000

    def test_nobody_is_left_out(self, group: Class) -> None:
        assert not group.graded.failures
        assert len(points(group.graded.csv)) == 3 * len(group.released)


def squeezed(text: str) -> str:
    return "".join(text.split())


def split(source: str) -> tuple[str, list[str]]:
    """The text outside of all BEGIN and END marks, and the regions between them."""
    pattern = r"### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)### END"
    regions = re.findall(pattern, source, re.DOTALL)
    return re.sub(pattern, "", source, flags=re.DOTALL), regions
