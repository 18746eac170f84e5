"""What several tests ask of a notebook, or write into one."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course.building.bake import convert
from course.building.syllabus import Chapter


def assert_baked(notebook: NotebookNode, text: Path, name: str) -> None:
    """Text and notebook have the same cells; ``name`` is what ``bake`` takes."""

    def parts(nb: NotebookNode) -> list[tuple]:
        return [(c.id, c.cell_type, c.source, c.metadata) for c in nb.cells]

    assert parts(notebook) == parts(convert(text)), (
        f"the text has changed since the notebook was baked: "
        f"python -m course bake {name}"
    )


def assert_run(notebook: NotebookNode) -> None:
    """Every cell was run, in order, without an error or a warning."""
    code = [c for c in notebook.cells if c.cell_type == "code"]
    counts = [cell.execution_count for cell in code]
    assert counts == list(range(1, len(counts) + 1))
    for cell in code:
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", cell.source


def answer(chapter: Chapter, code: str) -> None:
    """Write an answer to exercise 1 into a student's copy of the tiny chapter."""
    notebook = nbformat.read(chapter.work, as_version=4)
    (cell,) = [c for c in notebook.cells if c.id == "ex01-1"]
    cell.source = code
    nbformat.write(notebook, chapter.work)
