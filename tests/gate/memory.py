"""The most memory that a run held, over all its processes; told at its end.

The sum of what processes hold counts shared libraries once for each of them. So at
every new peak of it, the proportional share is measured, which counts them once; it is
read more slowly, and only Linux tells it.
"""

from threading import Event, Thread

import psutil
import pytest

SECONDS = 1.0
BUDGET = 6 * 2**30
_STEP = 1.01  # of the sum, at which it is worth while to look closely again


def pytest_configure(config: pytest.Config) -> None:
    """Watch from the process that has started all the others."""
    if not hasattr(config, "workerinput"):  # which a worker of xdist has
        config.pluginmanager.register(Memory(), "gate-memory")


class Memory:
    """Looks at the tree of processes once a second."""

    def __init__(self) -> None:
        self.peak = self.resident = self.processes = 0
        self._end = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def pytest_sessionstart(self) -> None:
        """Begin."""
        self._thread.start()

    def pytest_sessionfinish(self) -> None:
        """Look once more and stop."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        self.look()

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        """Say the peak; over the budget, in red."""
        over = self.peak > BUDGET
        terminalreporter.write_line(
            f"peak memory: {self.peak / 2**30:.2f} GiB in {self.processes} processes, "
            f"budget {BUDGET / 2**30:g} GiB{' EXCEEDED' if over else ''}",
            red=over,
        )

    def look(self) -> None:
        """Measure what this process and all that it started hold now."""
        me = psutil.Process()
        processes = [me, *me.children(recursive=True)]
        resident = sum(_bytes(p, close=False) for p in processes)
        if resident > _STEP * self.resident:
            self.resident = resident
            held = sum(_bytes(p, close=True) for p in processes)
            if held > self.peak:
                self.peak, self.processes = held, len(processes)

    def _watch(self) -> None:
        while not self._end.wait(SECONDS):
            self.look()


def _bytes(process: psutil.Process, *, close: bool) -> int:
    """What a process holds: resident, or its share where the system tells it."""
    try:
        if close and psutil.LINUX:
            return process.memory_full_info().pss
        return process.memory_info().rss
    except psutil.Error:  # ended since, or another user's
        return 0
