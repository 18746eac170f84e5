"""Runs of pytest within a test, in processes of their own, with the gate's plugins."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
GATE = ("selection", "clock", "memory", "units", "interruption")
# The plugins of notebooks and others take seconds to load, and nothing here needs them.
LEAN = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def line(*arguments: str | Path) -> list[str]:
    """The command line of a run on other tests than this repository's own."""
    plugins = ["xdist.plugin", *(f"tests.gate.{name}" for name in GATE)]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    command += [word for plugin in plugins for word in ("-p", plugin)]
    command += ["-c", str(ROOT / "pyproject.toml"), "-o", "addopts="]
    return [*command, *map(str, arguments)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        line(*arguments),
        cwd=ROOT,
        env=os.environ | LEAN,
        capture_output=True,
        text=True,
    )
