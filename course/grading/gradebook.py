"""What nbgrader's gradebook holds: the table of points, and what a teacher entered."""

import csv
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from traitlets.config import Config

from course.building.release import GradingError
from course.building.syllabus import Chapter

if TYPE_CHECKING:  # nbgrader takes a second to load
    from nbgrader.api import Gradebook, SubmittedAssignment

WAIT_SECONDS = 5
"""How long the gradebook may be in use by another program."""


def opened(config: Config) -> "Gradebook":
    """Open the gradebook of a configuration; use it in a ``with`` statement.

    Args:
        config: nbgrader's configuration.

    Returns:
        The gradebook.
    """
    from nbgrader.api import Gradebook
    from nbgrader.coursedir import CourseDirectory

    directory = CourseDirectory(config=config)
    return Gradebook(directory.db_url, directory.course_id)


def has_points(gradebook: "Gradebook", student: str, chapter: Chapter) -> bool:
    """Whether a submission is there and has been graded.

    Args:
        gradebook: The gradebook.
        student: The student.
        chapter: The chapter.

    Returns:
        True, too, if all its points are zero.
    """
    from nbgrader.api import MissingEntry

    try:
        submission = gradebook.find_submission(chapter.slug, student)
    except MissingEntry:
        return False
    return _score(submission) is not None


def demand_writable(path: Path) -> None:
    """Refuse a gradebook that another program holds or that is none.

    Args:
        path: The gradebook; it need not exist.

    Raises:
        GradingError: With what to do about it.
    """
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path, timeout=WAIT_SECONDS)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
    except sqlite3.OperationalError as error:
        raise GradingError(
            f"{path} cannot be written ({error}): close what else uses it, Formgrader "
            "or another grading, and grade again"
        ) from None
    except sqlite3.DatabaseError as error:
        raise GradingError(
            f"{path} is no gradebook ({error}): put back a copy of it, or move it away"
        ) from None


def write_table(
    gradebook: "Gradebook", path: Path, refused: Collection[tuple[str, str]] = ()
) -> Path:
    """Write a row for each chapter and student; of what was not graded, no score.

    nbgrader's own table gives a zero there, as to a blank submission, and does not
    quote names with a comma.

    Args:
        gradebook: The gradebook.
        path: The CSV file.
        refused: Whose points are not to be shown, by student and chapter.

    Returns:
        The same path.
    """
    students = gradebook.students
    known = ("last_name", "first_name", "email")
    known = [name for name in known if any(getattr(s, name) for s in students)]
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["assignment", "student_id", *known, "score", "max_score"])
        for assignment in gradebook.assignments:
            scores = {s.student.id: _score(s) for s in assignment.submissions}
            for student in students:
                names = [getattr(student, name) for name in known]
                score = scores.get(student.id)
                if (student.id, assignment.name) in refused:
                    score = None
                row = [assignment.name, student.id, *names, score, assignment.max_score]
                table.writerow(row)
    partial.replace(path)
    return path


def impossible(gradebook: "Gradebook") -> dict[tuple[str, str], str]:
    """Find points that no test and no teacher can have given.

    Args:
        gradebook: The gradebook.

    Returns:
        By student and chapter, what is wrong with the points of one cell.
    """
    from nbgrader.api import Grade

    found = {}
    for grade in gradebook.db.query(Grade):
        for points in (grade.auto_score, grade.manual_score):
            if points is not None and not 0 <= points <= grade.max_score:
                found[grade.student.id, grade.assignment.name] = (
                    f"the gradebook holds {points:g} of {grade.max_score:g} points for "
                    f"{grade.name}: not in the table"
                )
    return found


def overtaken(gradebook: "Gradebook") -> tuple[str, ...]:
    """Tell of points by hand that are fewer than those of the tests.

    Args:
        gradebook: The gradebook.

    Returns:
        A line for each.
    """
    from nbgrader.api import Grade

    fewer = gradebook.db.query(Grade).filter(Grade.manual_score < Grade.auto_score)
    return tuple(
        f"{g.student.id}, {g.assignment.name}: {g.name} has fewer points by hand "
        f"({g.manual_score:g}) than by the tests of the submission ({g.auto_score:g}); "
        "those by hand count"
        for g in fewer
    )


def _score(submission: "SubmittedAssignment") -> float | None:
    grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
    if all(g.auto_score is None and g.manual_score is None for g in grades):
        return None
    return max(0.0, submission.score - submission.late_submission_penalty)
