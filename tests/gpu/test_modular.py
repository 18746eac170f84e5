"""Modular training on a GPU: the same masks, and memory as the allocator sees it."""

from functools import partial

import pytest
import torch
from torch import nn

from modular import DGL, Backprop, Partition, Processes, Trainer, audit

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine"),
]


def deep(method, modules: int, depth: int = 32, width: int = 512) -> tuple:
    torch.manual_seed(0)
    stages = [nn.Sequential(nn.Linear(width, width), nn.Tanh()) for _ in range(depth)]
    stages[-1].append(nn.Linear(width, 10))
    stages = [stage.cuda() for stage in stages]
    x = torch.randn(8192, width, device="cuda")
    y = torch.randint(10, (8192,), device="cuda")
    net = Partition(stages, modules, sample=x[:1])
    return Trainer(net, method, optimizer=partial(torch.optim.Adam, lr=1e-3)), (x, y)


def test_isolation_holds() -> None:
    one, data = deep(DGL(), 4, depth=4, width=32)
    found = audit.isolation(one, data)
    assert found.holds, found.leaks


@pytest.mark.parametrize("modules", [2, 4, 8])
def test_the_allocator_sees_what_is_saved(modules: int) -> None:
    whole = audit.memory(*deep(Backprop(), 1))
    local = audit.memory(*deep(DGL(), modules))
    assert local.peak <= 1.25 * whole.peak / modules + local.heads.max()
    assert local.allocated < 0.5 * whole.allocated + 2**26


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_give_the_weights_of_one() -> None:
    here, data = deep(DGL(), 4, depth=4, width=32)
    there, _ = deep(DGL(), 4, depth=4, width=32)
    there.partition.load_state_dict(here.partition.state_dict())
    transport = Processes(2, backend="nccl")
    there = Trainer(
        there.partition, DGL(), optimizer=there.optimizer, transport=transport
    )
    for one in (here, there):
        one.fit([data], epochs=2)
    pairs = zip(here.partition.parameters(), there.partition.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_training_stays_on_the_gpu() -> None:
    one, data = deep(DGL(), 4, depth=4, width=32)
    history = one.fit([data], epochs=3)
    assert history.loss[-1, -1] < history.loss[0, -1]
    assert next(one.partition.parameters()).is_cuda
