"""Implicit methods: order, stiffness, and gradients against a dense Newton's method."""

import math

import pytest
import torch
from torch import Tensor, nn

from unroll.ode import (
    CRANK_NICOLSON,
    DIRK,
    IMPLICIT_EULER,
    RK4,
    SDIRK2,
    Continuous,
    Discrete,
    Through,
    odeint,
)
from unroll.ode.newton import gmres, implicit_stage

METHODS = {
    "IMPLICIT_EULER": IMPLICIT_EULER,
    "CRANK_NICOLSON": CRANK_NICOLSON,
    "SDIRK2": SDIRK2,
}
EACH = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


class Net(nn.Module):
    """A small field that depends on time; its Jacobian is not symmetric."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.W = nn.Parameter(torch.randn(3, 2, generator=generator).double())
        self.V = nn.Parameter(2 * torch.randn(2, 3, generator=generator).double())

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.W.T + torch.sin(3 * t)) @ self.V.T


@pytest.fixture
def x0() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 2, generator=generator, dtype=torch.float64)


def times(steps: int) -> Tensor:
    """Uneven ones, so that no step may be taken for another."""
    return torch.linspace(0, 1, steps + 1, dtype=torch.float64) ** 1.5


def dense_step(method: DIRK, field, t: Tensor, h: Tensor, x: Tensor) -> Tensor:
    """One step with dense Jacobians, every iteration of Newton's in the graph."""
    stages: list[Tensor] = []
    for *row, own in method.a:
        known = x + h * sum(a * k for a, k in zip(row, stages, strict=True))
        at, y = t + (sum(row) + own) * h, known
        for _ in range(8):
            J = torch.autograd.functional.jacobian(
                lambda y, at=at: field(at, y).sum(dim=0), y, create_graph=True
            )
            M = torch.eye(x.shape[1]).double() - own * h * J.permute(1, 0, 2)
            r = known + own * h * field(at, y) - y
            y = y + torch.linalg.solve(M, r[..., None])[..., 0]
        stages.append(field(at, y))
    return x + h * sum(b * k for b, k in zip(method.b, stages, strict=True))


def gradients(field: Net, x0: Tensor, solve) -> Tensor:
    """Return the last state, and all gradients of a loss of it, in a row."""
    x0 = x0.clone().requires_grad_()
    x = solve(x0)
    loss = (x**2 * torch.arange(1.0, 9.0, dtype=x.dtype).view(4, 2)).sum()
    found = torch.autograd.grad(loss, (x0, field.W, field.V))
    return torch.cat([x.detach().flatten(), *(g.flatten() for g in found)])


@EACH
@pytest.mark.parametrize("adjoint", [Through(), Discrete(), Discrete(2)])
def test_the_adjoint_is_autograd_through_a_dense_newton(x0, method, adjoint) -> None:
    field, t = Net(), times(5)

    def dense(x: Tensor) -> Tensor:
        for start, h in zip(t[:-1], t.diff(), strict=True):
            x = dense_step(method, field, start, h, x)
        return x

    exact = gradients(field, x0, dense)
    ours = gradients(field, x0, lambda x: odeint(field, x, t, method, adjoint))
    torch.testing.assert_close(ours, exact, rtol=1e-12, atol=1e-12)


@EACH
def test_gradients_agree_with_finite_differences(x0, method) -> None:
    field, t = Net(), times(4)
    x = x0.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: odeint(field, x, t, method, Discrete(2)), x, nondet_tol=1e-12
    )
    odeint(field, x0, t, method).square().sum().backward()
    ends = []
    for h in (1e-6, -1e-6):
        with torch.no_grad():
            field.W[2, 1] += h
            ends.append(odeint(field, x0, t, method).square().sum().item())
            field.W[2, 1] -= h
    slope = (ends[0] - ends[1]) / 2e-6
    assert field.W.grad[2, 1].item() == pytest.approx(slope, rel=1e-6)


@EACH
def test_the_error_falls_with_the_order(method) -> None:
    errors = []
    for steps in (16, 32, 64):
        t = torch.linspace(0, 2, steps + 1, dtype=torch.float64)
        x0 = torch.full((1, 1), 0.2, dtype=torch.float64)
        x = odeint(lambda t, x: torch.cos(t) * x * (1 - x), x0, t, method)
        errors.append(abs(x.item() - 1 / (1 + 4 * math.exp(-math.sin(2)))))
    assert math.log2(errors[1] / errors[2]) == pytest.approx(method.order, abs=0.25)


STABLE = {  # R(z) of x' = z x, from the tables by hand
    "IMPLICIT_EULER": lambda z: 1 / (1 - z),
    "CRANK_NICOLSON": lambda z: (1 + z / 2) / (1 - z / 2),
    "SDIRK2": lambda z: (
        (1 + (math.sqrt(2) - 1) * z) / (1 - (1 - 1 / math.sqrt(2)) * z) ** 2
    ),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_step_of_a_linear_equation_is_its_stability_function(name) -> None:
    one, zero = torch.ones(1, 1).double(), torch.zeros(()).double()
    for z in (-1e6, -30.0, -1.0, -0.01, 0.3):
        x = METHODS[name].step(lambda t, x, z=z: z * x, zero, zero + 1, one)
        assert x.item() == pytest.approx(STABLE[name](z), rel=1e-9, abs=1e-11)


def test_what_is_fast_is_damped_or_kept() -> None:
    x0, t = torch.ones(1, 1).double(), torch.linspace(0, 10, 11).double()

    def last(method) -> float:
        return abs(odeint(lambda t, x: -1e4 * (x - torch.cos(t)), x0 + 1, t, method))

    assert abs(last(IMPLICIT_EULER) - abs(math.cos(10))) < 1e-3
    assert abs(last(SDIRK2) - abs(math.cos(10))) < 1e-3
    assert abs(last(CRANK_NICOLSON) - abs(math.cos(10))) > 0.5, "it rings"
    with pytest.raises(FloatingPointError, match="not finite after 100 steps"):
        odeint(lambda t, x: -1e4 * x, x0, torch.linspace(0, 10, 101).double(), RK4)


def test_samples_that_see_each_other_are_solved_together() -> None:
    """The mean of the batch is part of the field: Jacobians are not of one sample."""
    x0 = torch.randn(5, 3, generator=torch.Generator().manual_seed(2)).double()
    zero, h = torch.zeros(()).double(), torch.ones(()).double()
    field = lambda t, x: x.mean(dim=0) - 3 * x  # noqa: E731
    x = IMPLICIT_EULER.step(field, zero, h, x0)
    torch.testing.assert_close(x, x0 + field(zero, x), rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", [3, 40, 90])
def test_gmres_is_the_dense_solve(size) -> None:
    generator = torch.Generator().manual_seed(size)
    A = torch.randn(size, size, generator=generator, dtype=torch.float64) / size**0.5
    A = A + 2 * torch.eye(size, dtype=torch.float64)
    b = torch.randn(1, size, generator=generator, dtype=torch.float64)
    x = gmres(lambda v: v @ A.T, b, tol=1e-14)
    torch.testing.assert_close(x, torch.linalg.solve(A, b.T).T, rtol=1e-11, atol=1e-12)


def test_gmres_ends_after_as_many_steps_as_there_are_eigenvalues() -> None:
    values = torch.tensor([1.0, 5.0, -2.0]).repeat(10).double()
    looks = []

    def times(v: Tensor) -> Tensor:
        looks.append(1)
        return values * v

    gmres(times, torch.ones(1, 30).double(), tol=1e-12)
    assert len(looks) == 4  # three, and one for the residual
    assert torch.equal(gmres(times, torch.zeros(1, 30), 1e-6), torch.zeros(1, 30))


def test_a_field_that_ignores_the_state_or_learns_nothing() -> None:
    x0, t = torch.ones(2, 1).double(), torch.linspace(0, 1, 3).double()
    assert not odeint(lambda t, x: -x, x0, t, SDIRK2, Through()).requires_grad
    x = odeint(lambda t, x: torch.ones_like(x) * t, x0, t, CRANK_NICOLSON)
    torch.testing.assert_close(x.detach(), x0 + 0.5)
    shift = torch.ones(1).double().requires_grad_()
    x = odeint(lambda t, x: shift.expand(2, 1), x0, t, IMPLICIT_EULER, Through())
    (slope,) = torch.autograd.grad(x.sum(), shift)
    assert slope.item() == pytest.approx(2, abs=1e-12)


def test_refuses_by_name(x0) -> None:
    t = times(3)
    with pytest.raises(ValueError, match=r"rows of \[0, 1\] entries: expected 1, 2"):
        DIRK(a=((), (1.0,)), b=(0.5, 0.5), order=1)
    with pytest.raises(ValueError, match=r"b has the sum 0\.9"):
        DIRK(a=((1.0,),), b=(0.9,), order=1)
    with pytest.raises(
        ValueError, match=r"adjoint is Continuous\(\) and method a DIRK"
    ):
        odeint(Net(), x0, t, SDIRK2, Continuous())
    start = x0.clone().requires_grad_()
    x = odeint(Net(), start, t, SDIRK2, Through())
    with pytest.raises(RuntimeError, match="an implicit step knows first derivatives"):
        torch.autograd.grad(x.sum(), start, create_graph=True)


def test_an_equation_without_a_solution_is_told() -> None:
    one = torch.ones(1, 1).double()
    with pytest.raises(
        FloatingPointError, match=r"at t = 2 for a step of 1 \(last move"
    ):
        implicit_stage(lambda t, y: y**2 + 1, 2 * one[0, 0], one[0, 0], one)


def test_single_precision_is_solved_to_its_own_rounding(x0) -> None:
    field = Net().float()
    x = odeint(field, x0.float(), times(4).float(), SDIRK2)
    exact = odeint(field.double(), x0, times(4), SDIRK2)
    torch.testing.assert_close(x.double(), exact, rtol=1e-5, atol=1e-5)
