"""Waves as two equations of first order: the same solution, the same conditions."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pinn import (
    HardConstraint,
    Mesh,
    Problem,
    Wanted,
    fem,
    first_order,
    jet_of,
    relative_error,
    test_points,
    zoo,
)
from pinn._backend import dde
from pinn.forms.conditions import condition_errors

icbc, pi = dde.icbc, math.pi
LINE, TIME = dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 1)
STRIP = dde.geometry.GeometryXTime(LINE, TIME)


def flux(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
    return torch.stack([-p[..., 0], p[..., 1]], dim=-1)


def exact(x: Tensor) -> Tensor:
    """Two standing waves, one of them from rest, and a string that is pulled."""
    s, t = x[:, :1], x[:, 1:]
    standing = 0.5 * torch.sin(pi * s) * torch.cos(pi * t)
    return standing + torch.sin(3 * pi * s) * torch.sin(3 * pi * t) / 3 + s * t


def as_numpy(function: Callable[[Tensor], Tensor]) -> Callable:
    return lambda x: function(torch.as_tensor(x)).numpy()


def start(x: np.ndarray, on: bool) -> bool:
    return np.isclose(x[1], 0)


def everywhere(x: np.ndarray, on: bool) -> bool:
    return on


def speed(x: Tensor, y: Tensor, X: np.ndarray) -> Tensor:
    s = x[:, :1]
    return (
        2 * dde.grad.jacobian(y, x, i=0, j=1) - 2 * pi * torch.sin(3 * pi * s) - 2 * s
    )


def wave(operator: Callable = speed, **options: Any) -> Problem:
    conditions = [
        icbc.DirichletBC(STRIP, as_numpy(exact), everywhere),
        icbc.IC(STRIP, as_numpy(exact), everywhere),
        icbc.OperatorBC(STRIP, operator, start),
    ]
    return Problem(STRIP, flux, None, conditions, exact, **options)


def test_the_solution_of_one_is_that_of_the_other() -> None:
    problem = first_order(wave())
    assert problem.components == problem.equations == 2
    x = test_points(problem, 60)
    slopes = jet_of(exact, x, Wanted((1,))).p[:, :1, 1]
    assert torch.equal(problem.exact(x)[:, :1], exact(x))
    assert torch.allclose(problem.exact(x)[:, 1:], slopes, rtol=0, atol=1e-12)
    residual = problem.strong_residual(x, jet_of(problem.exact, x, problem.wanted))
    assert residual.shape == (len(x), 2) and residual.abs().max() < 1e-10


def test_all_conditions_hold_for_it_those_on_the_speed_too() -> None:
    problem = first_order(wave())
    errors = condition_errors(problem, problem.exact)
    assert len(errors) == 4 and all(len(e) > 20 for e in errors)
    assert max(e.abs().max() for e in errors) < 1e-8, "quotients, the rest exact"
    off = condition_errors(problem, lambda x: problem.exact(x) + 1)
    assert min(e.abs().min() for e in off) > 0.99, "each is on a component"
    begun = [c.component for c in problem.conditions if type(c) is icbc.IC]
    assert begun == [0, 1], "march hands both on"


def test_finite_elements_solve_waves_at_their_order() -> None:
    problem = first_order(wave())

    def error(n: int) -> float:
        found = fem(problem, Mesh(STRIP, n)).predict
        return relative_error(problem, found, test_points(problem, 1000))

    coarse, fine = error(8), error(16)
    assert fine < 2e-2 and coarse / fine > 3.5


def test_round_a_ring_a_wave_comes_back() -> None:
    def turning(x: Tensor) -> Tensor:
        return torch.sin(2 * pi * (x[:, :1] - x[:, 1:]))

    def rate(x: Tensor, y: Tensor, X: np.ndarray) -> Tensor:
        slope = dde.grad.jacobian(y, x, i=0, j=1)
        return slope + 2 * pi * torch.cos(2 * pi * x[:, :1])

    conditions = [
        icbc.PeriodicBC(STRIP, 0, everywhere),
        icbc.IC(STRIP, as_numpy(turning), everywhere),
        icbc.OperatorBC(STRIP, rate, start),
    ]
    problem = first_order(Problem(STRIP, flux, None, conditions, turning))
    assert len(problem.conditions) == 4
    found = fem(problem, Mesh(STRIP, 12)).predict
    assert relative_error(problem, found, test_points(problem, 1000)) < 2e-2


def test_what_is_no_wave_or_cannot_be_solved_for_its_speed_is_refused() -> None:
    with pytest.raises(ValueError, match="not of second order in time"):
        first_order(zoo.heat())
    with pytest.raises(ValueError, match="not of second order in time"):
        first_order(zoo.helmholtz_2d())
    hard = HardConstraint(lambda x: 0 * x[:, :1], lambda x: x[:, :1])
    with pytest.raises(ValueError, match="hard constraint: expected hard=None"):
        first_order(wave(hard=hard))

    def mixed(x: Tensor, y: Tensor, X: np.ndarray) -> Tensor:
        return dde.grad.jacobian(y, x, i=0, j=1) + dde.grad.jacobian(y, x, i=0, j=0)

    problem = first_order(wave(mixed))
    with pytest.raises(ValueError, match=r"conditions\[2\] is .* reads more than"):
        condition_errors(problem, problem.exact)


def test_other_conditions_stay_as_they_are() -> None:
    slope = icbc.NeumannBC(STRIP, lambda x: 0 * x[:, :1], everywhere)
    away = icbc.OperatorBC(STRIP, speed, lambda x, on: on and np.isclose(x[0], 1))
    problem = first_order(Problem(STRIP, flux, None, [slope, away]))
    assert problem.conditions == [slope, away]
