"""Graders catch wrong ideas and accept right answers that look different.

An answer is judged in this process by running what its tests may rely on: the setup
cell, cells tagged "given", the chapter's own answers to earlier exercises, the answer,
and then the exercise's tests, held-out ones too.
"""

import contextlib
import importlib
import io
import os
from functools import cache
from types import ModuleType

import matplotlib.pyplot as plt
import nbformat
import pytest
import torch

from course.exercises import exercises, grade_id, is_graded, is_solution
from course.syllabus import Chapter, chapters
from tests.course.mutants import Alternative, Mutant

CHAPTERS = pytest.mark.parametrize("chapter", chapters(), ids=lambda c: c.slug)
KILLED = 0.95


@cache
def answers(chapter: Chapter) -> ModuleType:
    return importlib.import_module(f"tests.course.mutants.{chapter.slug}")


@cache
def cells(chapter: Chapter) -> tuple:
    notebook = nbformat.read(chapter.source, as_version=4)
    return tuple(c for c in notebook.cells if c.cell_type == "code")


@pytest.fixture(autouse=True)
def restore() -> None:
    """A chapter's setup cell changes its process: undo it for the other tests."""
    style, dtype = dict(plt.rcParams), torch.get_default_dtype()
    yield
    plt.rcParams.update(style)
    torch.set_default_dtype(dtype)


@cache
def prepared(chapter: Chapter, name: str) -> dict:
    """The names that an answer to exercise ``name`` and its tests start from."""
    names: dict = {}
    folder = os.getcwd()
    os.chdir(chapter.source.parent)
    try:
        for cell in cells(chapter):
            if grade_id(cell) == name:
                return names
            if is_solution(cell) or {"setup", "given"} & {
                *cell.metadata.get("tags", [])
            }:
                exec(compile(cell.source, cell.id, "exec"), names)
    finally:
        os.chdir(folder)
    raise AssertionError(f"chapter {chapter.id} has no cell {name!r}")


def failure(chapter: Chapter, name: str, code: str) -> str:
    """What the tests of exercise ``name`` say of an answer; empty if it passes."""
    names = dict(prepared(chapter, name))
    torch.set_default_dtype(torch.float64)
    stderr = io.StringIO()
    try:
        with contextlib.redirect_stderr(stderr):
            exec(compile(code, name, "exec"), names)
            for cell in cells(chapter):
                own = (grade_id(cell) or "").startswith(f"{name}-")
                if own and is_graded(cell):
                    exec(compile(cell.source, cell.id, "exec"), names)
    except Exception as error:  # any error costs the points
        return f"{type(error).__name__}: {error}"
    return f"stderr: {stderr.getvalue()}" if stderr.getvalue() else ""


@cache
def judged(chapter: Chapter) -> list[tuple[Mutant, str]]:
    """Every mutant with what its tests say of it."""
    mutants: list[Mutant] = answers(chapter).MUTANTS
    return [(m, failure(chapter, m.grade_id, m.code)) for m in mutants]


@CHAPTERS
def test_wrong_answers_are_caught(chapter: Chapter) -> None:
    mutants = answers(chapter).MUTANTS
    assert len(mutants) >= 8
    survivors = [m for m, text in judged(chapter) if not text]
    killed = 1 - len(survivors) / len(mutants)
    assert killed >= KILLED, [(m.grade_id, m.idea) for m in survivors]


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
