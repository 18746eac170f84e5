"""Graders catch small slips, too; those that they let pass are listed with a reason."""

from functools import cache
from pathlib import Path

import pytest
import yaml

from course.building.exercises import grade_id, is_solution
from course.building.syllabus import Chapter, chapters
from tests.course.generated import slips
from tests.course.judging import cells, endless, failure

CHAPTERS = pytest.mark.parametrize("chapter", chapters(), ids=lambda c: c.slug)
LISTED = yaml.safe_load(
    (Path(__file__).parent / "mutants" / "survivors.yml").read_text()
)
KILLED = 0.95


@cache
def judged(chapter: Chapter) -> list[tuple[str, str, str]]:
    """Every slip in a chapter's answers: exercise, change, what the tests say of it."""
    return [
        (name, slip.change, failure(chapter, name, slip.code, endless(chapter, name)))
        for name, answer in answers(chapter)
        for slip in slips(answer)
    ]


def answers(chapter: Chapter) -> list[tuple[str, str]]:
    """The chapter's own, by exercise."""
    return [(str(grade_id(c)), c.source) for c in cells(chapter) if is_solution(c)]


def listed(chapter: Chapter) -> dict[tuple[str, str], str]:
    """The slips of a chapter that its tests let pass, with the reasons."""
    return {
        (name, change): reason
        for name, changes in LISTED.items()
        for change, reason in changes.items()
        if name.startswith(f"ex{chapter.id}-")
    }


@CHAPTERS
def test_slips_that_pass_are_those_listed(chapter: Chapter) -> None:
    passed = {(name, change) for name, change, said in judged(chapter) if not said}
    assert passed - {*listed(chapter)} == set(), "strengthen a test, or give a reason"
    assert {*listed(chapter)} - passed == set(), "caught now: take it off the list"


@CHAPTERS
def test_slips_are_caught(chapter: Chapter) -> None:
    kinds = [reason.partition(": ")[0] for reason in listed(chapter).values()]
    assert {*kinds} <= {"equivalent", "harmless", "open"}
    equivalent = kinds.count("equivalent")
    wrong = len(judged(chapter)) - equivalent
    killed = 1 - (len(kinds) - equivalent) / wrong
    assert killed >= KILLED


def test_every_listed_slip_belongs_to_an_exercise() -> None:
    names = {grade_id(c) for one in chapters() for c in cells(one) if is_solution(c)}
    assert {*LISTED} <= names


def test_slips_stay_within_the_solution_and_differ() -> None:
    answer = """def f(a, b=2):
    ### BEGIN SOLUTION
    x = a.detach() - 1
    return f(x, b)
    ### END SOLUTION
"""
    assert {slip.change for slip in slips(answer)} == {
        "x = a.detach() - 1 -> pass",
        "x = a.detach() - 1 -> x = a.detach() + 1",
        "x = a.detach() - 1 -> x = a.detach() - 2",
        "x = a.detach() - 1 -> x = a - 1",
        "return f(x, b) -> return f(b, x)",
    }


def test_an_endless_answer_is_interrupted() -> None:
    chapter = chapters()[0]
    name = next(grade_id(c) for c in cells(chapter) if is_solution(c))
    said = failure(chapter, name, "while True:\n    pass", cpu=0.1)
    assert said == "TimeoutError: more than 0.1 s of CPU"
