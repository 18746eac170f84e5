"""Waves go through two equations of first order, and value and speed are handed on."""

import math

import numpy as np
import torch
from torch import Tensor

from pinn import Problem, Vanilla, first_order, march
from pinn._backend import dde
from pinn.forms.conditions import condition_errors
from pinn.slabs import slab

icbc, pi = dde.icbc, math.pi


def string(end: float) -> Problem:
    """``u_tt = u_xx``, held at both ends, plucked: ``u = sin(pi x) cos(pi t)``."""
    time = dde.geometry.TimeDomain(0, end)
    strip = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), time)

    def exact(x: Tensor) -> Tensor:
        return torch.sin(pi * x[:, :1]) * torch.cos(pi * x[:, 1:])

    def speed(x: Tensor, y: Tensor, X: np.ndarray) -> Tensor:
        return dde.grad.jacobian(y, x, i=0, j=1)

    conditions = [
        icbc.DirichletBC(strip, lambda x: 0 * x[:, :1], lambda x, on: on),
        icbc.IC(strip, lambda x: np.sin(pi * x[:, :1]), lambda x, on: on),
        icbc.OperatorBC(strip, speed, lambda x, on: np.isclose(x[1], 0)),
    ]

    def flux(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        return torch.stack([-p[..., 0], p[..., 1]], dim=-1)

    return Problem(strip, flux, None, conditions, exact)


class Known(torch.nn.Module):
    """A network that is the solution, off by a number."""

    def __init__(self, problem: Problem, off: float) -> None:
        super().__init__()
        self.exact = problem.exact
        self.off = torch.nn.Parameter(torch.tensor(off, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.exact(x) + self.off


def test_a_slab_begins_with_the_last_ones_value_and_speed() -> None:
    problem = first_order(string(2.0))
    part = slab(problem, 0.7, 1.1, Known(problem, 0.0))
    errors = condition_errors(part, problem.exact)
    assert len(errors) == 4 and all(len(error) > 20 for error in errors)
    assert max(error.abs().max() for error in errors) < 1e-8
    begun = slab(problem, 0.7, 1.1, Known(problem, 0.25))
    *held, value, speed = condition_errors(begun, problem.exact)
    for error in (value, speed):
        assert torch.allclose(error, torch.full_like(error, -0.25))
    assert max(error.abs().max() for error in held) < 1e-8, "the ends are held as ever"


def test_a_string_swings() -> None:
    """Half a swing in two slabs: at its end the string is bent the other way."""
    method = Vanilla(60, 12, hidden=(10,), resample=None)
    found = march(first_order(string(1.0)), method, 2, iterations=30)
    middle = torch.tensor([[0.5, 0.0], [0.5, 0.5], [0.5, 1.0]], dtype=torch.float64)
    swing = found.predict(middle)[:, 0]
    assert torch.allclose(swing, swing.new_tensor([1.0, 0.0, -1.0]), atol=0.15)
    assert found.error() < 0.2
