"""Importing the package is quiet, leaves torch alone and writes nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import torch
torch.set_default_dtype(torch.float32)
before = torch.get_default_device(), torch.get_default_dtype()
import pinn
after = torch.get_default_device(), torch.get_default_dtype()
import deepxde
net = deepxde.nn.FNN([1, 3, 1], "tanh", "Glorot normal")
print(before == after, deepxde.backend.backend_name, net.linears[0].weight.dtype)
"""


def run(program: str, home: Path, **environment: str) -> subprocess.CompletedProcess:
    env = {k: v for k, v in os.environ.items() if k != "DDE_BACKEND"}
    env |= {"HOME": str(home), "USERPROFILE": str(home), **environment}
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True
    )


def test_the_import_is_quiet_and_leaves_torch_as_it_was(tmp_path: Path) -> None:
    done = run(PROGRAM, tmp_path, MPLCONFIGDIR=str(tmp_path / "matplotlib"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True pytorch torch.float64\n"
    assert done.stderr == ""
    assert not (tmp_path / ".deepxde").exists()


def test_the_import_compiles_nothing_and_loads_no_compiler(tmp_path: Path) -> None:
    program = (
        "import sys, torch\n"
        "def compiled(*given, **options): raise AssertionError('compiled at import')\n"
        "torch.compile = compiled\n"
        "import pinn\n"
        "heavy = ('torch._dynamo', 'torch._inductor', 'skfem', 'IPython')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = run(program, tmp_path, MPLCONFIGDIR=str(tmp_path / "matplotlib"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {name!r}:
            {how}
sys.meta_path.insert(0, Block())
import pinn
"""


@pytest.mark.parametrize("name", ["deepxde", "skfem"])
def test_what_is_missing_is_named_with_the_line_that_installs_it(
    name: str, tmp_path: Path
) -> None:
    block = f"raise ModuleNotFoundError('No module named {name}', name={name!r})"
    program = BLOCKED.format(name=name, how=block)
    hidden = f"import sys; sys.modules[{name!r}] = None; import pinn"
    for done in (run(program, tmp_path), run(hidden, tmp_path)):
        assert done.returncode == 1
        assert done.stderr.strip().splitlines()[-1] == (
            f"ModuleNotFoundError: pinn needs {name}, which is not installed: "
            'pip install "beyond-the-black-box[pinn]"'
        )


def test_another_backend_is_refused(tmp_path: Path) -> None:
    done = run("import pinn", tmp_path, DDE_BACKEND="jax")
    assert done.returncode == 1
    assert "DDE_BACKEND is 'jax' but pinn needs 'pytorch'" in done.stderr


def test_deepxde_is_imported_in_one_file() -> None:
    package = Path(__file__).parents[2] / "pinn"
    found = [
        file.name
        for file in package.rglob("*.py")
        for line in file.read_text().splitlines()
        if line.strip().startswith(("import deepxde", "from deepxde"))
        and ">>>" not in line
    ]
    assert found == []  # _backend.py does it by importlib
