"""What each kind of check took, chapter by chapter: told at the end of a run.

The time on the wall is told and never judged: it depends on who else computes. CPU
seconds are those of a test's process and of all that it started.
"""

import os
from collections import Counter
from collections.abc import Generator, Mapping

import psutil
import pytest

from course.building.syllabus import chapters
from tests.gate.places import KINDS, Place, place

_NAME = "gate-clock"


def pytest_configure(config: pytest.Config) -> None:
    """Measure where tests run; add up where results arrive."""
    if not hasattr(config, "workerinput"):  # which a worker of xdist has
        config.pluginmanager.register(Clock(), _NAME)
    config.pluginmanager.register(Meter(), "gate-meter")


class Meter:
    """Adds to every report the CPU seconds since the one before."""

    def __init__(self) -> None:
        self.before = 0.0

    def pytest_collection_finish(self) -> None:
        """Start: what is imported to find the tests is no test's."""
        self.before = cpu_seconds()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Stop between the phases of a test."""
        report = yield
        now = cpu_seconds(alive=place(item.nodeid).kind == "browser")
        # It reaches the other process with the rest of the report.
        report.cpu_seconds = round(max(0.0, now - self.before), 3)
        self.before = now
        return report


class Clock:
    """Adds up wall and CPU seconds by kind and chapter."""

    def __init__(self) -> None:
        self.wall: Counter[Place] = Counter()
        self.cpu: Counter[Place] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a phase of a test; workers send theirs here."""
        where = place(report.nodeid)
        self.wall[where] += report.duration
        self.cpu[where] += getattr(report, "cpu_seconds", 0.0)  # none of a dead worker

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        """Print the table of a run in which something was about a chapter."""
        if any(where.chapter for where in self.wall):
            terminalreporter.write_sep("-", "seconds of tests, workers added up")
            for line in table(self.wall, self.cpu):
                terminalreporter.write_line(line)


def cpu_seconds(*, alive: bool = False) -> float:
    """Return the CPU seconds of this process and of those it started that have ended.

    Args:
        alive: Whether to count those that still run, too: servers and browsers serve
            many tests. It takes some milliseconds.

    Returns:
        The sum.
    """
    times = os.times()
    total = sum(times[:4])
    for process in psutil.Process().children(recursive=True) if alive else ():
        try:
            total += sum(process.cpu_times()[:4])  # user, system, children's two
        except psutil.Error:  # ended since
            continue
    return total


def table(wall: Mapping[Place, float], cpu: Mapping[Place, float]) -> list[str]:
    """Write a row for each chapter, one for the rest, and the sums.

    Args:
        wall: Seconds on the wall by place.
        cpu: Seconds of CPU by place.

    Returns:
        Lines of the same width.
    """
    rows = [c.slug for c in chapters() if any(p.chapter == c.slug for p in wall)]
    rows += [""] if any(not p.chapter for p in wall) else []
    names = {"": "no chapter's"}
    lines = [_line("", [*KINDS, "wall", "CPU"])]
    for row in rows:
        kinds = [wall.get(Place(kind, row), 0.0) for kind in KINDS]
        used = sum(s for where, s in cpu.items() if where.chapter == row)
        lines.append(_line(names.get(row, row), [*kinds, sum(kinds), used]))
    for name, seconds in (("wall", wall), ("CPU", cpu)):
        kinds = [_of_kind(seconds, kind) for kind in KINDS]
        sums = [sum(wall.values()), sum(cpu.values())]
        sums = [sums[0], ""] if name == "wall" else ["", sums[1]]
        lines.append(_line(f"all, {name}", [*kinds, *sums]))
    return lines


def _of_kind(seconds: Mapping[Place, float], kind: str) -> float:
    return sum(s for where, s in seconds.items() if where.kind == kind)


def _line(name: str, entries: list[str | float]) -> str:
    shown = [e if isinstance(e, str) else f"{e:.0f}" for e in entries]
    return f"{name:<20}" + "".join(f"{e:>10}" for e in shown)
