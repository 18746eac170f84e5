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
