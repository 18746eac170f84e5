"""What an exercise's tests say of an answer, in this process and without nbgrader.

Run is what the tests may rely on: the setup cell, cells tagged "given", the chapter's
own answers to earlier exercises, the answer, and then the exercise's tests, held-out
ones too.
"""

import contextlib
import io
import signal
import time
from collections.abc import Iterator
from functools import cache

import nbformat
import torch

from course.building.exercises import grade_id, is_graded, is_solution
from course.building.syllabus import Chapter

CPU_SECONDS = 10  # five times what the slowest exercise needs


@cache
def cells(chapter: Chapter) -> tuple:
    """The code cells of a chapter."""
    notebook = nbformat.read(chapter.source, as_version=4)
    return tuple(c for c in notebook.cells if c.cell_type == "code")


@cache
def prepared(chapter: Chapter, name: str) -> dict:
    """The names that an answer to exercise ``name`` and its tests start from."""
    names: dict = {}
    with contextlib.chdir(chapter.source.parent):
        for cell in cells(chapter):
            if grade_id(cell) == name:
                return names
            if is_solution(cell) or {"setup", "given"} & {
                *cell.metadata.get("tags", [])
            }:
                exec(compile(cell.source, cell.id, "exec"), names)
    raise AssertionError(f"chapter {chapter.id} has no cell {name!r}")


def failure(chapter: Chapter, name: str, code: str, cpu: float = CPU_SECONDS) -> str:
    """What the tests of exercise ``name`` say of an answer; empty if it passes."""
    names = dict(prepared(chapter, name))
    torch.set_default_dtype(torch.float64)  # as the setup cell did
    stderr = io.StringIO()
    try:
        with contextlib.redirect_stderr(stderr), _limit(cpu):
            exec(compile(code, name, "exec"), names)
            for cell in cells(chapter):
                own = (grade_id(cell) or "").startswith(f"{name}-")
                if own and is_graded(cell):
                    exec(compile(cell.source, cell.id, "exec"), names)
    except Exception as error:  # any error costs the points
        return f"{type(error).__name__}: {error}"
    return f"stderr: {stderr.getvalue()}" if stderr.getvalue() else ""


@cache
def endless(chapter: Chapter, name: str) -> float:
    """CPU seconds that of wrong answers to exercise ``name`` only endless ones need."""
    (own,) = [cell.source for cell in cells(chapter) if grade_id(cell) == name]
    failure(chapter, name, own)  # the first time is slower
    start = time.process_time()
    failure(chapter, name, own)
    return 1 + 2 * (time.process_time() - start)


@contextlib.contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """Interrupt what runs for longer: an answer may loop for ever."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s of CPU")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
