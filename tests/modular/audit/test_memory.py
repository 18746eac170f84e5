"""Memory: local learning holds one module at a time."""

import pytest
import torch
from torch import nn

from modular import DGL, Backprop, Interlocking, Partition, Trainer, audit
from modular.meter import SavedTensors
from modular.training import worker
from modular.training.step import loss_of
from tests.modular.nets import batch, sgd


def deep(method, modules: int, depth: int = 32) -> Trainer:
    stages = [nn.Sequential(nn.Linear(16, 16), nn.Tanh()) for _ in range(depth)]
    net = Partition(stages, modules, sample=torch.zeros(1, 16))
    return Trainer(net, method, optimizer=sgd)


@pytest.mark.parametrize("modules", [2, 4, 8])
def test_local_learning_holds_one_module_at_a_time(modules: int) -> None:
    data = batch(rows=32, inputs=16, classes=16)
    whole = audit.memory(deep(Backprop(), modules), data)
    local = audit.memory(deep(DGL(), modules), data)
    assert local.peak <= 1.25 * whole.peak / modules + local.heads.max()
    assert local.peak >= 0.9 * whole.peak / modules
    assert torch.equal(local.nets[1:-1], whole.nets[1:-1])


@pytest.mark.parametrize("n", [2, 3])
def test_interlocking_holds_as_many_modules_as_its_horizon(n: int) -> None:
    data = batch(rows=32, inputs=16, classes=16)
    whole = audit.memory(deep(Backprop(), 8), data)
    some = audit.memory(deep(Interlocking(n), 8), data)
    assert 0.9 * n / 8 <= some.peak / whole.peak <= 1.25 * n / 8 + 0.05


def test_one_backward_at_the_end_would_save_nothing(monkeypatch) -> None:
    """The classical mistake: cut the graph, but keep it."""
    data = batch(rows=32, inputs=16, classes=16)
    one = deep(DGL(), 8)
    honest = audit.memory(one, data)
    kept = []
    release = worker.Worker.release

    def hoard(self) -> None:
        kept.append(getattr(self, "h_out", None))
        release(self)

    monkeypatch.setattr(worker.Worker, "release", hoard)
    take = worker.Worker.take

    def retain(self, event, gradient) -> None:
        self.step.update, update = False, self.step.update  # retain_graph
        take(self, event, gradient)
        self.step.update = update
        self.update()

    monkeypatch.setattr(worker.Worker, "take", retain)
    assert audit.memory(one, data).peak > 4 * honest.peak


def test_asking_whether_a_loss_is_finite_keeps_nothing() -> None:
    loss = (2 * torch.ones(3, requires_grad=True)).sum()
    with SavedTensors() as meter:
        assert loss_of(loss, torch.zeros(3), "module 0") == 6.0
    assert meter.peak == 0
