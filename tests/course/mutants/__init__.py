"""Per chapter: wrong answers that its graders must catch, right ones they must accept.

Each file holds two lists, ``MUTANTS`` and ``ALTERNATIVES``. A mutant's ``idea`` names
the misconception it stands for: together they are the course's catalogue of them.
"""

import ast
from dataclasses import dataclass
from functools import cache

from course.building.exercises import grade_id as grade_id_of
from course.building.exercises import is_solution
from course.building.syllabus import chapters
from tests.course.judging import cells


@dataclass(frozen=True)
class Mutant:
    """A plausible wrong answer: ``code`` stands in place of the solution cell."""

    grade_id: str
    idea: str
    code: str


@dataclass(frozen=True)
class Alternative:
    """A right answer that differs from the chapter's own."""

    grade_id: str
    idea: str
    code: str


def changed(code: str, *changes: tuple[str, str]) -> str:
    """Return an answer with some of its text changed; what is changed must be there."""
    for old, new in changes:
        assert old in code, old
        code = code.replace(old, new)
    return code


@cache
def solutions() -> dict[str, str]:
    """Return the chapters' own answers by grade id, as Python itself writes them."""
    return {
        str(grade_id_of(cell)): plain(cell.source)
        for chapter in chapters()
        for cell in cells(chapter)
        if is_solution(cell)
    }


def plain(code: str) -> str:
    """Return code as Python itself writes it: no comments, no docstrings."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def slip(grade_id: str, idea: str, *changes: tuple[str, str]) -> Mutant:
    """The chapter's own answer to an exercise, with some of its lines changed."""
    return Mutant(grade_id, idea, changed(solutions()[grade_id], *changes))
