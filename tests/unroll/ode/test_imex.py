"""Methods for two parts: their order, what they damp, and exact gradients."""

import math

import pytest
import torch
from torch import Tensor, nn

from unroll.ode import (
    ARK2,
    IMEX,
    MIDPOINT,
    RK4,
    SDIRK2,
    Continuous,
    Discrete,
    Split,
    Through,
    newton,
    odeint,
)


class Part(nn.Module):
    """Depends on time; its Jacobian is not symmetric."""

    def __init__(self, seed: int, damping: float) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.W = nn.Parameter(torch.randn(2, 2, generator=generator).double())
        self.damping = damping

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.W.T + torch.sin(3 * t)) - self.damping * x


@pytest.fixture
def x0() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 2, generator=generator, dtype=torch.float64)


def times(steps: int) -> Tensor:
    return torch.linspace(0, 1, steps + 1, dtype=torch.float64) ** 1.5


def dense_step(field: Split, t: Tensor, h: Tensor, x: Tensor) -> Tensor:
    """The step of Ascher, Ruuth and Spiteri, written out, with Newton in the graph."""
    gamma = 1 - 1 / math.sqrt(2)
    delta = 1 - 1 / (2 * gamma)

    def solved(known: Tensor, at: Tensor) -> Tensor:
        y = known
        for _ in range(8):
            r = known + gamma * h * field.implicit(at, y) - y
            J = torch.autograd.functional.jacobian(
                lambda y: y - gamma * h * field.implicit(at, y), y, create_graph=True
            ).reshape(y.numel(), y.numel())
            y = y + torch.linalg.solve(J, r.flatten()).view_as(y)
        return y

    first = field.explicit(t, x)
    y2 = solved(x + gamma * h * first, t + gamma * h)
    g2, k2 = field.explicit(t + gamma * h, y2), field.implicit(t + gamma * h, y2)
    known = x + h * (delta * first + (1 - delta) * g2 + (1 - gamma) * k2)
    return solved(known, t + h)  # its weights are the last rows


@pytest.mark.parametrize("checkpoints", [None, 1, 3])
def test_the_discrete_adjoint_is_autograd_through_dense_steps(x0, checkpoints) -> None:
    field, t = Split(Part(0, 0.0), Part(2, 20.0)), times(6)
    wanted = (field.explicit.W, field.implicit.W)
    x = x0.clone().requires_grad_()
    ours = odeint(field, x, t, ARK2, Discrete(checkpoints))
    found = torch.autograd.grad((ours**3).sum(), (x, *wanted))
    exact = x
    for k in range(6):
        exact = dense_step(field, t[k], t[k + 1] - t[k], exact)
    slopes = torch.autograd.grad((exact**3).sum(), (x, *wanted))
    for one, other in zip((ours, *found), (exact, *slopes), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    through = odeint(field, x, t, ARK2, Through())
    again = torch.autograd.grad((through**3).sum(), (x, *wanted))
    for one, other in zip(found, again, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)


def test_the_error_falls_with_the_order(x0) -> None:
    field = Split(Part(0, 0.0), Part(2, 3.0))
    t = torch.linspace(0, 1, 801, dtype=torch.float64)
    with torch.no_grad():
        exact, errors = odeint(field, x0, t, RK4), []
        for every in (80, 40, 20):
            errors.append((odeint(field, x0, t[::every], ARK2) - exact).norm().item())
    assert math.log2(errors[1] / errors[2]) == pytest.approx(2, abs=0.25)


def test_long_steps_are_stable_where_an_explicit_method_fails() -> None:
    """And Newton's method never asks the part that is not stiff."""
    looks = []

    def mild(t: Tensor, x: Tensor) -> Tensor:
        looks.append(1)
        return torch.cos(t).expand_as(x)

    field = Split(mild, lambda t, x: -1e4 * x)
    x0, t = torch.ones(1, 1, dtype=torch.float64), torch.linspace(0, 1, 11).double()
    x = odeint(field, x0, t, ARK2)
    assert x.item() == pytest.approx(math.cos(1) / 1e4, rel=0.15)
    assert len(looks) == 10 * len(ARK2.a) + 1  # one to see what it depends on
    with torch.no_grad():
        assert odeint(field, x0, t, MIDPOINT).abs().item() > 1e10


def test_with_one_part_zero_it_is_the_other_method(x0) -> None:
    field, t = Part(2, 3.0), times(5)
    nothing = lambda t, x: 0 * x  # noqa: E731
    with torch.no_grad():
        torch.testing.assert_close(
            odeint(Split(nothing, field), x0, t, ARK2),
            odeint(field, x0, t, SDIRK2),
            rtol=1e-12,
            atol=1e-13,
        )
        solves: list = []
        plain = newton._newton
        newton._newton = lambda *args: solves.append(1) or plain(*args)
        odeint(Split(field, nothing), x0, t, ARK2)
        newton._newton = plain
        assert len(solves) == 10, "two stages of each step are solved"


def test_other_methods_take_the_sum(x0) -> None:
    split, t = Split(Part(0, 0.0), Part(2, 1.0)), times(4)
    whole = lambda t, x: split.explicit(t, x) + split.implicit(t, x)  # noqa: E731
    with torch.no_grad():
        assert torch.equal(odeint(split, x0, t, RK4), odeint(whole, x0, t, RK4))


def test_refuses_by_name(x0) -> None:
    with pytest.raises(TypeError, match="field is a Part: expected Split"):
        odeint(Part(0, 0.0), x0, times(3), ARK2)
    with pytest.raises(TypeError, match="implicit is 3: expected a field"):
        Split(Part(0, 0.0), 3)
    with pytest.raises(ValueError, match="method a IMEX: expected"):
        odeint(Split(Part(0, 0), Part(1, 0)), x0, times(3), ARK2, Continuous())
    with pytest.raises(
        ValueError, match=r"row 1 has the sum 0\.5 in explicit and 1 in"
    ):
        IMEX(
            explicit=((), (0.5,)),
            a=((0.0,), (0.0, 1.0)),
            explicit_b=(0.0, 1.0),
            b=(0.0, 1.0),
            order=1,
        )
    with pytest.raises(ValueError, match="explicit has 1 rows and a 2"):
        IMEX(((),), ((0.0,), (0.0, 1.0)), (1.0,), (0.0, 1.0), 1)
