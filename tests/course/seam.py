"""What nbval leaves unchecked: pictures, and the CPU time of cells and chapters.

nbval ignores what an image shows and how long a cell takes. This plugin looks at both
after each cell, in the same run: pictures are compared as a reader would see them,
CPU seconds are read off the kernel's process, so a busy machine does not count. What
all chapters took is added up at the end, over the workers of xdist too. A kernel gets
no more memory than a submission does while it is graded.
"""

import base64
import io
import re
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np
import psutil
import pytest
from nbformat import NotebookNode
from nbval.plugin import IPyNbCell
from PIL import Image

from course.grading.limits import DEFAULTS

CELL_CPU_SECONDS = 20
CHAPTER_CPU_SECONDS = 60
COURSE_CPU_SECONDS = 2 * 15 * 60
"""All chapters: a quarter of an hour on two cores."""

SLOW = 3
"""How many times its budget a cell, a chapter or the course may take before it fails:
the same work cost 26 s of CPU on one processor and 55 s on another, and more on a core
that others used. What is over its budget is told."""

CELL_WALL_SECONDS = 300
THUMBNAIL = (64, 32)
TOLERANCE = 0.02
"""Largest difference of two thumbnails' pixels, in the mean, black to white being 1.

Anti-aliasing in another last digit changes a mean by 1e-4; a curve that has moved by a
tenth of an axis by 0.03 and more (tested).
"""

_PNG = re.compile(r'data:image/png;base64,([A-Za-z0-9+/=]+)"(?: width="(\d+)")?')


def pytest_configure(config: pytest.Config) -> None:
    """Compare text with the course's rules; give busy machines time to answer."""
    rules = Path(__file__).parents[2] / "course" / "nbval.cfg"
    config.option.nbval_sanitize_with = str(rules)
    config.option.nbval_cell_timeout = CELL_WALL_SECONDS
    config.option.nbval_kernel_startup_timeout = 120
    if not hasattr(config, "workerinput"):  # which a worker of xdist has
        config.pluginmanager.register(Clock(), "course-clock")


class Clock:
    """Adds up what cells report; fails the run if the course takes too long.

    The time on the wall is told and never judged: it depends on who else computes.
    """

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.seconds: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a cell's CPU seconds under its notebook; workers send theirs here."""
        used = dict(report.user_properties).get("cpu_seconds")
        if report.when == "call" and used is not None:
            notebook = report.nodeid.split("::")[0]
            self.seconds[notebook] = self.seconds.get(notebook, 0) + used

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A course over its budget is a failed run, whatever its cells print."""
        if sum(self.seconds.values()) > SLOW * COURSE_CPU_SECONDS:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        """Say what the chapters took of their budget, and the whole run."""
        if not self.seconds:
            return
        used = sum(self.seconds.values())
        over = used > COURSE_CPU_SECONDS
        terminalreporter.write_line(
            f"chapters: {used:.0f} s of CPU in {len(self.seconds)} notebooks, budget "
            f"{COURSE_CPU_SECONDS} s{' EXCEEDED' if over else ''}; "
            f"the run took {(time.monotonic() - self.start) / 60:.1f} min",
            red=over,
        )
        for notebook, seconds in self.seconds.items():
            if seconds > CHAPTER_CPU_SECONDS:
                terminalreporter.write_line(
                    f"{notebook}: {seconds:.0f} s of CPU, budget "
                    f"{CHAPTER_CPU_SECONDS} s"
                )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Wait longer than nbval's fixed 5 s for a cell's outputs."""
    for item in items:
        if isinstance(item, IPyNbCell):
            item.output_timeout = 60


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Check a cell's pictures and its CPU time once nbval has compared its text."""
    if not isinstance(item, IPyNbCell):
        return (yield)
    _limit_memory(item)
    before = _cpu_seconds(item)
    result = yield
    used = _cpu_seconds(item)
    item.user_properties.append(("cpu_seconds", round(used - before, 2)))
    if item.options["check"]:
        _check_pictures(item)
    if used - before > SLOW * CELL_CPU_SECONDS:
        pytest.fail(
            f"the cell took {used - before:.0f} s of CPU: the budget of a cell is "
            f"{CELL_CPU_SECONDS} s, {SLOW} times that on slow processors",
            pytrace=False,
        )
    if used > SLOW * CHAPTER_CPU_SECONDS:
        pytest.fail(
            f"the chapter has taken {used:.0f} s of CPU by this cell: the budget of a "
            f"chapter is {CHAPTER_CPU_SECONDS} s, {SLOW} times that on slow processors",
            pytrace=False,
        )
    return result


def pictures(outputs: list[NotebookNode]) -> list[np.ndarray]:
    """Decode the pictures in a cell's outputs: greyscale arrays from 0 to 1.

    Each as large as a page shows it, also if it is stored with twice the pixels.
    """
    found = []
    for output in outputs:
        page = output.get("data", {}).get("text/html", "")
        for data, width in _PNG.findall("".join(page)):
            image = Image.open(io.BytesIO(base64.b64decode(data))).convert("L")
            if width and int(width) != image.width:
                size = (int(width), round(image.height * int(width) / image.width))
                image = image.resize(size, Image.Resampling.BOX)
            found.append(np.asarray(image, dtype=float) / 255)
    return found


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """How different two pictures look, from 0 (the same) to 1 (black and white).

    The largest of the mean differences of blocks of 8 x 8 thumbnail pixels, so that a
    change in one corner of a large picture counts. Another shape counts as 1.
    """
    if np.abs(np.subtract(one.shape, other.shape)).max() > 4:
        return 1.0
    small = [
        np.asarray(
            Image.fromarray((255 * picture).astype("uint8")).resize(
                THUMBNAIL, Image.Resampling.BOX
            ),
            dtype=float,
        )
        / 255
        for picture in (one, other)
    ]
    gap = np.abs(small[0] - small[1])
    return float(gap.reshape(4, 8, 8, 8).mean(axis=(1, 3)).max())


def _check_pictures(item: IPyNbCell) -> None:
    stored, shown = pictures(item.cell.outputs), pictures(item.test_outputs)
    if len(stored) != len(shown):
        pytest.fail(f"{len(shown)} pictures, stored are {len(stored)}", pytrace=False)
    for number, (one, other) in enumerate(zip(stored, shown, strict=True)):
        if (gap := difference(one, other)) > TOLERANCE:
            pytest.fail(
                f"picture {number} looks different from the stored one: {gap:.3f} "
                f"where {TOLERANCE} is allowed",
                pytrace=False,
            )


def _limit_memory(item: IPyNbCell) -> None:
    if psutil.LINUX:  # where the grader can, too
        size = int(DEFAULTS.gigabytes * 2**30)
        _kernel(item).rlimit(psutil.RLIMIT_DATA, (size, size))


def _kernel(item: IPyNbCell) -> psutil.Process:
    return psutil.Process(item.parent.kernel.km.provisioner.pid)


def _cpu_seconds(item: IPyNbCell) -> float:
    times = _kernel(item).cpu_times()
    return times.user + times.system
