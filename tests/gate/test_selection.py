"""``--chapter``: what is about one chapter is run, whatever its kind."""

import subprocess
import sys
from pathlib import Path

import pytest

from course.building.syllabus import chapters
from tests.gate.places import KINDS, place
from tests.gate.runs import ROOT, run

ONE, TWO = chapters()[:2]
CHAPTERS = f"""
import pytest

@pytest.mark.parametrize("name", ["{ONE.slug}", "{TWO.slug}"])
def test_about(name):
    pass

def test_of_no_chapter():
    pass
"""


@pytest.mark.parametrize("name", [TWO.id, TWO.slug], ids=["number", "slug"])
def test_one_chapter_is_run_and_the_rest_is_not(tmp_path: Path, name: str) -> None:
    (tmp_path / "test_about.py").write_text(CHAPTERS)
    said = run("-v", "--chapter", name, tmp_path).stdout
    assert "1 passed, 2 deselected" in said
    assert f"test_about[{TWO.slug}] PASSED" in said


def test_an_unknown_chapter_is_refused_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "test_about.py").write_text(CHAPTERS)
    refused = run("--chapter", "99", tmp_path)
    assert refused.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: no chapter is called '99': the course has 11" in refused.stderr


def test_every_kind_of_check_of_a_chapter_is_selected() -> None:
    paths = ["tests/course", "tests/browser", f"course/source/{TWO.slug}"]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *paths]
    command += ["--chapter", TWO.id, "-p", "no:cacheprovider"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    ids = [line for line in found.stdout.splitlines() if "::" in line]
    assert {place(nodeid) for nodeid in ids} == {(kind, TWO.slug) for kind in KINDS}
