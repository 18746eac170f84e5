"""A chapter whose tests have changed since it was graded, in the gradebook anew.

nbgrader refuses it: the points of students hang on cells that are no more. Here the
chapter is taken out and put in again, and what teachers have entered, points and
comments, goes back to the cells that still exist.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from traitlets.config import Config

from course.building.syllabus import Chapter
from course.grading.gradebook import opened

if TYPE_CHECKING:  # nbgrader takes a second to load
    from nbgrader.api import Gradebook

BEFORE = "gradebook.before.db"
"""The gradebook as it was: it comes back if a rebuilding is interrupted."""

_POINTS = ("auto_score", "manual_score", "extra_credit")


@dataclass
class _Entered:
    """What the gradebook says of one submission, by name of the cell."""

    student: str
    timestamp: datetime | None
    points: dict[str, tuple]
    comments: dict[str, str]


def recover(root: Path) -> None:
    """Undo a rebuilding that was interrupted.

    Args:
        root: The course folder.
    """
    if (root / BEFORE).exists():
        (root / BEFORE).replace(root / "gradebook.db")


def rebuild(
    config: Config, root: Path, chapter: Chapter, release: Callable[[], None]
) -> list[str]:
    """Put a chapter into the gradebook anew.

    Args:
        config: nbgrader's configuration.
        root: The course folder.
        chapter: The chapter.
        release: What puts it there.

    Returns:
        A line for each entry by hand whose cell is no more.
    """
    shutil.copyfile(root / "gradebook.db", root / "gradebook.partial.db")
    (root / "gradebook.partial.db").replace(root / BEFORE)
    try:
        with opened(config) as gradebook:
            due = gradebook.find_assignment(chapter.slug).duedate
            entries = _entries(gradebook, chapter)
            gradebook.remove_assignment(chapter.slug)
        release()
        with opened(config) as gradebook:
            gradebook.find_assignment(chapter.slug).duedate = due
            lost = [line for e in entries for line in _enter(gradebook, chapter, e)]
            gradebook.db.commit()
    except BaseException:
        recover(root)
        raise
    (root / BEFORE).unlink()
    return lost


def _entries(gradebook: "Gradebook", chapter: Chapter) -> list[_Entered]:
    found = []
    for submission in gradebook.assignment_submissions(chapter.slug):
        grades = [g for n in submission.notebooks for g in n.grades]
        comments = [c for n in submission.notebooks for c in n.comments]
        found.append(
            _Entered(
                student=submission.student_id,
                timestamp=submission.timestamp,
                points={
                    g.name: (g.max_score, *(getattr(g, name) for name in _POINTS))
                    for g in grades
                },
                comments={c.name: c.manual_comment for c in comments},
            )
        )
    return found


def _enter(gradebook: "Gradebook", chapter: Chapter, entry: _Entered) -> list[str]:
    """Give a student back what is left, and tell of the rest."""
    submission = gradebook.update_or_create_submission(
        chapter.slug, entry.student, timestamp=entry.timestamp
    )
    for notebook in submission.notebooks:
        for grade in notebook.grades:
            most, auto, manual, extra = entry.points.pop(grade.name, (None,) * 4)
            grade.manual_score, grade.extra_credit = manual, extra
            if most == grade.max_score:
                grade.auto_score = auto
            grade.needs_manual_grade = manual is None and grade.auto_score is None
        for comment in notebook.comments:
            comment.manual_comment = entry.comments.pop(comment.name, None)
    return [
        f"{entry.student}, {chapter.slug}: {manual:g} points by hand went with the "
        f"cell {name}, which the chapter no longer has"
        for name, (_, _, manual, _) in entry.points.items()
        if manual
    ]
