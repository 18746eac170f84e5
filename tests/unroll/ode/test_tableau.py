"""Runge-Kutta methods: their order, in float64, and their textbook conditions."""

import math

import pytest
import torch
from torch import Tensor

from unroll.ode import BOSH3, DOPRI5, EULER, MIDPOINT, RK4, Tableau, odeint

METHODS = {
    "EULER": EULER,
    "MIDPOINT": MIDPOINT,
    "BOSH3": BOSH3,
    "RK4": RK4,
    "DOPRI5": DOPRI5,
}
EACH = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def logistic(t: Tensor, x: Tensor) -> Tensor:
    """Depends on both: ``x' = cos(t) x (1 - x)``."""
    return torch.cos(t) * x * (1 - x)


def exact(t: float, x0: float = 0.2) -> float:
    return 1 / (1 + (1 / x0 - 1) * math.exp(-math.sin(t)))


@EACH
def test_the_error_falls_with_the_order(method: Tableau) -> None:
    errors = []
    for steps in (16, 32, 64):
        t = torch.linspace(0, 2, steps + 1, dtype=torch.float64)
        x = odeint(logistic, torch.full((1, 1), 0.2, dtype=torch.float64), t, method)
        errors.append(abs(x.item() - exact(2.0)))
    slopes = [math.log2(a / b) for a, b in zip(errors, errors[1:], strict=False)]
    assert slopes[-1] == pytest.approx(method.order, abs=0.25)


@EACH
def test_one_step_of_a_linear_equation_is_the_series(method: Tableau) -> None:
    """``x' = x``: the first terms of ``exp(h)``, as many as the order says."""
    h = torch.tensor(0.01, dtype=torch.float64)
    x = method.step(lambda t, x: x, 0 * h, h, torch.ones(1, 1, dtype=torch.float64))
    series = sum(0.01**k / math.factorial(k) for k in range(method.order + 1))
    assert x.item() == pytest.approx(series, abs=2 * 0.01 ** (method.order + 1))


@EACH
def test_the_conditions_of_the_second_order_hold(method: Tableau) -> None:
    c = [sum(row) for row in method.a]
    assert sum(method.b) == pytest.approx(1, abs=1e-14)
    if method.order >= 2:
        half = sum(b * c for b, c in zip(method.b, c, strict=True))
        assert half == pytest.approx(1 / 2, abs=1e-14)
    if method.order >= 3:
        third = sum(b * c**2 for b, c in zip(method.b, c, strict=True))
        assert third == pytest.approx(1 / 3, abs=1e-14)


@EACH
def test_back_in_time_undoes_it(method: Tableau) -> None:
    x0 = torch.full((1, 1), 0.2, dtype=torch.float64)
    t = torch.linspace(0, 1, 201, dtype=torch.float64)
    there = odeint(logistic, x0, t, method)
    back = odeint(logistic, there, t.flip(0), method)
    assert back.item() == pytest.approx(0.2, abs=2 * 0.005**method.order)


def test_two_runs_are_one() -> None:
    x0 = torch.rand(3, 2, dtype=torch.float64)
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    half = odeint(logistic, x0, t[:6])
    assert torch.equal(odeint(logistic, half, t[5:]), odeint(logistic, x0, t))


def test_refuses_by_name() -> None:
    with pytest.raises(ValueError, match=r"a has rows of \[0, 2\] entries"):
        Tableau(a=((), (1.0, 0.0)), b=(0.5, 0.5), order=1)
    with pytest.raises(ValueError, match="b has 1 entries and a 2 rows"):
        Tableau(a=((), (1.0,)), b=(1.0,), order=1)
    with pytest.raises(ValueError, match=r"b has the sum 0\.9"):
        Tableau(a=((),), b=(0.9,), order=1)
