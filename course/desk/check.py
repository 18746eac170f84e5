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
from course.building.reading import Unreadable, read
from course.building.release import release
from course.building.restore import lost_answers, restored
from course.building.syllabus import Chapter
from course.desk.needs import bound, needed, parse

_MISSING = re.compile(r"name '(\w+)' is not defined")


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


def check(
    chapter: Chapter, notebook: Path | None = None, *, only: str = ""
) -> list[Verdict]:
    """Run a student's copy of a chapter and judge its exercises.

    Args:
        chapter: The chapter.
        notebook: The copy; by default the one in the work folder.
        only: The number of one exercise, ``"3"``: nothing runs but what it needs.

    Returns:
        A verdict for each exercise, or for that one.

    Raises:
        FileNotFoundError: If there is no such copy.
        ValueError: If the copy lacks a cell that students write in, or is damaged, or
            if the chapter has no such exercise.
    """
    path = notebook or chapter.work
    student = _read(path)
    released = nbformat.read(release(chapter), as_version=4)
    every = exercises(released)
    tested = _with_released_tests(student, released)
    if only:
        return [_check_one(_chosen(every, chapter, only), every, tested, path)]
    return _run(every, tested, path)


def _check_one(
    exercise: Exercise, every: list[Exercise], notebook: NotebookNode, path: Path
) -> Verdict:
    """Run what one exercise needs; more, if it fails and others may be the cause."""
    cells = notebook.cells

    def verdict() -> Verdict:
        found = _run(every, notebook, path)
        return next(v for v in found if v.exercise == exercise)

    notebook.cells = needed(cells, {exercise.grade_id})
    first = verdict()
    if first.state == "passes":
        return first
    answers = {grade_id(cell) for cell in notebook.cells if is_solution(cell)}
    if _lacks_a_name_of(cells, notebook):  # what it needs cannot be read off the names
        notebook.cells = cells
    elif len(answers) > 1:
        notebook.cells = needed(cells, answers)
    else:
        return first
    return verdict()


def _run(every: list[Exercise], tested: NotebookNode, path: Path) -> list[Verdict]:
    """Run cells and judge the exercises that are among them."""
    execute(tested, path.parent, stop_at_errors=False, progress=path.stem)
    there = {grade_id(cell) for cell in tested.cells}
    verdicts = [_judge(e, tested) for e in every if e.grade_id in there]
    return with_causes(verdicts, tested)


def _chosen(every: list[Exercise], chapter: Chapter, number: str) -> Exercise:
    for exercise in every:
        if exercise.id == f"{chapter.id}.{number}":
            return exercise
    known = ", ".join(exercise.id for exercise in every)
    raise ValueError(
        f"no exercise is called {chapter.id}.{number}: the chapter has {known}"
    )


def _read(path: Path) -> NotebookNode:
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist: `make lab` gives you a copy of every chapter"
        )
    try:
        return read(path)
    except Unreadable as error:
        raise ValueError(
            f"{path}: {error}; rename it, then `make lab` makes a fresh copy"
        ) from None


def _lacks_a_name_of(cells: list[NotebookNode], run: NotebookNode) -> bool:
    """Whether a name was missing that a cell which did not run binds."""
    code = [cell for cell in run.cells if cell.cell_type == "code"]
    faults = [error for cell in code if (error := _error(cell))]
    missing = {name for e in faults for name in _MISSING.findall(_text(e))}
    return bool(missing & bound([cell for cell in cells if cell not in run.cells]))


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
    answers = {grade_id(c): parse(c.source) for c in notebook.cells if is_solution(c)}
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


def _parsed(source: str) -> ast.Module:
    return ast.parse(TransformerManager().transform_cell(source))


def _told(error: NotebookNode) -> str:
    return f"{error.ename}: {_text(error)}"


def _text(error: NotebookNode) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", error.evalue).strip()
