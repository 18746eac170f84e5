"""The table at the end of a run, of figures given and of a real run."""

from pathlib import Path

import pytest

from course.building.syllabus import chapters
from tests.gate.clock import table
from tests.gate.places import KINDS, Place
from tests.gate.runs import run

ONE, TWO = (c.slug for c in chapters()[:2])
BUSY = """
import subprocess, sys, time
import pytest

BURN = "import time\\nwhile time.process_time() < {}: pass"

@pytest.mark.parametrize("chapter", ["%s"])
def test_own(chapter):
    exec(BURN.format(time.process_time() + 1))

@pytest.fixture
def late():
    yield
    subprocess.run([sys.executable, "-c", BURN.format(2)], check=True)

@pytest.mark.parametrize("chapter", ["%s"])
def test_started(chapter, late):
    pass

def test_asleep():
    time.sleep(1.5)
"""


def entries(line: str) -> list[str]:
    """A row's figures; blanks are none."""
    return line[20:].split()


def test_rows_are_chapters_and_columns_kinds() -> None:
    wall = {
        Place("nbval", ONE): 30.2,
        Place("browser", ONE): 50.4,
        Place("grading", TWO): 9.0,
        Place("other", ""): 100.0,
    }
    head, one, two, rest, all_wall, all_cpu = table(
        wall, {Place("nbval", ONE): 21.0, Place("other", ""): 70.0}
    )
    assert entries(head) == [*KINDS, "wall", "CPU"]
    rows = [row[:20].rstrip() for row in (one, two, rest)]
    assert rows == [ONE, TWO, "no chapter's"]
    assert entries(one) == ["30", "0", "0", "0", "50", "0", "81", "21"]
    assert entries(two) == ["0", "0", "0", "9", "0", "0", "9", "0"]
    assert entries(rest) == ["0", "0", "0", "0", "0", "100", "100", "70"]
    assert entries(all_wall) == ["30", "0", "0", "9", "50", "100", "190"]
    assert entries(all_cpu) == ["21", "0", "0", "0", "0", "70", "91"]


@pytest.mark.parametrize("workers", [[], ["-n", "2", "--dist", "loadfile"]])
def test_a_run_tells_what_its_tests_took(tmp_path: Path, workers: list[str]) -> None:
    """What a fixture's process needs after the test counts, too; sleep is no CPU."""
    (tmp_path / "test_busy.py").write_text(BUSY % (ONE, ONE))
    said = run(*workers, tmp_path).stdout
    assert "3 passed" in said, said
    rows = {row[:20].strip(): entries(row) for row in said.splitlines()}
    *_, wall, cpu = map(int, rows[ONE])
    assert 3 <= cpu <= wall + 1
    *_, wall, cpu = map(int, rows["no chapter's"])
    assert cpu <= 1 < wall
    assert int(rows["all, CPU"][-1]) >= 3


def test_a_run_about_no_chapter_needs_no_table(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("def test_one(): pass")
    said = run(tmp_path).stdout
    assert "1 passed" in said
    assert "workers added up" not in said
