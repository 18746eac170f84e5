"""Bregman distances against quadrature-free definitions, and what they train."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from modular.lifted import (
    BregmanNet,
    HardTanh,
    Identity,
    ImplicitSGD,
    ReLU,
    Softmax,
    SoftThreshold,
    Tanh,
)
from modular.lifted.bregman import move_states
from modular.lifted.prox import Prox
from tests.modular.nets import draw

ALL = [Identity(), ReLU(), HardTanh(), SoftThreshold(0.7), Tanh(), Softmax()]
EACH = pytest.mark.parametrize("s", ALL, ids=lambda s: type(s).__name__)
INNER = pytest.mark.parametrize("s", ALL[:-1], ids=lambda s: type(s).__name__)


def points(s: Prox, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return outputs and inputs that have nothing to do with each other."""
    return s(2 * draw(40, 5, seed=seed + 1)), 2 * draw(40, 5, seed=seed)


@EACH
def test_the_activation_is_the_proximal_map_of_its_potential(s: Prox) -> None:
    """No output does better than ``s(z)``, by the definition of the map."""
    y, z = points(s)
    best = s(z)

    def objective(u: Tensor) -> Tensor:
        return (u - z).square().sum(dim=-1) / 2 + s.potential(u)

    assert (objective(best) <= objective(y) + 1e-12).all()
    for t in (1e-3, 0.1, 0.5):
        assert (objective(best) <= objective((1 - t) * best + t * y) + 1e-12).all()


@EACH
def test_the_conjugate_is_attained_at_the_activation(s: Prox) -> None:
    y, z = points(s)
    u = s(z)
    attained = (u * z).sum(dim=-1) - u.square().sum(dim=-1) / 2 - s.potential(u)
    torch.testing.assert_close(s.conjugate(z), attained, rtol=1e-12, atol=1e-12)
    other = (y * z).sum(dim=-1) - y.square().sum(dim=-1) / 2 - s.potential(y)
    assert (s.conjugate(z) >= other - 1e-12).all()


@EACH
def test_the_distance_is_at_least_half_the_square(s: Prox) -> None:
    y, z = points(s)
    floor = (y - s(z)).square().sum(dim=-1) / 2
    assert (s.distance(y, z) >= floor - 1e-12).all()
    assert s.distance(s(z), z).abs().max() < 1e-12


@EACH
def test_its_gradient_needs_no_derivative(s: Prox) -> None:
    """``s(z) - y``, against finite differences of the distance."""
    y, z = points(s)
    step, h = torch.eye(5), 1e-5
    slopes = [
        (s.distance(y, z + h * e) - s.distance(y, z - h * e)) / (2 * h) for e in step
    ]
    torch.testing.assert_close(torch.stack(slopes, dim=-1), s(z) - y, rtol=0, atol=1e-5)


@INNER
@pytest.mark.parametrize("mu", [1e-3, 0.3, 5.0])
def test_the_proximal_step_is_a_minimiser(s: Prox, mu: float) -> None:
    y, v = points(s)
    best = s.step(v, mu)

    def objective(u: Tensor) -> Tensor:
        inner = u.square().sum(dim=-1) / 2 + s.potential(u)
        return (u - v).square().sum(dim=-1) / 2 + mu * inner

    for t in (1e-3, 0.1, 1.0):
        assert (objective(best) <= objective((1 - t) * best + t * y) + 1e-12).all()
    assert objective(best).isfinite().all()


def test_the_step_of_tanh_solves_its_equation() -> None:
    for mu in (1e-6, 1e-2, 1.0, 100.0):
        v = torch.linspace(-30, 30, 101) * min(1.0, 0.03 + mu)
        u = Tanh().step(v, mu)
        inside = u.abs() < 0.999
        left = u + mu * torch.atanh(u)
        torch.testing.assert_close(left[inside], v[inside], rtol=1e-9, atol=1e-9)


def test_cross_entropy_is_the_distance_of_softmax() -> None:
    z, target = draw(9, 4), torch.arange(9) % 4
    y = functional.one_hot(target, 4).to(z)
    exact = functional.cross_entropy(z, target, reduction="none")
    torch.testing.assert_close(Softmax().distance(y, z), exact, rtol=0, atol=1e-12)


def net(*hidden: Prox, last: Prox | None = None) -> BregmanNet:
    sizes = [6, *[8] * len(hidden), 3]
    generator = torch.Generator().manual_seed(2)
    return BregmanNet(sizes, [*hidden, last or Softmax()], generator=generator)


def labels(rows: int = 30) -> tuple[Tensor, Tensor]:
    return draw(rows, 6, seed=4), torch.eye(3)[torch.arange(rows) % 3]


def test_states_of_a_forward_pass_leave_the_loss_alone() -> None:
    one, (x, y) = net(ReLU(), Tanh(), HardTanh()), labels()
    states = [*one.states(x)[:-1], y]
    logits = one.inputs(x, states)[-1]
    loss = functional.cross_entropy(logits, y.argmax(dim=1))
    torch.testing.assert_close(one.energy(x, states), loss, rtol=0, atol=1e-12)


@INNER
def test_states_never_raise_the_energy(s: Prox) -> None:
    one, (x, y) = net(s, s), labels()
    states = [*one.states(x)[:-1], y]
    energies = [one.energy(x, states)]
    for _ in range(30):
        move_states(one, x, states)
        energies.append(one.energy(x, states))
    drops = torch.stack(energies).diff()
    assert (drops <= 1e-13).all() and drops[0] < -1e-6


def test_a_state_settles_where_its_gradient_vanishes() -> None:
    """With smooth activations, against autograd of the energy."""
    one, (x, y) = net(Tanh(), Identity()), labels()
    states = [*one.states(x)[:-1], y]
    for _ in range(1500):
        move_states(one, x, states)
    leaves = [h.detach().requires_grad_() for h in states[:-1]]
    found = torch.autograd.grad(one.energy(x, [*leaves, y]), leaves)
    assert max(float(g.abs().max()) for g in found) < 1e-6


def test_weights_take_the_gradient_of_the_energy() -> None:
    """One inner round with a small tau is a gradient step of length tau."""
    one, (x, y) = net(ReLU(), Tanh()), labels()
    states = [*one.states(x)[:-1], y]
    move_states(one, x, states)
    exact = torch.autograd.grad(
        one.energy(x, [h.detach() for h in states]), list(one.parameters())
    )
    before = [p.detach().clone() for p in one.parameters()]
    ImplicitSGD(tau=1e-7, inner=1).step(one, x, y)
    for p, b, g in zip(one.parameters(), before, exact, strict=True):
        torch.testing.assert_close((b - p.detach()) / 1e-7, g, rtol=1e-4, atol=1e-6)


@dataclass(frozen=True)
class Flat(Prox):
    """An activation whose derivative raises, whoever asks for it."""

    def __call__(self, z: Tensor) -> Tensor:
        return Raises.apply(z)

    def potential(self, y: Tensor) -> Tensor:
        return ReLU().potential(y)

    def conjugate(self, z: Tensor) -> Tensor:
        return self(z).square().sum(dim=-1) / 2

    def step(self, v: Tensor, mu: float) -> Tensor:
        return ReLU().step(v, mu)


class Raises(torch.autograd.Function):
    @staticmethod
    def forward(context, z):
        return z.clamp(min=0)

    @staticmethod
    def backward(context, gradient):
        raise AssertionError("someone took the derivative of an activation")


def test_no_derivative_of_the_activation_is_taken() -> None:
    one, other, (x, y) = net(Flat(), Flat()), net(ReLU(), ReLU()), labels()
    for _ in range(5):
        losses = {ImplicitSGD(tau=1.0).step(each, x, y) for each in (one, other)}
        assert len(losses) == 1
    with pytest.raises(AssertionError, match="someone took the derivative"):
        one(x.requires_grad_()).sum().backward()


@pytest.mark.parametrize("momentum", [False, True])
@INNER
def test_a_network_learns(s: Prox, momentum: bool) -> None:
    one, (x, y) = net(s), labels()
    method = ImplicitSGD(tau=10.0, inner=5, momentum=momentum)
    losses = [method.step(one, x, y) for _ in range(60)]
    assert losses[-1] < 0.8 * losses[0]


def test_momentum_helps_within_a_batch() -> None:
    ends = []
    for momentum in (False, True):
        one, (x, y) = net(Identity(), last=Identity()), labels()
        method = ImplicitSGD(tau=100.0, inner=40, momentum=momentum)
        ends.append([method.step(one, x, y) for _ in range(4)][-1])
    assert ends[1] < ends[0]


def test_wrong_networks_and_targets_are_refused() -> None:
    with pytest.raises(ValueError, match="there are 1 activations for 2 layers"):
        BregmanNet([3, 4, 2], [ReLU()])
    with pytest.raises(TypeError, match="activation is .*expected a Prox, as ReLU"):
        BregmanNet([3, 2], [torch.relu])
    with pytest.raises(ValueError, match="theta is -1.0: expected a finite"):
        SoftThreshold(-1.0)
    with pytest.raises(ValueError, match="tau is 0.0"):
        ImplicitSGD(tau=0.0)
    with pytest.raises(ValueError, match="inner is 0: expected at least 1"):
        ImplicitSGD(tau=1.0, inner=0)
    with pytest.raises(NotImplementedError, match="Softmax has no proximal step"):
        Softmax().step(torch.zeros(2), 1.0)
    one, (x, y) = net(ReLU()), labels()
    with pytest.raises(ValueError, match=r"y has shape \(30, 2\): expected \(30, 3\)"):
        ImplicitSGD(tau=1.0).step(one, x, y[:, :2])
    with pytest.raises(ValueError, match="y is not among the outputs of Softmax"):
        ImplicitSGD(tau=1.0).step(one, x, 2 * y)
    with pytest.raises(ValueError, match=r"y\[0, 1\] is nan"):
        ImplicitSGD(tau=1.0).step(one, x, y.where(y == 1, float("nan")))
    with pytest.raises(FloatingPointError, match="the loss is nan: try a smaller tau"):
        ImplicitSGD(tau=1.0).step(one, x * float("nan"), y)
