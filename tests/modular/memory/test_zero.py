"""The arithmetic of ZeRO is what PyTorch's own sharding holds, to the byte."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from modular.memory import zero
from tests.modular.memory import on_ranks

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("ranks", [2, 4])
def test_fully_shard_holds_what_stage_3_says(ranks: int, tmp_path: Path) -> None:
    """Parameters, gradients and Adam's states, on real processes."""
    path = tmp_path / "held.json"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(ranks), "-m", on_ranks.__name__, str(path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=240,
        env=environment,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    held = json.loads(path.read_text())
    model = on_ranks.network()
    shares = zero(model.parameters(), ranks, stage=3)
    assert held["sharded"] == [
        list(row)
        for row in zip(shares.parameters, shares.gradients, shares.states, strict=True)
    ]
    # ZeroRedundancyOptimizer gives whole tensors: its sum is stage 1's
    states = sum(zero(model.parameters(), 1, stage=1).states)
    assert sum(held["redundancy"]) == states
    assert max(held["redundancy"]) < states


def test_stages_share_out_one_thing_after_the_other() -> None:
    tensors = [torch.ones(8, 5), torch.ones(16)]
    count = 4 * 56 if tensors[0].dtype == torch.float32 else 8 * 56
    for stage, (p, g, k) in enumerate([(1, 1, 1), (1, 1, 4), (1, 4, 4), (4, 4, 4)]):
        found = zero(tensors, ranks=4, stage=stage, states=2)
        assert found.parameters == (count // p,) * 4
        assert found.gradients == (count // g,) * 4
        assert found.states == (2 * count // k,) * 4
        assert found.total == (count // p + count // g + 2 * count // k,) * 4


def test_rows_that_do_not_divide_leave_the_last_workers_less() -> None:
    found = zero([torch.ones(5, 3, dtype=torch.float32)], ranks=4, stage=3, states=0)
    assert found.parameters == (24, 24, 12, 0)
    whole = zero([torch.tensor(1.0, dtype=torch.float32)], ranks=2, stage=3, states=0)
    assert whole.parameters == (4, 0)


def test_what_zero_refuses() -> None:
    with pytest.raises(ValueError, match="stage is 4: expected 0, 1, 2 or 3"):
        zero([], ranks=2, stage=4)
    with pytest.raises(ValueError, match="ranks is 0"):
        zero([], ranks=0, stage=1)
    with pytest.raises(TypeError, match="states is 0.5"):
        zero([], ranks=2, stage=1, states=0.5)
