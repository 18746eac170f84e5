"""Are the course's outputs the same on other processors and with other seeds?

Two questions, one row for each notebook and setting, each stored when it is there; a
row is made again when its notebook's code or what it prints has changed. Projects
answer the first only.

* **Processors.** nbval compares every output, as ``make test`` does, while PyTorch
  takes the instructions that every processor has (``ATEN_CPU_CAPABILITY``).
* **Seeds.** A copy of the notebook adds a number to every seed that PyTorch, NumPy or
  ``random`` is given, by the chapter or by the library. The digits of the signature
  result change then; what it decides (True, False, "above 50 %", an order) must not.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable
from functools import partial
from itertools import zip_longest
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course.building.bake import execute, project_texts
from course.building.environment import variables
from course.building.syllabus import chapters
from tests.benchmarks import record

ROOT = record.ROOT
RESULTS = record.RESULTS / "robust.json"
OLDEST = "oldest instructions"
SHIFTS = (1000, 2000, 3000)

_NUMBER = r"[-+]?\b\d[\d,.]*(?:e[-+]?\d+)?"
# A number after one of these words says where a result ends up: a decision.
_MASKED = re.compile(rf"((?:above|below|within|more than|less than) )?({_NUMBER})")
_SHIFT = """\
import random as _random
import numpy as _numpy
import torch as _torch

def _shifted(function):
    return lambda seed: function(seed + SHIFT)

class _Generator(_torch.Generator):
    def manual_seed(self, seed):
        return super().manual_seed(seed + SHIFT)

_random.seed = _shifted(_random.seed)
_numpy.random.seed = _shifted(_numpy.random.seed)
_torch.manual_seed = _shifted(_torch.manual_seed)
_torch.Generator = _Generator
"""
# Outputs are judged here, not time: old instructions cost more of it.
_PYTEST = """\
import sys, pytest, tests.course.seam as seam
seam.CELL_CPU_SECONDS = seam.CHAPTER_CPU_SECONDS = seam.COURSE_CPU_SECONDS = 1e9
seam.CELL_WALL_SECONDS = 3600
sys.exit(pytest.main(sys.argv[1:]))
"""


def compare_outputs(source: Path) -> dict:
    """Run nbval on a copy of a notebook with the instructions of every processor.

    Args:
        source: The notebook.

    Returns:
        How many cells "passed", which "failed" and why, and "cpu_seconds".
    """
    settings = {"ATEN_CPU_CAPABILITY": "default"}
    with tempfile.TemporaryDirectory() as folder:
        path, report = Path(folder) / source.name, Path(folder) / "report.xml"
        shutil.copy(source, path)
        line = [sys.executable, "-c", _PYTEST, "-q", "-p", "tests.course.seam"]
        line += ["-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml")]
        subprocess.run(
            [*line, f"--junitxml={report}", str(path)],
            cwd=ROOT,
            env=os.environ | variables() | settings,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        return verdicts(report.read_text())


def verdicts(report: str) -> dict:
    """Read what nbval found from its JUnit report."""
    cases = list(ET.fromstring(report).iter("testcase"))
    faults = {c.get("name"): c.find("failure") for c in cases}
    return {
        "passed": sum(fault is None for fault in faults.values()),
        "failed": {
            name: (fault.text or "")[-600:]
            for name, fault in faults.items()
            if fault is not None
        },
        "cpu_seconds": round(
            sum(
                float(p.get("value"))
                for c in cases
                for p in c.iter("property")
                if p.get("name") == "cpu_seconds"
            ),
            1,
        ),
    }


def compare_decisions(source: Path, shift: int) -> dict:
    """Run a chapter with other seeds; compare what its signature result decides.

    Args:
        source: The chapter's notebook.
        shift: What is added to every seed.

    Returns:
        How many lines of "decisions" there are, which "flipped" (stored, then found),
        and in which cells of the whole chapter an "error" came up.
    """
    notebook = nbformat.read(source, as_version=4)
    stored = decisions(notebook)
    setup = setup_cell(notebook)
    setup.source = _SHIFT.replace("SHIFT", str(shift)) + setup.source
    with tempfile.TemporaryDirectory() as folder:
        execute(notebook, Path(folder), stop_at_errors=False)
    pairs = zip_longest(stored, decisions(notebook), fillvalue="")
    return {
        "decisions": len(stored),
        "flipped": [list(pair) for pair in pairs if pair[0] != pair[1]],
        "error": [
            cell.id
            for cell in notebook.cells
            if any(o.output_type == "error" for o in cell.get("outputs", []))
        ],
    }


def decisions(notebook: NotebookNode) -> list[str]:
    """Return what the section "Signature result" prints, its digits masked.

    Args:
        notebook: An executed chapter.

    Returns:
        Lines of text; a number stands only where it says above or below what.
    """
    lines: list[str] = []
    inside = False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for heading in re.findall(r"^## .*", cell.source, re.MULTILINE):
                inside = heading.startswith("## Signature result")
        elif inside:
            for output in cell.outputs:
                lines += output.get("text", "").splitlines()
    return [mask(line) for line in lines if line.strip()]


def mask(line: str) -> str:
    """Put # for every number that is no bound, and one space for many.

    Example:
        >>> mask("PINN   error 0.03,  below 1e-1: True")
        'PINN error # below 1e-1: True'
    """
    masked = _MASKED.sub(lambda found: found[0] if found[1] else "#", line)
    return " ".join(masked.split())


def setup_cell(notebook: NotebookNode) -> NotebookNode:
    """Return the cell tagged "setup"."""
    return next(c for c in notebook.cells if "setup" in c.metadata.get("tags", []))


def plan() -> list[tuple[str, Path, Callable[[Path], dict]]]:
    """List all rows, those first that are most likely to find something."""
    outputs: list[tuple[str, Callable[[Path], dict]]] = [(OLDEST, compare_outputs)]
    seeds = [(f"seeds + {s}", partial(compare_decisions, shift=s)) for s in SHIFTS]
    rows = [
        (name, chapter.source, job)
        for name, job in [*outputs, *seeds]
        for chapter in chapters()
    ]
    projects = [text.with_suffix(".ipynb") for text in project_texts().values()]
    return rows + [(name, source, job) for name, job in outputs for source in projects]


def main() -> None:
    """Make the rows that are missing or whose notebook has changed."""
    forget()
    for name, source, job in plan():
        if name not in read()["rows"].get(source.stem, {}):
            store(source.stem, name, {"notebook": digest_of(source), **job(source)})


def forget() -> None:
    """Drop the rows of settings and of notebooks that are no more as they were."""
    found, rows = read(), {}
    for name, source, _ in plan():
        old = found["rows"].get(source.stem, {}).get(name)
        if old and old["notebook"] == digest_of(source):
            rows.setdefault(source.stem, {})[name] = old
    if found["rows"] != rows:
        record.write("robust", found | {"rows": rows})


def digest_of(source: Path) -> str:
    """Return what identifies a notebook's code and what it prints.

    Not its prose, and not cells that only draw: they decide nothing.
    """
    told = [
        (cell.source, [o.get("text", o.get("data")) for o in cell.outputs])
        for cell in nbformat.read(source, as_version=4).cells
        if cell.cell_type == "code" and "picture" not in cell.metadata.get("tags", [])
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]


def read() -> dict:
    """Return what has been found so far."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": {}}


def store(notebook: str, name: str, row: dict) -> None:
    """Write a row, and say what it found."""
    found = read()
    found["rows"].setdefault(notebook, {})[name] = row
    machine = record.machine(("torch", "numpy", "nbval"))
    record.write("robust", {"machine": machine, "rows": found["rows"]})
    print(notebook, name, json.dumps(row, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
