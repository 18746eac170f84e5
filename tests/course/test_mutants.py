"""Graders catch wrong ideas and accept right answers that look different."""

import importlib
from functools import cache
from types import ModuleType

import nbformat
import pytest

from course.building.exercises import exercises, grade_id, is_solution
from course.building.syllabus import Chapter, chapters
from tests.course.judging import cells, endless, failure
from tests.course.mutants import Alternative, Mutant

CHAPTERS = pytest.mark.parametrize("chapter", chapters(), ids=lambda c: c.slug)


@cache
def answers(chapter: Chapter) -> ModuleType:
    return importlib.import_module(f"tests.course.mutants.{chapter.slug}")


@cache
def judged(chapter: Chapter) -> list[tuple[Mutant, str]]:
    """Every mutant with what its tests say of it."""
    mutants: list[Mutant] = answers(chapter).MUTANTS
    return [
        (m, failure(chapter, m.grade_id, m.code, endless(chapter, m.grade_id)))
        for m in mutants
    ]


@CHAPTERS
def test_wrong_answers_are_caught(chapter: Chapter) -> None:
    assert len(answers(chapter).MUTANTS) >= 8
    survivors = [(m.grade_id, m.idea) for m, text in judged(chapter) if not text]
    assert not survivors


@CHAPTERS
def test_wrong_answers_are_caught_by_tests_and_not_by_crashing(
    chapter: Chapter,
) -> None:
    """A mutant that does not even run stands for no misconception."""
    crashed = [
        (m.grade_id, m.idea, text)
        for m, text in judged(chapter)
        if text.startswith(("NameError", "SyntaxError", "ImportError"))
    ]
    assert not crashed


@CHAPTERS
def test_right_answers_are_accepted(chapter: Chapter) -> None:
    alternatives: list[Alternative] = answers(chapter).ALTERNATIVES
    said = {
        (a.grade_id, a.idea): failure(chapter, a.grade_id, a.code) for a in alternatives
    }
    assert not {key: text for key, text in said.items() if text}


@CHAPTERS
def test_the_chapters_own_answers_are_accepted(chapter: Chapter) -> None:
    for cell in cells(chapter):
        if is_solution(cell):
            assert not failure(chapter, grade_id(cell), cell.source), cell.source


@CHAPTERS
def test_every_exercise_has_mutants_and_two_other_right_answers(
    chapter: Chapter,
) -> None:
    notebook = nbformat.read(chapter.source, as_version=4)
    for exercise in exercises(notebook):
        wrong = [m for m in answers(chapter).MUTANTS if m.grade_id == exercise.grade_id]
        right = [
            a for a in answers(chapter).ALTERNATIVES if a.grade_id == exercise.grade_id
        ]
        assert wrong, exercise
        assert len({a.code for a in right}) >= 2, exercise


@CHAPTERS
def test_every_wrong_idea_is_told_once(chapter: Chapter) -> None:
    ideas = [(m.grade_id, m.idea) for m in answers(chapter).MUTANTS]
    assert len(set(ideas)) == len(ideas)
    assert all(len(idea.split()) >= 2 for _, idea in ideas)
