"""A server with one worker is the plain loop; with more, all end with one model."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.nn.functional import mse_loss

from modular.sparse import RigL, sparse_layers
from modular.sparse.wasap import Phases, retained, wasap
from tests.modular.sparse import on_ranks

ROOT = Path(__file__).parents[3]


def torchrun(processes: int, path: Path, alone: int) -> tuple[dict, list]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(processes), "-m", on_ranks.__name__]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, str(path), str(alone)],
        capture_output=True,
        text=True,
        timeout=240,
        env=environment,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return torch.load(path, weights_only=True)


def test_one_worker_is_the_plain_loop_bitwise(tmp_path: Path) -> None:
    found, _ = torchrun(2, tmp_path / "end.pt", alone=0)
    model, optimizer, topology = on_ranks.parts()
    learned = on_ranks.batches(seed=1)
    for step in range(1, on_ranks.STEPS + 1):
        x, target = next(learned)
        optimizer.zero_grad()
        mse_loss(model(x), target).backward()
        optimizer.step()
        if step % on_ranks.EVERY == 0:
            topology.step()
    expected = model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_three_workers_end_with_one_model_as_sparse_as_before(tmp_path: Path) -> None:
    found, every = torchrun(4, tmp_path / "end.pt", alone=on_ranks.ALONE)
    model, _, _ = on_ranks.parts()
    before = {name: value.shape for name, value in model.state_dict().items()}
    assert {name: value.shape for name, value in found.items()} == before
    assert all(torch.equal(one, every[0]) for one in every)
    x, target = next(on_ranks.batches(seed=99))
    untrained = mse_loss(model(x), target)
    model.load_state_dict(found)
    assert mse_loss(model(x), target) < untrained


def test_only_valid_updates_are_retained() -> None:
    g = torch.Generator().manual_seed(0)
    then = torch.randperm(50, generator=g)[:20].sort().values
    now = torch.randperm(50, generator=g)[:20].sort().values
    gradient = torch.randn(20, generator=g, dtype=torch.float64)
    dense = torch.zeros(50, dtype=torch.float64)
    dense[then] = gradient
    assert torch.equal(retained(gradient, then, now), dense[now])


def test_what_wasap_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    model, optimizer, topology = on_ranks.parts()
    rest = (mse_loss, on_ranks.batches(0), Phases(1, 1, 1))
    with pytest.raises(RuntimeError, match="a server and at least one worker"):
        wasap(model, optimizer, topology, *rest)
    with pytest.raises(TypeError, match=r"topology is .*RigL.*expected a SET"):
        wasap(model, optimizer, RigL(sparse_layers(model), 0.3), *rest)
    with_statistics = torch.nn.Sequential(model, torch.nn.BatchNorm1d(4))
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    with pytest.raises(ValueError, match=r"1\.running_mean is a buffer"):
        wasap(with_statistics, optimizer, topology, *rest)
    with pytest.raises(ValueError, match="every is 0: expected at least 1"):
        Phases(1, 1, 0)
