"""Certificates: green on what is right, red on what is broken."""

import pytest
import torch
from torch import nn

from modular import DGL, Backprop, Interlocking, Partition, Trainer, audit, worker
from modular.meter import SavedTensors
from tests.modular.nets import batch, partition, sgd, trainer


def test_the_masks_are_identity_band_and_triangle() -> None:
    def reaches(method) -> list[list[int]]:
        return audit.isolation(trainer(method), batch()).reaches.int().tolist()

    assert reaches(DGL()) == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    band = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
    assert reaches(Interlocking(2)) == band
    triangle = [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert reaches(Backprop()) == triangle


def test_a_missing_detach_turns_it_red(monkeypatch) -> None:
    one = trainer(DGL())
    monkeypatch.setattr(worker, "cut", lambda h, passes: h)
    found = audit.isolation(one, batch())
    assert not found.holds
    assert "loss 1 reaches module 0, not declared" in found.leaks
    assert "loss 3 moves module 0, not declared" in found.leaks


def test_a_detach_on_the_wrong_side_turns_it_red(monkeypatch) -> None:
    """Cutting off what a module returns, not what it takes: it learns nothing."""
    one = trainer(DGL())
    forward = worker.Worker.forward

    def wrong(self, event) -> None:
        forward(self, event)
        self.h_out = self.h_out.detach()

    monkeypatch.setattr(worker.Worker, "forward", wrong)
    found = audit.isolation(one, batch())
    assert "loss 0 not moves module 0, declared" in found.leaks


def tie_weights(net: Partition) -> None:
    net.blocks[2].net[0][0].weight = net.blocks[1].net[0][0].weight


def share_norm(net: Partition) -> None:
    net.blocks[2].net[0][1] = net.blocks[1].net[0][1]


@pytest.mark.parametrize("damage", [tie_weights, share_norm])
def test_what_is_shared_behind_our_back_turns_it_red(damage) -> None:
    net = partition(norm=True)
    damage(net)
    found = audit.isolation(Trainer(net, DGL(), optimizer=sgd), batch())
    assert "loss 1 moves module 2, not declared" in found.leaks
    assert "loss 2 moves module 1, not declared" in found.leaks


def test_measurements_need_all_modules_here() -> None:
    class Elsewhere(worker.Transport):
        send_state = recv_state = send_credit = recv_credit = None

    one = Trainer(partition(), DGL(), optimizer=sgd, transport=Elsewhere())
    with pytest.raises(TypeError, match="Elsewhere.*expected InProcess"):
        audit.isolation(one, batch())


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


def test_the_meter_counts_a_storage_once_and_parameters_never() -> None:
    x = torch.ones(10, 4)
    layer = nn.Linear(4, 4)
    with SavedTensors(exclude=layer.parameters()) as meter:
        meter.label = "first"
        a = layer(x)  # saves x
        meter.label = "second"
        b = (a[:5] * a[5:]).sum()  # saves two views of a
        assert meter.now == 2 * 10 * 4 * 8
        assert meter.peaks == {"first": 320, "second": 320}
        b.backward()
    assert meter.now == 0
    assert meter.peak == 640
