import sys
from pathlib import Path

import nbformat
import pytest
from traitlets.config import Config

from course.building.release import nbgrader_config
from course.building.syllabus import Chapter
from course.grading.grade import grade
from course.grading.limits import DEFAULTS, Limits, can_limit_memory
from course.grading.outcome import Graded, report
from tests.course.grading import points, submit

SHORT = Limits(seconds=5)

ENDLESS = "def double(number):\n    while True:\n        pass"
UNSTOPPABLE = (
    "import hashlib\ndef double(number):\n"
    "    return hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"
)
HUNGRY = (
    "def double(number):\n    hoard = []\n    while True:\n"
    "        hoard.append(bytearray(10**7))"
)
HUNGRY_AT_ONCE = "hoard = []\nwhile True:\n    hoard.append(bytearray(10**7))"


@pytest.fixture
def with_two(released: Chapter) -> Chapter:
    submit(released, "ada", released.source)
    submit(released, "zoe", released.source)
    return released


def errors(folder: Path, student: str) -> list[str]:
    """The errors in an autograded notebook, in order."""
    path = folder / "autograded" / student / "01_tiny" / "01_tiny.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    outputs = [o for c in cells for o in c.get("outputs", [])]
    return [f"{o.ename}: {o.evalue}" for o in outputs if o.output_type == "error"]


def scores(graded: Graded) -> dict[str, float | None]:
    return {student: score for (student, _), score in points(graded.csv).items()}


def test_endless_submissions_cost_their_students_only(with_two: Chapter) -> None:
    released = with_two
    submit(released, "endless", released.work, {"ex01-1": ENDLESS})
    submit(released, "unstoppable", released.work, {"ex01-1": UNSTOPPABLE})

    graded = grade(root=released.folder, limits=SHORT, progress=False)

    assert scores(graded) == {"ada": 3, "endless": 0, "unstoppable": None, "zoe": 3}
    told = "this cell did not end within 5 s and was stopped"
    assert f"CellTimeoutError: {told}" in errors(released.folder, "endless")
    page = graded.feedback / "endless" / "01_tiny" / "01_tiny.html"
    assert told in page.read_text()
    assert graded.failures == {
        ("unstoppable", "01_tiny"): (
            "a cell did not end within 5 s and could not be stopped"
        )
    }


@pytest.mark.skipif(not can_limit_memory(), reason="memory is limited on Linux only")
def test_hungry_submissions_cost_their_students_only(with_two: Chapter) -> None:
    released = with_two
    limits = Limits(seconds=60, gigabytes=0.5)
    submit(released, "hungry", released.work, {"ex01-1": HUNGRY})
    submit(released, "hungry_at_once", released.work, {"ex01-1": HUNGRY_AT_ONCE})

    graded = grade(root=released.folder, limits=limits, progress=False)

    assert not graded.failures
    assert scores(graded) == {"ada": 3, "hungry": 0, "hungry_at_once": 0, "zoe": 3}
    told = "MemoryError: this cell needed more than the 0.5 GB a submission may use"
    # The memory is free again after each cell, or the next would not be judged.
    assert errors(released.folder, "hungry") == [told] * 3
    assert errors(released.folder, "hungry_at_once")[0] == told
    page = graded.feedback / "hungry" / "01_tiny" / "01_tiny.html"
    assert told.partition(": ")[2] in page.read_text()


def test_the_course_s_configuration_sets_the_default_limits(tiny: Chapter) -> None:
    config = nbgrader_config(tiny.folder)
    assert config.Execute.timeout == DEFAULTS.seconds == 120
    assert "limit_memory(4)" in config.Execute.extra_arguments[-1]


def test_other_limits_replace_the_default_ones(tiny: Chapter) -> None:
    config = nbgrader_config(tiny.folder)
    Limits(seconds=7, gigabytes=2).apply(config)
    expected = Config()
    Limits(seconds=7, gigabytes=2).apply(expected)
    assert config.Execute.timeout == 7
    assert config.Execute.extra_arguments == expected.Execute.extra_arguments
    assert "within 7 s" in config.Execute.error_on_timeout["evalue"]


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_a_system_that_cannot_limit_memory_says_so(
    platform: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graded = Graded(tmp_path, tmp_path, tmp_path, 1, {})
    monkeypatch.setattr(sys, "platform", "linux")
    assert "memory" not in report(graded)
    monkeypatch.setattr(sys, "platform", platform)
    assert "cannot limit the memory of a process" in report(graded)
