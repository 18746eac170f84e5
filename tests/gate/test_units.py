"""With two workers, chapters of one file are dealt singly, and files stay whole."""

import json
import re
from pathlib import Path

from course.building.syllabus import chapters
from tests.gate.runs import run

NAMES = [c.slug for c in chapters()[:4]]
ABOUT = """
import json, os, time
from pathlib import Path
import pytest

def note(what):
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    with (Path(__file__).parent / "notes").open("a") as file:
        file.write(json.dumps([what, worker]) + "\\n")
    time.sleep(0.3)
"""
CHAPTERS = (
    ABOUT
    + f"""
@pytest.mark.parametrize("name", {NAMES})
def test_one(name):
    note(name)

@pytest.mark.parametrize("name", {NAMES})
def test_two(name):
    note(name)
"""
)
PLAIN = (
    ABOUT
    + """
@pytest.mark.parametrize("name", list("abcdef"))
def test_one(name):
    note("plain")
"""
)


def workers(folder: Path, *options: str) -> dict[str, set[str | None]]:
    """Which workers ran the tests about what."""
    (folder / "test_grading.py").write_text(CHAPTERS)
    (folder / "test_plain.py").write_text(PLAIN)
    said = run("-n", "2", *options, folder).stdout
    assert re.search(r"(14|28) passed", said), said
    found: dict[str, set[str | None]] = {}
    for note in (folder / "notes").read_text().splitlines():
        what, worker = json.loads(note)
        found.setdefault(what, set()).add(worker)
    return found


def test_a_chapter_stays_together_and_a_file_is_shared(tmp_path: Path) -> None:
    found = workers(tmp_path, "--dist", "loadfile", "--no-loadscope-reorder")
    assert {len(of) for of in found.values()} == {1}
    assert set().union(*(found[name] for name in NAMES)) == {"gw0", "gw1"}


def test_another_way_of_dealing_is_left_alone(tmp_path: Path) -> None:
    assert {len(of) for of in workers(tmp_path, "--dist", "each").values()} == {2}
