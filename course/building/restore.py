"""A student's notebook as it is graded: the student's cells, the chapter's tests.

Students delete test cells, edit them, copy cells with all their metadata. None of it
may cost or win points, so whatever is graded is taken from the chapter, and only what
students write in an answer cell, or in cells of their own, from them.
"""

from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from nbgrader.preprocessors import NbGraderPreprocessor

from course.building.exercises import grade_id, is_graded, is_solution
from course.building.syllabus import chapter


class Restore(NbGraderPreprocessor):
    """Restores submissions before nbgrader looks at them; see ``restored``."""

    def preprocess(
        self, notebook: NotebookNode, resources: dict
    ) -> tuple[NotebookNode, dict]:
        """Called by nbgrader for every submission."""
        folder = Path(self.config.CourseDirectory.root)
        source = chapter(resources["nbgrader"]["assignment"], folder).source
        return restored(notebook, nbformat.read(source, as_version=4)), resources


def lost_answers(student: NotebookNode, master: NotebookNode) -> list[str]:
    """Name the answer cells that a student's notebook no longer has.

    Args:
        student: The student's notebook.
        master: The chapter's notebook, released or not.

    Returns:
        Their grade ids, in the order of the chapter.
    """
    own = {grade_id(cell) for cell in student.cells}
    ids = [grade_id(cell) for cell in master.cells if is_solution(cell)]
    return [name for name in ids if name not in own]


def restored(student: NotebookNode, master: NotebookNode) -> NotebookNode:
    """Return a student's notebook with the chapter's tests, each behind its answer.

    Answer cells keep their text and get the chapter's metadata; of one that was copied,
    the last counts. Tests whose answer cell is lost stand at the end, where the names
    that they need may have been defined in a cell of the student's own. Other cells
    stay where they are, without nbgrader's metadata.

    Args:
        student: The student's notebook; it is not changed.
        master: The chapter's notebook, whose tests are put in.

    Returns:
        A new notebook.
    """
    answers = {grade_id(c): c for c in master.cells if is_solution(c)}
    tests = _tests_by_answer(master)
    locked = {grade_id(c): c.id for cells in tests.values() for c in cells}
    last = {grade_id(c): number for number, c in enumerate(student.cells)}
    cells = []
    for number, cell in enumerate(nbformat.from_dict(student).cells):
        name = grade_id(cell)
        if name in answers and last[name] == number:
            cells.append(nbformat.from_dict({**answers[name], "source": cell.source}))
            cells += tests.get(name, [])
        elif name not in locked:
            cell.metadata.pop("nbgrader", None)
            if cell.get("id") in locked.values():
                cell.id += "-own"
            cells.append(cell)
    for name in lost_answers(student, master):
        text = f"The answer cell `{name}` was missing. Its tests ran here:"
        cells += [new_markdown_cell(text), *tests.get(name, [])]
    notebook = nbformat.from_dict(student)
    notebook.cells = cells
    return notebook


def _tests_by_answer(master: NotebookNode) -> dict[str | None, list[NotebookNode]]:
    tests: dict[str | None, list[NotebookNode]] = {}
    answer = None
    for cell in nbformat.from_dict(master).cells:
        if is_solution(cell):
            answer = grade_id(cell)
        elif is_graded(cell):
            tests.setdefault(answer, []).append(cell)
    return tests
