"""Run the fast tests with the lowest versions that are admitted, and with the newest.

uv resolves both from pyproject.toml ("lowest-direct": the lowest of what is named
there, with the newest of what those need) and installs them into a temporary folder,
one after the other, because PyTorch with CUDA takes 6 GB. Fast are the contracts that
every method of the library keeps, and what the course needs of Jupyter. Stored outputs
are made with constraints.txt: with other versions their last digits may differ, so that
chapters are not compared. A row is made again when pyproject.toml asks for something
else; ``--again`` makes both, because the newest versions move.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

from packaging.requirements import Requirement

from tests.benchmarks import record

ROOT = record.ROOT
RESULTS = record.RESULTS / "versions.json"
RESOLUTIONS = {"lowest": "lowest-direct", "newest": "highest"}
FAST = [
    "tests/unroll/test_import.py",
    "tests/unroll/networks/test_contract.py",
    "tests/unroll/solvers/test_contract.py",
    "tests/modular/test_contract.py",
    "tests/pinn/test_import.py",
    "tests/pinn/test_contract.py",
    "tests/course/building/test_bake.py",
    "tests/course/test_kit.py",
    "tests/course/building/test_release.py",
]


def measure(resolution: str, folder: Path) -> dict:
    """Install one end of the ranges and run the tests there.

    Args:
        resolution: What uv calls it.
        folder: An empty folder for the virtual environment.

    Returns:
        The versions of what pyproject.toml names, how many tests passed and were
        skipped, and the failed ones by name.
    """
    python = folder / "bin" / "python"
    _uv("venv", "--quiet", "--python", sys.executable, "--clear", str(folder))
    where = ("--python", str(python), "--resolution", resolution)
    _uv("pip", "install", "--quiet", *where, "-r", "pyproject.toml", "--extra", "test")
    report = folder / "report.xml"
    line = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(
        [*line, f"--junitxml={report}", *FAST], cwd=ROOT, env=environment, check=False
    )
    listed = _uv("pip", "list", "--python", str(python), "--format", "json")
    found = {_normalised(p["name"]): p["version"] for p in json.loads(listed)}
    versions = {name: found[name] for name in named() if name in found}
    return {"versions": versions, **count(report.read_text())}


def requirements() -> list[str]:
    """Return what is asked for by the library, its tests and the extras these need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found, extras = list(project["dependencies"]), ["test"]
    for extra in extras:  # grows: an extra may need others of this project
        for text in project["optional-dependencies"][extra]:
            asked = Requirement(text)
            if _normalised(asked.name) != project["name"]:
                found.append(text)
            else:
                extras += sorted(asked.extras - {*extras})
    return found


def named() -> list[str]:
    """Return the packages that pyproject.toml names."""
    return [_normalised(Requirement(text).name) for text in requirements()]


def count(report: str) -> dict:
    """Count the verdicts in a JUnit report.

    Args:
        report: The XML that pytest wrote.

    Returns:
        Numbers of "passed" and "skipped" tests, and the names of the "failed".
    """
    verdicts: dict[str, list[str]] = {"passed": [], "skipped": [], "failed": []}
    for case in ET.fromstring(report).iter("testcase"):
        tags = {child.tag for child in case}
        kind = "failed" if tags & {"failure", "error"} else "passed"
        kind = "skipped" if "skipped" in tags else kind
        verdicts[kind].append(f"{case.get('classname')}::{case.get('name')}")
    return {
        "passed": len(verdicts["passed"]),
        "skipped": len(verdicts["skipped"]),
        "failed": sorted(verdicts["failed"]),
    }


def _uv(*arguments: str) -> str:
    line = [sys.executable, "-m", "uv", *arguments]
    done = subprocess.run(line, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Measure the ends that have changed, and store each as soon as it is there."""
    for name, resolution in RESOLUTIONS.items():
        rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else {}
        asked = {"requirements": requirements()}
        if rows.get(name, {}).items() >= asked.items() and "--again" not in sys.argv:
            continue
        with tempfile.TemporaryDirectory() as folder:
            row = measure(resolution, Path(folder) / "environment")
        rows[name] = {"date": record.machine(())["date"], **row, **asked}
        machine = record.machine(("uv", "pytest"))
        record.write("versions", {"machine": machine, "tests": FAST, "rows": rows})
        shown = {k: v for k, v in row.items() if k not in ("versions", *asked)}
        print(name, json.dumps(shown), flush=True)


if __name__ == "__main__":
    main()
