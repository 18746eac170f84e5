"""The peak is found in whatever process it is; what is shared counts once."""

import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.gate.memory import Memory
from tests.gate.runs import run

HOLDS = """
import subprocess, sys

HELD = "import time; x = b'x' * ({} * 2**20); time.sleep(3)"

def test_holds():
    for size in (SIZE, 1):
        subprocess.run([sys.executable, "-c", HELD.format(size)], check=True)
"""


def peak(said: str) -> float:
    found = re.search(r"^peak memory: (\d+\.\d+) GiB in \d+ processes", said, re.M)
    assert found, said
    return float(found[1])


@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
def test_the_peak_of_a_process_long_ended_is_told(
    tmp_path: Path, workers: list[str]
) -> None:
    """A worker's child holds it, in the middle of the run."""
    peaks = []
    for size in (1, 700):
        (tmp_path / "test_holds.py").write_text(HOLDS.replace("SIZE", str(size)))
        peaks.append(peak(run(*workers, tmp_path).stdout))
    assert 0.6 < peaks[1] - peaks[0] < 0.8


@pytest.mark.skipif(not psutil.LINUX, reason="only Linux tells the shares")
def test_what_processes_share_counts_once() -> None:
    """Forked from one parent, ten children hold its pages and not ten times as much."""
    program = (
        "import os, time\nx = b'x' * (200 * 2**20)\nchildren = []\n"
        "for _ in range(10):\n    child = os.fork()\n    if not child:\n"
        "        time.sleep(60)\n    children.append(child)\n"
        "print('ready', flush=True)\ntime.sleep(60)"
    )
    memory = Memory()
    memory.look()
    before = memory.peak
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        children = psutil.Process(parent.pid).children()
        memory.look()
        for process in [*children, parent]:
            process.kill()
    assert memory.processes >= 12
    assert 180 * 2**20 < memory.peak - before < 400 * 2**20


def test_above_the_budget_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("def test_one(): pass")
    assert "EXCEEDED" not in run(tmp_path).stdout
    (tmp_path / "conftest.py").write_text(
        "import tests.gate.memory as memory\nmemory.BUDGET = 2**20"
    )
    assert "budget 0.000976562 GiB EXCEEDED" in run(tmp_path).stdout
