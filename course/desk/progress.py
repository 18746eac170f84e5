"""How far a student's own copies are.

Copies are read, never run. An exercise counts as answered when its answer cell raises
the stub's error no longer; which answers pass is what ``check`` said last.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

from course.building.exercises import exercises, grade_id, is_solution
from course.building.reading import Unreadable, read
from course.building.syllabus import Chapter

STUB = 'raise NotImplementedError("not written yet")'
"""What an answer cell does until a student has answered."""


def progress(chapter: Chapter) -> str:
    """Say how far a student's copy of a chapter is.

    Args:
        chapter: The chapter.

    Returns:
        For example "answered 3 of 7, passing 2 (checked 2026-11-27)".
    """
    if not chapter.work.exists():
        return "no copy yet"
    copy = _read(chapter.work, chapter.work.stat().st_mtime_ns)
    if isinstance(copy, str):
        return f"cannot be read: {copy}".replace("|", "/")  # it stands in a table
    text = f"answered {copy.answered} of {len(copy.points)}"
    if said := _said(chapter):
        since = "" if said["answers"] == copy.digest else ", changed since"
        passing = len(said["right"])
        text += f", passing {passing} (checked {said['checked']}{since})"
    if copy.lost:
        text += f"; the answer cell of {', '.join(copy.lost)} is lost: start a new copy"
    return text


def points(chapter: Chapter) -> int:
    """Add up the points of the exercises that passed in the last check of a copy.

    Args:
        chapter: The chapter.

    Returns:
        Points; 0 without a copy or a check.
    """
    said = _said(chapter)
    if not said or not chapter.work.exists():
        return 0
    copy = _read(chapter.work, chapter.work.stat().st_mtime_ns)
    if isinstance(copy, str):
        return 0
    return sum(worth for name, worth in copy.points if name in said["right"])


def record(chapter: Chapter, passing: Iterable[str], today: date | None = None) -> None:
    """Keep what a check has said of a student's copy, beside the copy.

    Args:
        chapter: The chapter.
        passing: The ids of the exercises that pass.
        today: The day of the check; by default this one.
    """
    copy = _read(chapter.work, chapter.work.stat().st_mtime_ns)
    if isinstance(copy, str):
        return
    said = {
        "answers": copy.digest,
        "checked": (today or date.today()).isoformat(),
        "right": list(passing),  # its first name, which older records have
    }
    _record_path(chapter).write_text(json.dumps(said) + "\n", encoding="utf-8")


def _record_path(chapter: Chapter) -> Path:
    return chapter.work.parent / ".check.json"


def _said(chapter: Chapter) -> dict | None:
    """What the last check said; None without one, or if its file is damaged."""
    try:
        said = json.loads(_record_path(chapter).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_whole = isinstance(said, dict) and {"answers", "checked", "right"} <= set(said)
    return said if is_whole else None


@dataclass(frozen=True)
class _Copy:
    """Exercises answered, all with their points, those without a cell, a digest."""

    answered: int
    points: tuple[tuple[str, int], ...]
    lost: tuple[str, ...]
    digest: str


@lru_cache(maxsize=128)
def _read(path: Path, changed: int) -> _Copy | str:
    """What a copy holds, or why it cannot be read."""
    try:
        notebook = read(path)
        every = exercises(notebook)
    except Unreadable as error:
        return str(error)
    except OSError as error:
        return error.strerror or "the system does not say why"
    except ValueError:
        return "the heading of an exercise has been changed"
    answers = {grade_id(c): c.source for c in notebook.cells if is_solution(c)}
    digest = hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()
    return _Copy(
        answered=sum(_is_answered(answers.get(e.grade_id)) for e in every),
        points=tuple((e.id, e.points) for e in every),
        lost=tuple(e.id for e in every if e.grade_id not in answers),
        digest=digest[:16],
    )


def _is_answered(source: str | None) -> bool:
    lines = source.splitlines() if source else []
    return bool(lines) and not any(line.strip().startswith(STUB) for line in lines)
