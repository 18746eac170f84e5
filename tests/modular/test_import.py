"""Importing loads the core only; the rest comes when it is asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

import modular

ROOT = Path(__file__).parents[2]
LATER = ["matplotlib", "sklearn", "modular.audit", "modular.tasks", "modular.plot"]
FAMILIES = [
    "communication",
    "compact",
    "curvature",
    "lifted",
    "memory",
    "multilevel",
    "pipeline",
    "sparse",
]
FAMILIES = [f"modular.{name}" for name in FAMILIES]


ASKED = {
    "from modular import Trainer, Processes, KernelModules, kernel": [],
    "from modular import audit": ["modular.audit"],
    "import modular; modular.tasks.Task": ["modular.audit", "modular.tasks"],
    "from modular.plot import gantt": LATER[2:],
}


def test_importing_loads_the_core_and_then_what_is_asked_for() -> None:
    """Line by line in one fresh interpreter."""
    look = f"print([m for m in {LATER + FAMILIES} if m in sys.modules])"
    code = "\n".join(["import sys", *(f"{line}\n{look}" for line in ASKED)])
    command = [sys.executable, "-c", code]
    found = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines() == [str(names) for names in ASKED.values()]


def test_every_public_name_is_there_and_listed() -> None:
    assert set(modular.__all__) <= set(dir(modular))
    assert all(getattr(modular, name) is not None for name in modular.__all__)
    assert modular.kernel.unit_gram.__module__ == "modular.objectives.kernel"
    with pytest.raises(AttributeError, match="'modular' has no attribute 'credits'"):
        _ = modular.credits
