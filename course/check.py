"""Tell a student which exercises are right, and which idea the others miss.

The tests that run are those of the released chapter, even where the student's copy
has lost or changed them, so that the verdict is the autograder's on the visible tests.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.utils import determine_grade

from course.bake import execute
from course.exercises import Exercise, exercises, grade_id, is_graded
from course.release import release
from course.restore import lost_answers, restored
from course.syllabus import Chapter


@dataclass(frozen=True)
class Verdict:
    """What the visible tests say about one exercise.

    ``state`` is ``"right"``, ``"not yet"`` or ``"not written yet"``; ``idea`` is the
    message of the first test that failed, or empty.
    """

    exercise: Exercise
    state: str
    idea: str = ""


def check(chapter: Chapter, notebook: Path | None = None) -> list[Verdict]:
    """Run a student's copy of a chapter and judge each of its exercises.

    Args:
        chapter: The chapter.
        notebook: The copy; by default the one in the work folder.

    Returns:
        A verdict for each exercise.

    Raises:
        FileNotFoundError: If there is no such copy.
        ValueError: If the copy lacks a cell that students write in.
    """
    path = notebook or chapter.work
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist: `python -m course work` gives you a copy of "
            "every chapter"
        )
    student = nbformat.read(path, as_version=4)
    released = nbformat.read(release(chapter), as_version=4)
    tested = _with_released_tests(student, released)
    execute(tested, path.parent, stop_at_errors=False)
    return [_judge(exercise, tested) for exercise in exercises(released)]


def report(chapter: Chapter, verdicts: list[Verdict]) -> str:
    """Write verdicts as the lines a student reads.

    Args:
        chapter: The chapter.
        verdicts: What ``check`` returned.

    Returns:
        Text of several lines.
    """
    width = max(len(v.exercise.title) for v in verdicts)
    lines = [f"Chapter {chapter.id} · {chapter.title}", ""]
    for v in verdicts:
        e = v.exercise
        lines.append(f"  {e.id}  {e.title:<{width}}  {e.dots}  {v.state}")
        lines += [f"        {line}" for line in v.idea.splitlines()]
    right = sum(v.state == "right" for v in verdicts)
    lines += ["", f"{right} of {len(verdicts)} exercises pass their visible tests."]
    if right == len(verdicts):
        lines.append("The held-out tests run when your work is graded.")
    return "\n".join(lines)


def _with_released_tests(student: NotebookNode, released: NotebookNode) -> NotebookNode:
    if lost := lost_answers(student, released):
        raise ValueError(
            f"your copy has lost the cell {lost[0]!r} that holds your answer: get a "
            "fresh copy with `python -m course work` under another name and copy your "
            "answers over"
        )
    return restored(student, released)


def _judge(exercise: Exercise, notebook: NotebookNode) -> Verdict:
    for cell in notebook.cells:
        if not (is_graded(cell) and exercise.owns(grade_id(cell) or "")):
            continue
        score, points = determine_grade(cell)
        if score == points:
            continue
        error = next((o for o in cell.outputs if o.output_type == "error"), None)
        if error is None:
            return Verdict(exercise, "not yet", "the tests printed a warning")
        if error.ename == "NotImplementedError":
            return Verdict(exercise, "not written yet")
        return Verdict(exercise, "not yet", _idea(error))
    return Verdict(exercise, "right")


def _idea(error: NotebookNode) -> str:
    """The message of a failed test; another error is told with its kind."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", error.evalue).strip()
    if error.ename == "AssertionError" and text:
        return text
    return f"{error.ename}: {text}"
