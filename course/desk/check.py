"""Tell a student which exercises pass, and which idea the others miss.

The tests that run are those of the released chapter, even where the student's copy
has lost or changed them, so that the verdict is the autograder's on the visible tests.
"""

import ast
import re
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode
from nbgrader.utils import determine_grade

from course.building.bake import execute
from course.building.exercises import (
    Exercise,
    definitions,
    exercises,
    grade_id,
    is_graded,
    is_solution,
    names_read,
)
from course.building.release import release
from course.building.restore import lost_answers, restored
from course.building.syllabus import Chapter


@dataclass(frozen=True)
class Verdict:
    """What the visible tests say about one exercise.

    ``state`` is ``"passes"``, ``"not yet"`` or ``"not written yet"``; ``idea`` is the
    error of the answer itself, or the message of the first test that failed, or which
    other answers to mend first, or empty.
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
            f"{path} does not exist: `make lab` gives you a copy of every chapter"
        )
    student = nbformat.read(path, as_version=4)
    released = nbformat.read(release(chapter), as_version=4)
    tested = _with_released_tests(student, released)
    execute(tested, path.parent, stop_at_errors=False)
    verdicts = [_judge(exercise, tested) for exercise in exercises(released)]
    return with_causes(verdicts, tested)


def report(chapter: Chapter, verdicts: list[Verdict]) -> str:
    """Write verdicts as the lines a student reads.

    Args:
        chapter: The chapter.
        verdicts: What ``check`` returned.

    Returns:
        Text of several lines.
    """
    width = max(len(v.exercise.title) for v in verdicts)
    lines = [f"Chapter {chapter.id} · {chapter.title}", f"  {chapter.work}", ""]
    for v in verdicts:
        e = v.exercise
        lines.append(f"  {e.id}  {e.title:<{width}}  {e.dots}  {v.state}")
        lines += [f"        {line}" for line in v.idea.splitlines()]
    passing = sum(v.state == "passes" for v in verdicts)
    lines += ["", f"{passing} of {len(verdicts)} exercises pass their visible tests."]
    lines.append("Held-out tests run when your work is graded.")
    return "\n".join(lines)


def with_causes(verdicts: list[Verdict], notebook: NotebookNode) -> list[Verdict]:
    """Of a failing answer that rests on others that fail, tell those to mend first.

    What its own tests say is left out then: they cannot know whose fault it is.

    Args:
        verdicts: What the tests alone say.
        notebook: The student's copy.

    Returns:
        The verdicts, some with another idea.
    """
    answers = {grade_id(c): _tree(c.source) for c in notebook.cells if is_solution(c)}
    failing = {
        function.name: v
        for v in verdicts
        if v.state != "passes"
        for function in definitions(answers[v.exercise.grade_id])
    }

    def called(v: Verdict) -> set[str]:
        names = names_read(answers[v.exercise.grade_id])
        if "NotImplementedError" in names:  # the stub: what it calls is the chapter's
            return set()
        return {name for name in names & {*failing} if failing[name] is not v}

    found = []
    for v in verdicts:
        seen, new = set(), called(v) if v.state != "passes" else set()
        while new:
            seen |= new
            new = set().union(*(called(failing[name]) for name in new)) - seen
        roots = [name for name in failing if name in seen and not called(failing[name])]
        if roots:
            told = ", ".join(f"{n} ({failing[n].exercise.id})" for n in roots)
            idea = f"it rests on your {told}: mend that first"
            v = replace(v, state="not yet", idea=idea)
        found.append(v)
    return found


def _with_released_tests(student: NotebookNode, released: NotebookNode) -> NotebookNode:
    if lost := lost_answers(student, released):
        raise ValueError(
            f"your copy has lost the cell {lost[0]!r} that holds your answer: "
            "rename your notebook, then `make lab` makes a fresh copy; copy your "
            "answers over"
        )
    return restored(student, released)


def _judge(exercise: Exercise, notebook: NotebookNode) -> Verdict:
    own = [c for c in notebook.cells if exercise.owns(grade_id(c) or "")]
    failed = next((c for c in own if is_graded(c) and _loses_points(c)), None)
    if failed is None:
        return Verdict(exercise, "passes")
    # Its tests cannot know what is wrong with an answer that does not even run.
    answer = next((c for c in own if is_solution(c) and _error(c)), None)
    error = _error(answer or failed)
    if error is None:
        return Verdict(exercise, "not yet", "the tests printed a warning")
    if error.ename == "NotImplementedError":
        return Verdict(exercise, "not written yet")
    if answer is None:
        return Verdict(exercise, "not yet", _idea(error))
    told = _syntax_error(answer.source) or _told(error)
    return Verdict(exercise, "not yet", f"your answer cell itself fails: {told}")


def _loses_points(cell: NotebookNode) -> bool:
    score, points = determine_grade(cell)
    return score != points


def _error(cell: NotebookNode) -> NotebookNode | None:
    return next((o for o in cell.outputs if o.output_type == "error"), None)


def _idea(error: NotebookNode) -> str:
    """The message of a failed test; another error is told with its kind."""
    text = _text(error)
    return text if error.ename == "AssertionError" and text else _told(error)


def _syntax_error(source: str) -> str:
    """What Python says of code it cannot read; IPython only says "incomplete input"."""
    try:
        _parsed(source)
    except SyntaxError as error:
        return f"{type(error).__name__}: {error.msg} (line {error.lineno})"
    return ""


def _tree(source: str) -> ast.Module:
    """Parse a cell; one that cannot be parsed counts as empty."""
    try:
        return _parsed(source)
    except SyntaxError:
        return ast.Module(body=[], type_ignores=[])


def _parsed(source: str) -> ast.Module:
    return ast.parse(TransformerManager().transform_cell(source))


def _told(error: NotebookNode) -> str:
    return f"{error.ename}: {_text(error)}"


def _text(error: NotebookNode) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", error.evalue).strip()
