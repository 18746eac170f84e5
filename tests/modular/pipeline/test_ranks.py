"""Real processes compute what one does, and never wait without a word."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from modular.pipeline import OneFOneB, Ranks, run

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def torchrun(ranks: int, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(ranks), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=240, env=environment
    )


@pytest.mark.parametrize("ranks", [2, 4])
def test_every_schedule_on_real_ranks(ranks: int, tmp_path: Path) -> None:
    """The gradient, at every rank and after a step of the optimiser, and all copies."""
    path = tmp_path / "found.json"
    run = torchrun(ranks, str(HERE / "on_ranks.py"), str(path))
    assert run.returncode == 0, run.stderr
    everyone = json.loads(path.read_text())
    assert len(everyone) == ranks and len(everyone[0]) >= 10
    for found in everyone:
        for name, row in found.items():
            assert row["worst"] < 1e-12, name
            assert row["copies"], name
    if ranks == 2:
        assert run.stdout == (
            "rank 0 gave up waiting for the gradient of micro-batch 0 for stage 0, in "
            "the backward of stage 0, micro-batch 0 from rank 1 (time-out 1 s): see "
            "what that rank reports, or allow more time\n"
        )


def test_torchrun_prints_the_losses_of_one_process(capsys) -> None:
    small = ["--steps", "4", "--width", "16", "--stages", "2"]
    run.main(small)
    expected = capsys.readouterr().out
    assert expected.count("loss") == 4
    found = torchrun(2, "-m", "modular.pipeline.run", "--schedule", "chimera", *small)
    assert found.returncode == 0, found.stderr
    assert found.stdout == expected


def test_what_does_not_fit_is_refused(monkeypatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(RuntimeError, match="RANK is not set"):
        Ranks.join()
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 0)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 3)
    stages, schedule = [nn.Linear(3, 3), nn.Linear(3, 3)], OneFOneB().schedule(2, 2)
    with pytest.raises(ValueError, match="there are 3 processes: expected 2"):
        Ranks(schedule, stages, nn.MSELoss(), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="timeout is 0"):
        Ranks(schedule, stages, nn.MSELoss(), torch.zeros(1, 3), timeout=0)


def test_unknown_schedules_are_refused_with_the_list(capsys) -> None:
    with pytest.raises(SystemExit):
        run.options(["--schedule", "magic"])
    assert "zero-bubble" in capsys.readouterr().err
