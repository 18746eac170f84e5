"""The command: the same accuracies in one process and under torchrun."""

import os
import subprocess
import sys

import pytest

from modular import run

SMALL = ["--task", "digits", "--method", "dgl", "--depth", "2", "--width", "16"]
SMALL += ["--epochs", "1", "--modules", "2"]


def test_torchrun_prints_what_one_process_prints(capsys) -> None:
    import torch

    torch.set_default_dtype(torch.float32)  # as in a process of its own
    run.main(SMALL)
    torch.set_default_dtype(torch.float64)
    expected = capsys.readouterr().out
    assert expected.count("module") == 2
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--standalone", "-m", "modular.run", *SMALL]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        command, capture_output=True, text=True, timeout=240, env=environment
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout == expected


def test_unknown_methods_are_refused_with_the_list(capsys) -> None:
    with pytest.raises(SystemExit):
        run.options(["--method", "magic"])
    assert "interlocking" in capsys.readouterr().err


def test_a_horizon_can_be_chosen() -> None:
    chosen = run.options(["--method", "interlocking", "--horizon", "3"])
    assert run.method_of(chosen).horizon == 3
