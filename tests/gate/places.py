"""Which kind of check a test is, and which chapter it is about: read off its id."""

import re
from functools import cache
from typing import NamedTuple

from course.building.syllabus import chapters

OTHER = "other"
KINDS = {
    "nbval": r"\.ipynb::",
    "written": r"\btest_mutants\.py::",
    "generated": r"\btest_generated\.py::",
    "grading": r"\btest_grading\w*\.py::",
    "browser": r"^tests/(browser|hub)/",
    OTHER: "",
}
"""Kinds of checks with what their ids contain; the first that fits counts."""


class Place(NamedTuple):
    """What a test belongs to; ``chapter`` is a slug, empty for no chapter's test."""

    kind: str
    chapter: str


@cache
def place(nodeid: str) -> Place:
    """Find the place of a test.

    Args:
        nodeid: Its id, as pytest gives it.

    Returns:
        The kind of check, and the chapter.

    Example:
        >>> place("tests/course/test_mutants.py::test_caught[11_ista]")
        Place(kind='written', chapter='11_ista')
        >>> place("tests/unroll/test_prox.py::test_zero")
        Place(kind='other', chapter='')
    """
    kind = next(name for name, pattern in KINDS.items() if re.search(pattern, nodeid))
    # A whole word: chapter 11_ista is not meant by 111_ista, nor by 11_ista_two.
    words = {*re.findall(r"\w+", nodeid)}
    return Place(kind, next((c.slug for c in chapters() if c.slug in words), ""))


def unit(nodeid: str) -> str:
    """Name the tests that run one after the other in the same process.

    They are a file's, those of a file about each chapter for themselves. Both kinds of
    mutants of a chapter start from the same names, which take seconds to make.

    Args:
        nodeid: The id of a test.

    Returns:
        The same name for tests of one unit.

    Example:
        >>> unit("tests/course/test_mutants.py::test_caught[11_ista]")
        'mutants of 11_ista'
        >>> unit("tests/unroll/test_prox.py::test_zero")
        'tests/unroll/test_prox.py'
    """
    kind, chapter = place(nodeid)
    file = nodeid.partition("::")[0]
    if not chapter or kind == OTHER:
        return file
    if kind in {"written", "generated"}:
        return f"mutants of {chapter}"
    return f"{file} of {chapter}"
