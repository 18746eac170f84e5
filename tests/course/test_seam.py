"""The checks of stored outputs are checked: each kind of damage must go red."""

import base64
import io
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from course.building.bake import execute, write
from course.grading.limits import can_limit_memory
from tests.course.seam import TOLERANCE, difference, pictures

ROOT = Path(__file__).parents[2]
TWO_SECONDS = (
    "import time\nstart = time.process_time()\n"
    "while time.process_time() < start + 2:\n    pass\nprint(1)"
)


def draw(height: float, dpi: int = 90, width: str = "") -> np.ndarray:
    """Draw a curve whose peak has the given height, the axes being fixed."""
    fig, ax = plt.subplots(figsize=(7, 3), dpi=dpi)
    x = np.linspace(0, 1, 100)
    ax.plot(x, height * np.sin(np.pi * x))
    ax.set(ylim=(0, 1))
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png")
    plt.close(fig)
    data = base64.b64encode(buffer.getvalue()).decode()
    page = f'<img src="data:image/png;base64,{data}"{width}>'
    (picture,) = pictures([nbformat.from_dict({"data": {"text/html": page}})])
    return picture


def test_the_same_picture_passes_and_a_moved_curve_does_not() -> None:
    curve = draw(0.8)
    assert difference(curve, draw(0.8)) == 0
    assert difference(curve, draw(0.8 + 1e-9)) < TOLERANCE / 10
    assert difference(curve, draw(0.7)) > 1.2 * TOLERANCE
    assert difference(curve, draw(0.8, dpi=60)) == 1


def test_a_picture_is_compared_as_large_as_it_is_shown() -> None:
    """Sharp or not is decided by bytes; a moved curve is seen all the same."""
    shown = ' width="630"'
    assert draw(0.8, 180, shown).shape == draw(0.8).shape
    assert difference(draw(0.8), draw(0.8, 180, shown)) < TOLERANCE / 2
    assert difference(draw(0.7), draw(0.8, 180, shown)) > TOLERANCE


def damaged(folder: Path) -> Path:
    """A notebook in which every cell but the first two has one thing wrong."""
    show = (
        "from course.kit import figure\nimport matplotlib.pyplot as plt\n"
        "fig, ax = plt.subplots()\nax.plot([0, {top}], [0, 1])\n"
        "ax.set(xlim=(0, 1), xlabel='x', ylabel='y')\n"
        "figure(fig, caption='A line.', alt='It rises.')"
    )
    notebook = new_notebook(
        cells=[
            new_code_cell("print(1)"),
            new_code_cell(show.format(top=1)),
            new_code_cell("print(2)"),
            new_code_cell(show.format(top=0.5)),
            new_code_cell("import time\nbusy = 0"),
            new_code_cell("large = bytearray(2**20)"),
        ]
    )
    execute(notebook, folder)
    notebook.cells[2].outputs[0].text = "3\n"
    notebook.cells[3].source = show.format(top=0.3)
    notebook.cells[4].source = (
        "import time\nstart = time.process_time()\n"
        "while time.process_time() < start + 6:\n    pass"
    )
    notebook.cells[5].source = "large = bytearray(5 * 2**30)"
    path = folder / "damaged.ipynb"
    write(notebook, path)
    return path


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest prints on the damaged notebook, with a budget of 5 s a cell."""
    folder = tmp_path_factory.mktemp("damaged")
    path = damaged(folder)
    arguments = ["-v", "-p", "tests.course.seam", "-p", "no:cacheprovider"]
    arguments += ["-c", str(ROOT / "pyproject.toml"), str(path)]
    program = (
        "import sys, pytest, tests.course.seam as seam\n"
        f"seam.SLOW, seam.CELL_CPU_SECONDS = 1, 5\nsys.exit(pytest.main({arguments!r}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 1, run.stdout + run.stderr
    return run.stdout


def test_untouched_cells_pass(report: str) -> None:
    assert "Cell 0 PASSED" in report
    assert "2 passed" in report or "Cell 1 PASSED" in report


def test_another_number_fails(report: str) -> None:
    assert "Cell 2 FAILED" in report


def test_another_picture_fails(report: str) -> None:
    assert "Cell 3 FAILED" in report
    assert "picture 0 looks different from the stored one" in report


def test_a_slow_cell_fails(report: str) -> None:
    assert "Cell 4 FAILED" in report
    assert "the budget of a cell is 5 s" in report


@pytest.mark.skipif(not can_limit_memory(), reason="no limit here")
def test_more_memory_than_a_submission_may_use_fails(report: str) -> None:
    assert "Cell 5 FAILED" in report
    assert "MemoryError" in report


def test_what_the_chapters_take_is_told_at_the_end(report: str) -> None:
    told = re.search(
        r"chapters: (\d+) s of CPU in 1 notebooks, budget 1800 s; "
        r"the run took \d+\.\d min\n",
        report,
    )
    assert told, report
    assert int(told[1]) >= 6, "a cell that fails counts too"


def test_a_course_over_its_budget_fails_though_every_cell_passes(
    tmp_path: Path,
) -> None:
    """The sum is over both workers; a budget that one notebook keeps is too small."""
    for name in ("one", "two"):
        notebook = new_notebook(cells=[new_code_cell("print(1)")])
        execute(notebook, tmp_path)
        notebook.cells[0].source = TWO_SECONDS
        write(notebook, tmp_path / f"{name}.ipynb")
    arguments = ["-n", "2", "--dist", "loadfile", "-p", "tests.course.seam"]
    arguments += ["-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml")]
    program = (
        "import sys, pytest, tests.course.seam as seam\n"
        "seam.SLOW, seam.CHAPTER_CPU_SECONDS, seam.COURSE_CPU_SECONDS = 1, 1.9, 3.5\n"
        f"sys.exit(pytest.main({[*arguments, str(tmp_path)]!r}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    assert "2 passed" in run.stdout, run.stdout + run.stderr
    assert "in 2 notebooks, budget 3.5 s EXCEEDED" in run.stdout
    assert len(re.findall(r"(?:one|two).ipynb: 2 s of CPU", run.stdout)) == 2
    assert run.returncode == 1
