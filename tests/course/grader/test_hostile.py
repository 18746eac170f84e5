"""Submissions that do more than answer, with a sandbox and without one."""

import json
import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from nbgrader.api import Gradebook

from course import ROOT
from course.building.syllabus import Chapter
from course.grading import sandbox
from course.grading.execution import LARGEST_OUTPUT
from course.grading.grade import grade
from course.grading.gradebook import impossible, write_table
from course.grading.limits import Limits
from course.grading.outcome import report
from course.grading.sandbox import can_confine, room
from tests.course.grading import points, submit

NOTHING = "\ndef double(number):\n    return None\n"
ENRICH = """
import sqlite3
with sqlite3.connect({gradebook!r}) as book:
    book.execute("update grade set manual_score = 99")
"""
RENAME = """
from pathlib import Path
Path({source!r}).rename({source!r} + ".gone")
"""
SPOIL = """
from pathlib import Path
path = Path({zoe!r})
path.write_text(path.read_text().replace("2 * number", "3 * number"))
"""
STARTUP = """
import os
from pathlib import Path
line = "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\\\n'])"
for name in ("IPYTHONDIR", "HOME"):
    folder = Path(os.environ[name], "profile_default", "startup")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "00.py").write_text(line)
import matplotlib
Path(matplotlib.get_configdir(), "matplotlibrc").write_text("lines.linewidth: 9")
"""
NEUTRAL = (
    "get_ipython().input_transformers_cleanup.append("
    "lambda lines: ['pass\\n'] if any('assert' in l for l in lines) else lines)"
)
LEAVE = """
import subprocess, sys
late = "import time; time.sleep(6); open({table!r}, 'w').write('mine')"
subprocess.Popen([sys.executable, "-c", late], start_new_session=True)
"""
CONFINED = pytest.param(
    True, marks=pytest.mark.skipif(not can_confine(), reason="no bubblewrap here")
)


@pytest.mark.parametrize("confined", [False, CONFINED])
def test_what_a_submission_does_to_others_costs_itself_only(
    released: Chapter, confined: bool
) -> None:
    tiny, folder = released, released.folder / "submitted"
    places = {
        "gradebook": str(tiny.folder / "gradebook.db"),
        "source": str(tiny.source),
        "zoe": str(folder / "zoe" / "01_tiny" / "01_tiny.ipynb"),
        "table": str(tiny.folder / "grades.csv"),
    }
    hostile = {
        "b-enrich": ENRICH,
        "c-rename": RENAME,
        "d-spoil": SPOIL,
        "e-startup": STARTUP,
        "g-neutral": NEUTRAL,
        "h-leave": LEAVE,
    }
    submit(tiny, "ada", tiny.source)
    for name, code in hostile.items():
        answer = {"ex01-1": code.format(**places) + NOTHING}
        submit(tiny, name, tiny.work, answer)
    submit(tiny, "f-victim", tiny.work, {"ex01-1": NOTHING})
    zoe = submit(tiny, "zoe", tiny.source).read_bytes()
    source = tiny.source.read_bytes()

    graded = grade(root=tiny.folder, progress=False, confined=confined)

    got = {student: score for (student, _), score in points(graded.csv).items()}
    assert got["ada"] == got["zoe"] == 3
    assert got["f-victim"] == got["e-startup"] == got["h-leave"] == 0
    assert got["g-neutral"] is None
    assert tiny.source.read_bytes() == source
    assert (folder / "zoe" / "01_tiny" / "01_tiny.ipynb").read_bytes() == zoe
    changed = {
        "b-enrich": "course/gradebook.db",
        "c-rename": "01_tiny/01_tiny.ipynb",
        "d-spoil": "01_tiny/01_tiny.ipynb",
    }
    expected = ["g-neutral, 01_tiny: its code keeps tests from failing: one that must"]
    if confined:
        assert all(got[name] == 0 for name in changed)
    else:
        assert all(got[name] is None for name in changed)
        expected = [
            f"{who}, 01_tiny: while its code ran, {what} changed; it was put back"
            for who, what in changed.items()
        ] + expected
    assert len(graded.look_again) == len(expected)
    for line, start in zip(graded.look_again, expected, strict=True):
        assert line.startswith(start)
        assert f"  LOOK AGAIN {line}" in report(graded).splitlines()
    assert ("without a sandbox" in report(graded)) is not confined
    if sys.platform == "linux":
        table = graded.csv.read_text()
        time.sleep(7)
        assert graded.csv.read_text() == table, "a process was left behind"


@pytest.mark.skipif(not can_confine(), reason="no bubblewrap here")
def test_a_sandbox_shows_neither_solutions_nor_secrets_nor_a_way_out(
    released: Chapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer asserts it from inside: what holds gives the points."""
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    tiny = released
    looks = f"""
import os, socket
from pathlib import Path
import course, unroll, numpy  # what chapters need is there

def refused(act, *arguments):
    try:
        act(*arguments)
    except OSError:
        return True
    return False

assert "GITHUB_TOKEN" not in os.environ
root = Path({str(tiny.folder)!r})
assert not list(root.glob("source/*")) and not list(root.glob("submitted/*"))
assert not (course.FOLDER / "source" / "11_ista").exists()
assert refused(Path(course.__file__).write_text, "")
assert refused((course.FOLDER / "new").touch)
assert refused(socket.create_connection, ("127.0.0.1", 22), 1)
assert sum(p.name.isdigit() for p in Path("/proc").iterdir()) < 9
Path("mine.txt").write_text("my own folder")
Path(os.environ["TMPDIR"], "mine.txt").write_text("my own folder")

def double(number):
    return 2 * number
"""
    submit(tiny, "ada", tiny.work, {"ex01-1": looks})
    graded = grade(root=tiny.folder, progress=False, confined=True)
    assert points(graded.csv) == {("ada", "01_tiny"): 3}


@pytest.mark.skipif(not can_confine(), reason="no bubblewrap here")
def test_in_a_sandbox_endless_cells_are_stopped_and_the_grader_lives(
    released: Chapter,
) -> None:
    tiny = released
    endless = "def double(number):\n    while True:\n        pass"
    kills = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nos.kill(-1, 9)"
    submit(tiny, "ada", tiny.work, {"ex01-1": endless})
    submit(tiny, "bea", tiny.work, {"ex01-1": kills})
    submit(tiny, "zoe", tiny.source)
    limits = Limits(seconds=4)
    graded = grade(root=tiny.folder, limits=limits, progress=False, confined=True)
    got = {student: score for (student, _), score in points(graded.csv).items()}
    assert not graded.failures
    assert got == {"ada": 0, "bea": 0, "zoe": 3}


def test_a_cell_cannot_fill_the_memory_of_the_grader(released: Chapter) -> None:
    tiny = released
    floods = (
        "def double(number):\n    return 2 * number\n"
        "for _ in range(5000):\n    print('x' * 10_000)\n"
        "from IPython.display import HTML, display\n"
        "for _ in range(5):\n    display(HTML('y' * 10**6))"
    )
    submit(tiny, "ada", tiny.work, {"ex01-1": floods})
    graded = grade(root=tiny.folder, progress=False)
    assert points(graded.csv) == {("ada", "01_tiny"): 3}
    copy = tiny.folder / "autograded" / "ada" / "01_tiny" / "01_tiny.ipynb"
    cells = json.loads(copy.read_text())["cells"]
    (printed,) = [c["outputs"] for c in cells if c.get("id") == "ex01-1"]
    assert LARGEST_OUTPUT < len(json.dumps(printed)) < 1.5 * LARGEST_OUTPUT
    assert "[cut: a cell may print 1000000 characters]" in json.dumps(printed)


def test_points_that_nobody_can_have_given_are_refused(released: Chapter) -> None:
    tiny = released
    for student in ("ada", "bea", "zoe"):
        submit(tiny, student, tiny.source)
    graded = grade(root=tiny.folder, progress=False)
    with Gradebook(f"sqlite:///{graded.gradebook}") as gradebook:
        where = ("ex01-1-heldout", "01_tiny", "01_tiny")
        gradebook.find_grade(*where, "ada").manual_score = 198
        gradebook.find_grade(*where, "bea").auto_score = -1
        gradebook.db.commit()
        refused = impossible(gradebook)
        write_table(gradebook, graded.csv, refused)
    told = "the gradebook holds {} of 2 points for ex01-1-heldout: not in the table"
    assert refused == {
        ("ada", "01_tiny"): told.format(198),
        ("bea", "01_tiny"): told.format(-1),
    }
    got = {student: score for (student, _), score in points(graded.csv).items()}
    assert got == {"ada": None, "bea": None, "zoe": 3}
    again = grade(root=tiny.folder, progress=False)
    assert f"ada, 01_tiny: {told.format(198)}" in again.look_again


def test_nothing_stays_of_a_room_and_what_ran_in_it(tmp_path: Path) -> None:
    import subprocess

    with room(tmp_path, confined=False) as made:
        (made.path / "home" / "left").touch()
        with_child = [sys.executable, "-c", "import time; time.sleep(60)"]
        left = subprocess.Popen(with_child, start_new_session=True)
    assert not made.path.exists()
    if sys.platform == "linux":
        assert left.poll() is not None


def test_no_sandbox_is_claimed_without_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    can_confine.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not can_confine()
    monkeypatch.undo()
    monkeypatch.setattr(sandbox.Room, "prefix", ["false"])  # it is there, and refused
    can_confine.cache_clear()
    assert not can_confine()
    can_confine.cache_clear()


@pytest.mark.parametrize(
    ("told", "clone"),
    [
        ('{"url": "file:///srv/the%20clone", "dir_info": {}}', "/srv/the clone"),
        ('{"url": "https://example.org/course.whl"}', None),
        (None, None),
    ],
)
def test_answers_are_hidden_in_the_clone_that_notebooks_import_too(
    told: str | None, clone: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teacher may grade in one clone with what was installed from another."""
    installed = SimpleNamespace(read_text={"direct_url.json": told}.get)
    monkeypatch.setattr(sandbox.metadata, "distribution", lambda name: installed)
    hidden = sandbox.solutions()
    for place in {ROOT, Path(clone) if clone else ROOT}:
        for name in ("course/source", "course/chapters", "tests/course", ".git"):
            assert place / name in hidden
    assert len(hidden) == (8 if clone else 4)
