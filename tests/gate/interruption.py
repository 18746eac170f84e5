"""A run that is interrupted ends all that it has started, and at once.

Kernels and browsers live in process groups of their own, which no Ctrl-C reaches, and
a worker that is stopped can no longer stop its servers. So the first process of a run
marks the environment that all others inherit, and ends whoever bears the mark.
"""

import os
import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import NoReturn
from uuid import uuid4

import psutil
import pytest

MARK = "COURSE_TEST_RUN"


def pytest_configure(config: pytest.Config) -> None:
    """Take responsibility, in the process that has started the others."""
    if not hasattr(config, "workerinput"):  # which a worker of xdist has
        config.pluginmanager.register(Ending(), "gate-ending")


class Ending:
    """Ends the processes of one run; a run within a run bears both marks."""

    def __init__(self) -> None:
        self.mark = uuid4().hex
        self.outer = os.environ.get(MARK)
        os.environ[MARK] = f"{self.outer or ''}/{self.mark}"
        self.handler = None
        if threading.current_thread() is threading.main_thread():
            self.handler = signal.signal(signal.SIGTERM, _interrupt)

    def pytest_keyboard_interrupt(self) -> None:
        """Leave nothing running: nobody waits for results any more."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()

    def pytest_unconfigure(self) -> None:
        """Put back what was changed."""
        if self.outer is None:
            os.environ.pop(MARK, None)
        else:
            os.environ[MARK] = self.outer
        if self.handler is not None:
            signal.signal(signal.SIGTERM, self.handler)

    def processes(self) -> set[psutil.Process]:
        """Everything this run has started, whoever is its parent now."""
        me = psutil.Process()
        found = {*me.children(recursive=True)}
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):  # gone, or another user's
                if self.mark in process.environ().get(MARK, ""):
                    found.add(process)
        return found - {me, *me.parents()}


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
