"""Transport: its gradients by definition, its limits, its laps."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from modular import DGL, Greedy, Partition, Trainer
from modular.methods import TransportGreedy
from tests.modular.nets import batch, distance, layers, sgd, weights


class Residual(nn.Module):
    """``z + r(z)``."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.r = nn.Sequential(nn.Linear(width, width), nn.Tanh())

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z + self.r(z)


def residual(method, modules: int = 4) -> Trainer:
    """Return a trainer of an opening layer, seven residual blocks and scores."""
    torch.manual_seed(0)
    stages = [nn.Linear(5, 6), *(Residual() for _ in range(7)), nn.Linear(6, 3)]
    cuts = {4: [2, 4, 6], 2: [4]}[modules]
    heads = torch.Generator().manual_seed(1)
    net = Partition(stages, cuts=cuts, sample=batch()[0], generator=heads)
    chance = torch.Generator().manual_seed(2)
    return Trainer(net, method, optimizer=sgd, generator=chance)


@pytest.mark.parametrize("laps", [None, 1])
def test_modules_take_the_gradient_of_loss_and_energy(laps) -> None:
    tau = 0.7
    one = residual(TransportGreedy(tau, laps=laps))
    x, y = batch()
    for k, block in enumerate(one.partition.blocks):
        with torch.no_grad():
            h = x
            for earlier in one.partition.blocks[:k]:
                h = earlier.net(h)
        own, energy, z = list(block.net.parameters()), 0.0, h
        for layer in block.net:
            if isinstance(layer, Residual):
                energy = energy + layer.r(z).square().sum() / len(x)
            z = layer(z)
        factor = 2 if k in (2, 3) else 1
        loss = functional.cross_entropy(block.head(z), y) + energy / (2 * factor * tau)
        exact = torch.autograd.grad(loss, own)
        before = [p.detach().clone() for p in own]
        if laps:
            losses = one.step((x, y), phase=k)
        else:
            fresh = residual(TransportGreedy(tau))
            losses = fresh.step((x, y))
            own = list(fresh.partition.blocks[k].net.parameters())
        for p, b, g in zip(own, before, exact, strict=True):
            torch.testing.assert_close(p.detach(), b - 0.1 * g, rtol=0, atol=1e-12)
        assert losses[k].item() == pytest.approx(loss.item(), rel=1e-12)


@pytest.mark.parametrize(("laps", "plain"), [(None, DGL()), (1, Greedy())])
def test_without_stiffness_it_is_dgl_or_greedy(laps, plain) -> None:
    one, other = residual(TransportGreedy(1e200, laps=laps)), residual(plain)
    for run in (one, other):
        run.fit([batch()], epochs=3)
    assert distance(weights(one), weights(other)) < 1e-15


def moved(run: Trainer) -> float:
    """Return how far residual blocks move the data, squared."""
    z, total = batch()[0], 0.0
    with torch.no_grad():
        for layer in run.partition.whole():
            after = layer(z)
            if after.shape == z.shape:
                total += float((after - z).square().sum())
            z = after
    return total


def test_stiffness_makes_paths_short() -> None:
    ways = []
    for tau in (100.0, 1.0, 0.1):
        run = residual(TransportGreedy(tau))
        run.fit([batch()], epochs=60)
        ways.append(moved(run))
    assert ways[0] > ways[1] > ways[2]


def test_laps_go_round_and_resume_as_one() -> None:
    method = TransportGreedy(1.0, laps=3)
    assert method.plan(2, 3) == [0, 1] * 3
    assert method.plan(3, 6, phases=[2]) == [2] * 6
    one = residual(method, modules=2)
    assert one.fit([batch()], epochs=6).phase.tolist() == [0, 0, 1, 1] * 3
    with pytest.raises(ValueError, match="epochs is 4 but there are 3 laps"):
        one.fit([batch()], epochs=4)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="tau is 0.0: expected a positive"):
        TransportGreedy(0.0)
    with pytest.raises(ValueError, match="laps is 0: expected at least 1"):
        TransportGreedy(1.0, laps=0)
    with pytest.raises(TypeError, match="objective is 3: expected a Objective"):
        TransportGreedy(1.0, objective=3)


def test_what_moves_nothing_that_can_be_measured_is_refused() -> None:
    stages = [nn.Linear(5, 4), nn.Linear(4, 6), nn.Linear(6, 3)]
    net = Partition(stages, 3, sample=batch()[0])
    with pytest.raises(ValueError, match=r"module 1 has no layer .*\(4,\)"):
        Trainer(net, TransportGreedy(1.0), optimizer=sgd)
    stages = [*layers(2)[:1], nn.Linear(6, 6), nn.ReLU(inplace=True), nn.Linear(6, 3)]
    net = Partition(stages, cuts=[1], sample=batch()[0])
    with pytest.raises(ValueError, match="a ReLU overwrites its input in place"):
        Trainer(net, TransportGreedy(1.0), optimizer=sgd)


def test_a_frozen_module_pays_nothing() -> None:
    one = residual(TransportGreedy(0.5))
    one.partition.freeze(1)
    before = [p.clone() for p in one.partition.blocks[1].net.parameters()]
    one.step(batch())
    after = list(one.partition.blocks[1].net.parameters())
    assert distance(before, after) == 0
