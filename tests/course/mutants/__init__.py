"""Per chapter: wrong answers that its graders must catch, right ones they must accept.

Each file holds two lists, ``MUTANTS`` and ``ALTERNATIVES``. A mutant's ``idea`` names
the misconception it stands for: together they are the course's catalogue of them.
"""

from dataclasses import dataclass


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
