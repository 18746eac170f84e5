"""DeepXDE's examples with one coordinate."""

import numpy as np
import torch
from torch import Tensor

from pinn import HardConstraint, Problem
from pinn._backend import dde
from tests.benchmarks.pinn.example import (
    Example,
    Theirs,
    border,
    cos,
    diffusing,
    first,
    nothing,
    on,
    pi,
    second,
    sin,
)

SMALL = {"points": (16, 2), "widths": (50, 50, 50)}


def poisson_dirichlet() -> Example:
    """``-u'' = pi^2 sin(pi x)``, values at both ends."""
    line = dde.geometry.Interval(-1, 1)

    def load(x: Tensor) -> Tensor:
        return pi**2 * sin(pi * x)

    problem = Problem(
        line,
        diffusing,
        lambda x, u: load(x),
        [dde.icbc.DirichletBC(line, nothing, border)],
        lambda x: sin(pi * x),
        hard=HardConstraint(nothing, lambda x: 1 - x**2),
    )
    theirs = Theirs(lambda x, y: -second(y, x) - load(x), **SMALL)
    return Example(problem, theirs, [[0.0]])


def _parabola(right: object) -> Example:
    """``u'' = 2``, zero on the left and a condition on the right."""
    line = dde.geometry.Interval(-1, 1)
    problem = Problem(
        line,
        diffusing,
        lambda x, u: -2 + 0 * x,
        [dde.icbc.DirichletBC(line, nothing, on(0, -1)), right],
        lambda x: (x + 1) ** 2,
    )
    return Example(problem, Theirs(lambda x, y: second(y, x) - 2, **SMALL), [[0.0]])


def poisson_neumann() -> Example:
    """``u'' = 2``, the slope given on the right."""
    line = dde.geometry.Interval(-1, 1)
    return _parabola(dde.icbc.NeumannBC(line, lambda x: 2 * (x + 1), on(0, 1)))


def poisson_robin() -> Example:
    """``u'' = 2``, the slope equal to the value on the right."""
    line = dde.geometry.Interval(-1, 1)
    return _parabola(dde.icbc.RobinBC(line, lambda x, y: y, on(0, 1)))


def poisson_periodic() -> Example:
    """``-u'' = pi^2 sin(pi x)``, zero on the left, the same value on the right."""
    line = dde.geometry.Interval(-1, 1)
    dirichlet = poisson_dirichlet()
    problem = Problem(
        line,
        diffusing,
        dirichlet.problem.source,
        [
            dde.icbc.DirichletBC(line, nothing, on(0, -1)),
            dde.icbc.PeriodicBC(line, 0, on(0, 1)),
        ],
        dirichlet.problem.exact,
    )
    return Example(problem, dirichlet.theirs, [[0.0]])


def euler_beam() -> Example:
    """A beam held on the left: ``u'''' = -1``, stated as ``u'' = m``, ``m'' = -1``.

    DeepXDE takes four derivatives of one network, with the same four conditions.
    """
    line = dde.geometry.Interval(0, 1)
    left, right = on(0, 0), on(0, 1)

    def exact(x: Tensor) -> Tensor:
        bend = -(x**2) / 2 + x - 0.5
        return torch.cat([-(x**4) / 24 + x**3 / 6 - x**2 / 4, bend], dim=1)

    kinds = dde.icbc.DirichletBC, dde.icbc.NeumannBC
    ends = [(0, left), (1, right)]
    problem = Problem(
        line,
        lambda x, u, p: p,
        lambda x, u: torch.cat([u[:, 1:], -torch.ones_like(x)], dim=1),
        [
            kind(line, nothing, where, component=component)
            for component, where in ends
            for kind in kinds
        ],
        exact,
        components=2,
    )
    theirs = Theirs(
        lambda x, y: second(second(y, x), x) + 1,
        points=(10, 2),
        widths=(20, 20, 20),
        conditions=_of_one_component(line),
    )
    return Example(problem, theirs, [[0.5]])


def _of_one_component(line: object) -> list:
    """State the beam's four conditions for the deflection alone."""
    left, right = on(0, 0), on(0, 1)
    return [
        dde.icbc.DirichletBC(line, nothing, left),
        dde.icbc.NeumannBC(line, nothing, left),
        dde.icbc.OperatorBC(line, lambda x, y, _: second(y, x), right),
        dde.icbc.OperatorBC(line, lambda x, y, _: first(second(y, x), x), right),
    ]


def ode_system() -> Example:
    """An oscillator until time 10: ``u' = v``, ``v' = -u``."""
    line = dde.geometry.TimeDomain(0, 10)

    def pde(x: Tensor, y: Tensor) -> list[Tensor]:
        return [
            first(y, x, component=0) - y[:, 1:],
            first(y, x, component=1) + y[:, :1],
        ]

    problem = Problem(
        line,
        lambda x, u, p: u[..., None],
        lambda x, u: torch.cat([u[:, 1:], -u[:, :1]], dim=1),
        [
            dde.icbc.IC(line, nothing, border, component=0),
            dde.icbc.IC(line, lambda x: 1 + nothing(x), border, component=1),
        ],
        lambda x: torch.cat([sin(x), cos(x)], dim=1),
        components=2,
        hard=HardConstraint(
            lambda x: torch.cat([nothing(x), 1 + nothing(x)], dim=1),
            lambda x: x.repeat(1, 2) / 10,
        ),
    )
    theirs = Theirs(pde, points=(35, 2), widths=(50, 50, 50), adam=20_000)
    return Example(problem, theirs, [np.linspace(0, 10, 6)[1:-1].tolist()])
