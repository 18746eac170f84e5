"""`import unroll` is light, and what it exports is what it says."""

import subprocess
import sys

import unroll

HEAVY = ("matplotlib", "sklearn", "deepxde", "scipy", "tqdm", "pandas")


def test_importing_loads_no_heavy_package():
    """In a fresh interpreter; what torch itself loads is not ours."""
    code = (
        "import sys, torch; before = set(sys.modules)\n"
        "import unroll; loaded = {m.split('.')[0] for m in set(sys.modules) - before}\n"
        f"print(sorted(loaded & set({HEAVY})), 'unroll' in loaded)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.split("\n")[0] == "[] True"


def test_every_exported_name_is_there_once():
    assert len(set(unroll.__all__)) == len(unroll.__all__)
    assert all(hasattr(unroll, name) for name in unroll.__all__)
