"""The command: four processes print the losses of one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modular.curvature import run

ROOT = Path(__file__).parents[3]
SMALL = ["--steps", "3", "--width", "8", "--batch", "64"]


def torchrun(*arguments: str) -> list[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "4", "-m", "modular.curvature.run"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [*command, *SMALL, *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        env=environment,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()


def test_torchrun_prints_the_losses_of_one_process(capsys) -> None:
    run.main(SMALL)
    alone = capsys.readouterr().out.splitlines()
    assert len(alone) == 3
    *losses, sent = torchrun("--placement", "half")
    assert losses == alone
    assert sent.startswith("sent, MiB: ") and "factors" in sent


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr("torch.distributed.init_process_group", lambda kind: None)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 0)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 3)
    with pytest.raises(SystemExit, match="--batch 64: expected a multiple of 3"):
        run.main(SMALL)


def test_unknown_placements_are_refused_with_the_list(capsys) -> None:
    with pytest.raises(SystemExit):
        run.options(["--placement", "magic"])
    assert "half" in capsys.readouterr().err
