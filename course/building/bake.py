"""From a text to its notebook: convert, execute, normalise, store.

The notebook is what nbval compares and nbgrader releases, so two bakes of the same
text give the same file, byte for byte, on the same machine: cell ids come from the
text, and nothing in the file tells where, when or by whom it was made.
"""

import base64
import hashlib
from collections import Counter
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from tqdm import tqdm

from course.building.environment import environment
from course.building.interrupt import stopped_by_ctrl_c
from course.building.reading import METADATA
from course.building.syllabus import FOLDER, Chapter

CELL_SECONDS = 120
"""A cell that runs longer than this in a bake is stopped; its budget is far lower."""


def bake(chapter: Chapter) -> Path:
    """Execute a chapter's text and store it as its source notebook.

    Args:
        chapter: The chapter.

    Returns:
        Path of the notebook.

    Raises:
        FileNotFoundError: If the chapter has no text.
        nbclient.exceptions.CellExecutionError: If a cell fails; the notebook on disk
            stays as it was.
    """
    notebook = _bake(chapter.text, chapter.source)
    _store_front_picture(notebook, chapter)
    return chapter.source


def project_texts(folder: Path = FOLDER) -> dict[str, Path]:
    """Return the texts of the student projects by name, the worked example included.

    Args:
        folder: The course folder.

    Returns:
        Texts by name.
    """
    return {text.stem: text for text in sorted((folder / "projects").glob("*.py"))}


def bake_project(text: Path) -> Path:
    """Execute a project's text and store its notebook beside it.

    Args:
        text: The text.

    Returns:
        Path of the notebook.

    Raises:
        FileNotFoundError: If there is no such text.
        nbclient.exceptions.CellExecutionError: If a cell fails; the notebook on disk
            stays as it was.
    """
    _bake(text, text.with_suffix(".ipynb"))
    return text.with_suffix(".ipynb")


def _bake(text: Path, target: Path) -> NotebookNode:
    notebook = convert(text)
    target.parent.mkdir(parents=True, exist_ok=True)
    execute(notebook, target.parent)
    write(notebook, target)
    return notebook


def convert(text: Path) -> NotebookNode:
    """Read a chapter's text as a notebook without outputs, with stable cell ids.

    A graded cell's id is its ``grade_id``; another's is a digest of its source, so
    that an edit changes the ids of the edited cells only. The code of a cell tagged
    "picture" is folded: it draws what was computed before.

    Args:
        text: A py:percent file.

    Returns:
        The notebook.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    notebook = jupytext.read(text, fmt="py:percent")
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        cell.metadata.pop("lines_to_next_cell", None)
        if "picture" in cell.metadata.get("tags", []):  # shown; its code, at a click
            cell.metadata["jupyter"] = nbformat.from_dict({"source_hidden": True})
        base = cell.metadata.get("nbgrader", {}).get("grade_id") or _digest(cell)
        cell.id = base if not seen[base] else f"{base}-{seen[base]}"
        seen[base] += 1
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def execute(
    notebook: NotebookNode,
    folder: Path,
    *,
    stop_at_errors: bool = True,
    progress: str = "",
) -> None:
    """Run all cells of ``notebook`` in ``folder``, in place.

    Args:
        notebook: The notebook.
        folder: Working directory of its kernel.
        stop_at_errors: Whether a failing cell ends the run; if not, the error is
            stored as the cell's output and the next cell runs.
        progress: What a progress bar is called; none is shown without a name, or where
            nobody looks.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
    """
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        interrupt_on_timeout=not stop_at_errors,
        allow_errors=not stop_at_errors,
        kernel_name="python3",
        store_widget_state=False,
        coalesce_streams=True,  # a busy machine delivers text in more pieces
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
    )
    bar = tqdm(
        total=sum(cell.cell_type == "code" for cell in notebook.cells),
        desc=progress,
        unit="cell",
        disable=None if progress else True,  # None: unless in a terminal
        leave=False,
    )
    client.on_cell_executed = lambda **_: bar.update()
    try:
        # Not client.execute(), which takes Ctrl-C for a reason to end the kernel and
        # then reports that the kernel is dead.
        stopped = stopped_by_ctrl_c(lambda: _end(client))
        with environment(), client.setup_kernel(), stopped:
            for number, cell in enumerate(notebook.cells):
                count = client.code_cells_executed + 1
                client.execute_cell(cell, number, execution_count=count)
    finally:
        bar.close()
    _normalise(notebook)


def _end(client: NotebookClient) -> None:
    """End a kernel: it has no time to tell of all that went wrong with it.

    An interrupt may get lost in code that is called from C; the kernel's end is not.
    """
    client.shutdown_kernel = "immediate"
    kernel = getattr(client.km.provisioner, "process", None) if client.km else None
    if kernel:
        kernel.kill()


def write(notebook: NotebookNode, path: Path) -> None:
    """Store a notebook with sorted keys and one final newline.

    Args:
        notebook: The notebook.
        path: Where to.
    """
    nbformat.validate(notebook)
    partial = path.with_suffix(".partial")
    partial.write_text(nbformat.writes(notebook).rstrip("\n") + "\n")
    partial.replace(path)


def _store_front_picture(notebook: NotebookNode, chapter: Chapter) -> None:
    """Store the picture of the cell tagged "front-page" for README and site."""
    for cell in notebook.cells:
        if "front-page" in cell.metadata.get("tags", []):
            page = "".join(o.get("data", {}).get("text/html", "") for o in cell.outputs)
            data = page.split("base64,")[1].split('"')[0]
            picture = chapter.folder / "site" / "images" / f"{chapter.slug}.png"
            picture.parent.mkdir(parents=True, exist_ok=True)
            picture.write_bytes(base64.b64decode(data))


def _digest(cell: NotebookNode) -> str:
    kind = "text" if cell.cell_type == "markdown" else "code"
    return f"{kind}-{hashlib.sha256(cell.source.encode()).hexdigest()[:8]}"


def _normalise(notebook: NotebookNode) -> None:
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # time stamps
        for output in cell.get("outputs", []):
            # Widgets live in the kernel: their ids are random and mean nothing later.
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
