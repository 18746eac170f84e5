"""The Lagrangian, its gradients and its fixed points, in float64."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from modular import Backprop, Trainer
from modular.lifted import SPH, AugmentedLagrangian, AuxNet, Free, Lifted, Quadratic
from tests.modular.lifted.nets import ROWS, copies, data, set_states, still
from tests.modular.nets import batch, distance, draw, partition, sgd, trainer, weights

PENALTIES = [Quadratic(3.0), AugmentedLagrangian(3.0)]
EACH = pytest.mark.parametrize("penalty", PENALTIES, ids=lambda p: type(p).__name__)


def lagrangian(one: Trainer, penalty, states: list[Tensor], kappas: list[Tensor]):
    """Return the Lagrangian, a mean over samples, by its definition."""
    x, y = batch(rows=ROWS)
    total, h = torch.zeros(()), x
    for block, state, kappa in zip(one.partition.blocks, states, kappas, strict=False):
        r = state - block.net(h)
        total = total + penalty.beta / 2 * r.square().sum() / ROWS
        if penalty.multiplies:
            total = total + (kappa * r).sum() / ROWS
        h = state
    return total + functional.cross_entropy(one.partition.blocks[-1].net(h), y)


@EACH
def test_steps_are_the_gradients_of_the_lagrangian(penalty) -> None:
    rate = 0.07
    method = Lifted(penalty, Free(ROWS, rate=rate))
    one = trainer(method, optimizer=sgd)
    states = [draw(ROWS, 6, seed=k).requires_grad_() for k in range(3)]
    kappas = [draw(ROWS, 6, seed=k + 9) for k in range(3)]
    set_states(one, [s.detach() for s in states], kappas)
    own = [p for block in one.partition.blocks for p in block.net.parameters()]
    before = weights(one)
    found = torch.autograd.grad(lagrangian(one, penalty, states, kappas), own + states)
    ins = [batch()[0], *states]
    outputs = [b.net(h) for b, h in zip(one.partition.blocks, ins, strict=True)]
    one.step(data(method))
    for p, b, g in zip(own, before, found, strict=False):
        torch.testing.assert_close(p.detach(), b - 0.1 * g, rtol=0, atol=1e-12)
    for k, (pair, g) in enumerate(zip(copies(one), found[len(own) :], strict=True)):
        moved = states[k].detach() - rate * ROWS * g
        kappa = kappas[k]
        if penalty.multiplies:
            kappa = kappa + penalty.beta * (moved - outputs[k].detach())
        for copy in pair:
            torch.testing.assert_close(copy.values, moved, rtol=0, atol=1e-12)
            torch.testing.assert_close(copy.multipliers, kappa, rtol=0, atol=1e-12)


def chain(one: Trainer) -> tuple[list[Tensor], list[Tensor]]:
    """Return the states of a forward pass, and each sample's adjoints."""
    x, y = batch(rows=ROWS)
    states, h = [], x
    for block in one.partition.blocks[:-1]:
        h = block.net(h)
        states.append(h)
    loss = functional.cross_entropy(one.partition.blocks[-1].net(h), y)
    adjoints = torch.autograd.grad(loss, states)
    return [s.detach() for s in states], [ROWS * a for a in adjoints]


def test_minus_adjoints_as_multipliers_are_backpropagation() -> None:
    method = Lifted(AugmentedLagrangian(3.0), Free(ROWS, rate=0.1))
    one, other = trainer(method, optimizer=sgd), trainer(Backprop(), optimizer=sgd)
    states, adjoints = chain(one)
    set_states(one, states, [-a for a in adjoints])
    one.step(data(method))
    other.step(batch(rows=ROWS))
    assert distance(weights(one), weights(other)) < 1e-15
    for pair, state in zip(copies(one), states, strict=True):
        torch.testing.assert_close(pair[0].values, state, rtol=0, atol=1e-14)


def test_the_sweep_of_sph_is_backpropagation_and_leaves_its_adjoints() -> None:
    method = Lifted(AugmentedLagrangian(3.0), SPH(ROWS))
    one, other = trainer(method, optimizer=sgd), trainer(Backprop(), optimizer=sgd)
    states, adjoints = chain(one)
    one.step(data(method), phase=1)
    other.step(batch(rows=ROWS))
    assert distance(weights(one), weights(other)) == 0
    for pair, state, adjoint in zip(copies(one), states, adjoints, strict=True):
        for copy in pair:
            torch.testing.assert_close(copy.values, state, rtol=0, atol=0)
            torch.testing.assert_close(copy.multipliers, -adjoint, rtol=0, atol=1e-15)


def test_after_a_sweep_modules_alone_have_the_true_gradients() -> None:
    method = Lifted(AugmentedLagrangian(3.0), SPH(ROWS))
    one = trainer(method, optimizer=still)
    one.step(data(method), phase=1)
    for worker in one.workers.values():
        worker.optimizer = sgd(worker.parameters)
    one.step(data(method))
    other = trainer(Backprop(), optimizer=sgd)
    other.step(batch(rows=ROWS))
    assert distance(weights(one), weights(other)) < 1e-15


def settled(penalty, steps: int, modules: int) -> tuple[float, float]:
    """Return the largest violation, and multiplier plus adjoint, weights fixed."""
    method = Lifted(penalty, Free(ROWS, rate=0.5 / penalty.beta))
    one = trainer(method, modules, optimizer=still)
    one.step(data(method), phase=1)
    for _ in range(steps):
        one.step(data(method))
    _, adjoints = chain(one)
    off = [pair[0].value - pair[0].found for pair in copies(one)]
    left = [p[0].multipliers + a for p, a in zip(copies(one), adjoints, strict=True)]
    return max(float(r.abs().max()) for r in off), max(
        float(e.abs().max()) for e in left
    )


def test_the_violation_of_the_penalty_falls_as_one_over_beta() -> None:
    betas = torch.tensor([30.0, 100.0, 300.0])
    left = torch.tensor([settled(Quadratic(float(b)), 40, 2)[0] for b in betas])
    slopes = left.log().diff() / betas.log().diff()
    torch.testing.assert_close(slopes, -torch.ones(2), rtol=0, atol=0.05)


def test_multipliers_leave_no_violation_and_become_minus_the_adjoints() -> None:
    violation, error = settled(AugmentedLagrangian(5.0), 150, 3)
    assert violation < 1e-8
    assert error < 1e-6
    assert settled(Quadratic(5.0), 150, 3)[0] > 1e-3


class Remembers(nn.Module):
    """A network that knows the data by heart: a row for each sample."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.x = batch(rows=ROWS)[0]
        self.scale = (ROWS / 0.1) ** 0.5  # one step of SGD(0.1) fits it exactly
        self.rows = nn.Parameter(torch.zeros(ROWS, *shape))

    def forward(self, x: Tensor) -> Tensor:
        who = (x[:, None] == self.x).all(dim=-1).to(x)
        assert torch.equal(who.sum(dim=1), torch.ones(len(x)))
        return self.scale * who @ self.rows


def test_an_auxnet_that_remembers_is_free_states() -> None:
    free = Lifted(Quadratic(2.0), Free(ROWS, rate=0.2))
    made = Lifted(Quadratic(2.0), AuxNet(Remembers, rate=0.2))
    one, other = (trainer(m, optimizer=sgd) for m in (free, made))
    x, y, index = data(free)
    for t in range(5):
        for phase in [1, 0] if t == 0 else [0]:
            order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(t))
            one.step((x[order], y[order], index[order]), phase=phase)
            other.step((x[order], y[order]), phase=phase)
    assert distance(weights(one), weights(other)) < 1e-12
    assert distance(weights(one), weights(trainer(free))) > 1e-3


def test_the_order_of_the_data_does_not_matter() -> None:
    method = Lifted(AugmentedLagrangian(2.0), Free(ROWS, rate=0.2))
    x, y, index = data(method)
    runs = []
    for seed in (0, 1):
        one = Trainer(partition(), method, optimizer=still)
        order = torch.Generator().manual_seed(seed)
        for t in range(6):
            for rows in torch.randperm(ROWS, generator=order).split(5):
                one.step((x[rows], y[rows], index[rows]), phase=int(t == 0))
        runs.append([pair[0].values for pair in copies(one)])
    assert distance(*runs) < 1e-14


def test_states_that_run_away_are_told() -> None:
    method = Lifted(Quadratic(10.0), Free(ROWS, rate=1.0))
    one = trainer(method, optimizer=still)
    one.step(data(method), phase=1)
    with pytest.raises(FloatingPointError, match="module .*Consistency.* is (inf|nan)"):
        for _ in range(400):
            one.step(data(method))
