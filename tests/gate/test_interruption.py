"""Interrupted in the middle of a test, a run leaves no server, kernel or browser."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.gate.interruption import MARK
from tests.gate.runs import LEAN, ROOT, line

AT_ONCE = 15  # seconds; a server that is asked politely may take sixty
STARTS = """
import subprocess, sys, time
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

SERVER = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"]

@pytest.fixture
def server():
    # In a group of its own, as browsers are; nobody ends it when its parent is killed.
    process = subprocess.Popen(SERVER, start_new_session=True)
    yield process
    process.terminate()
    process.wait()

def test_long(server, tmp_path):
    manager, client = start_new_kernel(kernel_name="python3")
    kernel = manager.provisioner.process
    Path(__file__).with_name("started").write_text(f"{server.pid} {kernel.pid}")
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """A run in the background ignores Ctrl-C, and so would all that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """With a name by which everything that a run starts can be found."""
    return {**os.environ, **LEAN, "FOUND_BY": str(tmp_path), "HOME": str(tmp_path)}


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[psutil.Process]]:
    """What bears the name; nothing of it outlives the test, whatever happens."""
    found: list[psutil.Process] = []
    yield found
    for process in alive(tmp_path):
        process.kill()


def alive(name: Path) -> list[psutil.Process]:
    """Processes that were started with the name in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            bears = process.environ().get("FOUND_BY") == str(name)
            if bears and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


@pytest.mark.parametrize(
    ("workers", "number", "to_group"),
    [
        (["-n", "2", "--dist", "loadfile"], signal.SIGINT, True),  # Ctrl-C
        (["-n", "2", "--dist", "loadfile"], signal.SIGTERM, False),
        ([], signal.SIGINT, True),
        ([], signal.SIGTERM, False),
    ],
    ids=["Ctrl-C, workers", "SIGTERM, workers", "Ctrl-C", "SIGTERM"],
)
def test_an_interrupted_run_leaves_nothing(
    tmp_path: Path,
    environment: dict[str, str],
    started: list,
    workers: list[str],
    number: signal.Signals,
    to_group: bool,
) -> None:
    (tmp_path / "test_starts.py").write_text(STARTS)
    command = line(*workers, tmp_path)
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        ready = tmp_path / "started"
        deadline = time.monotonic() + 120
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1)
        server, kernel = map(int, ready.read_text().split())
        assert {server, kernel} <= {p.pid for p in alive(tmp_path)}
        (os.killpg if to_group else os.kill)(running.pid, number)
        try:
            said, _ = running.communicate(timeout=AT_ONCE)
        finally:
            running.kill()  # so that a run that goes on does not hold this one up
    assert running.returncode == pytest.ExitCode.INTERRUPTED, said
    assert "KeyboardInterrupt" in said
    assert [p.cmdline() for p in alive(tmp_path)] == []


def test_others_are_spared(tmp_path: Path) -> None:
    """A run within a run ends its own processes, not those that started it."""
    (tmp_path / "test_stops.py").write_text(
        "def test_stops():\n    raise KeyboardInterrupt"
    )
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    marked = {**os.environ, **LEAN, MARK: "/another"}
    with subprocess.Popen(sleep, env=marked) as bystander:
        program = (
            "import os, subprocess, sys\n"
            f"done = subprocess.run({line(tmp_path)!r}, stdout=subprocess.DEVNULL)\n"
            "print(done.returncode)"
        )
        outer = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=marked,
            capture_output=True,
            text=True,
        )
        assert outer.stdout.split() == [str(int(pytest.ExitCode.INTERRUPTED))]
        assert bystander.poll() is None
        bystander.kill()
