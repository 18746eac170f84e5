"""An equation of second order in time as two of first order."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinn._backend import dde
from pinn.derivatives.deepxde_cache import solved_for_slope
from pinn.domains.border import undisturbed
from pinn.forms.fem_border import prescribed
from pinn.problem import Problem

__all__ = ["first_order"]

_STEP = 1e-5  # of difference quotients, as a share of the time
_PLACES = 50


def first_order(problem: Problem) -> Problem:
    r"""State a wave with its speed for a component of its own.

    .. math:: \operatorname{div} F(x, u, \nabla u) = s \quad \text{becomes} \quad
              u_t = v, \qquad \operatorname{div} F(x, u, (\nabla_x u, v)) = s.

    Components ``u`` come first, then ``v``. What is prescribed for ``u`` on the border
    is prescribed for ``v`` by its difference quotient in time, an ``OperatorBC`` on the
    slope at the first time becomes an ``IC`` of ``v``, and what is periodic stays so.
    So stated, a wave can be solved by :func:`pinn.fem` and :func:`pinn.march`.
    Bangerth, Geiger and Rannacher 2010, Comput. Methods Appl. Math. 10(2), section 2.

    Args:
        problem: A balance law in time whose flux along time reads the slope in time.

    Returns:
        The problem with twice the components.

    Raises:
        ValueError: If the problem is not of second order in time, has a hard
            constraint, or a condition on the first slope that cannot be solved for it.

    Example:
        >>> import deepxde as dde
        >>> line, time = dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 1)
        >>> strip = dde.geometry.GeometryXTime(line, time)
        >>> wave = Problem(
        ...     strip, lambda x, u, p: torch.stack([-p[..., 0], p[..., 1]], dim=-1)
        ... )
        >>> first_order(wave).components
        2
    """
    flux, last = problem.check_balance_law("first_order"), problem.dim - 1
    if not problem.in_time or (last, last) not in problem.wanted.second:
        raise ValueError("problem is not of second order in time: expected a wave")
    if problem.hard is not None:
        raise ValueError("problem has a hard constraint: expected hard=None")
    count = problem.components

    def both(x: Tensor, w: Tensor, p: Tensor) -> Tensor:
        u, v = w[:, :count], w[:, count:]
        moves = torch.zeros_like(p[:, :count])
        moves = torch.cat([moves[..., :-1], u[..., None]], dim=-1)
        slopes = torch.cat([p[:, :count, :-1], v[..., None]], dim=-1)
        return torch.cat([moves, flux(x, u, slopes)], dim=1)

    def source(x: Tensor, w: Tensor) -> Tensor:
        u, v = w[:, :count], w[:, count:]
        rest = 0 * u if problem.source is None else problem.source(x, u)
        return torch.cat([v, rest], dim=1)

    conditions = [
        new
        for k, condition in enumerate(problem.conditions)
        for new in _conditions(problem, condition, k)
    ]
    exact = None if problem.exact is None else _with_speed(problem.exact)
    unknowns = problem.unknowns
    return Problem(
        problem.geometry,
        both,
        source,
        conditions,
        exact,
        components=2 * count,
        unknowns=unknowns,
    )


def _with_speed(exact: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Add the derivative by time to a function of points."""

    def both(x: Tensor) -> Tensor:
        tracked = x.requires_grad and torch.is_grad_enabled()
        with torch.enable_grad():
            x = x if tracked else x.detach().requires_grad_()
            u = exact(x)
            slopes = [
                torch.autograd.grad(c.sum(), x, create_graph=True)[0][:, -1]
                for c in u.unbind(1)
            ]
            found = torch.cat([u, torch.stack(slopes, dim=1)], dim=1)
        return found if tracked else found.detach()

    return both


def _conditions(problem: Problem, condition: Any, k: int) -> list[Any]:
    """Return a condition, and what follows from it for the speed."""
    geometry, count, icbc = problem.geometry, problem.components, dde.icbc
    if type(condition) is icbc.DirichletBC:
        values = _quotient(condition, float(geometry.timedomain.t1))
        speed = icbc.DirichletBC(
            geometry, values, _where(condition), component=condition.component + count
        )
        return [condition, speed]
    if type(condition) is icbc.PeriodicBC:
        speed = icbc.PeriodicBC(
            geometry,
            condition.component_x,
            _where(condition),
            derivative_order=condition.derivative_order,
            component=condition.component + count,
        )
        return [condition, speed]
    if type(condition) is icbc.OperatorBC and _at_first(problem, condition):
        if count > 1:
            raise ValueError(
                f"conditions[{k}] is an OperatorBC and the problem has {count} "
                "components: first_order expects one component"
            )

        def values(x: np.ndarray) -> np.ndarray:
            flat = torch.full(x.shape, torch.nan, dtype=torch.float64)
            n = torch.zeros_like(flat)
            flat[:, -1], n[:, -1] = 0, 1
            u, who = flat[:, :1], f"conditions[{k}] is an OperatorBC that first_order"
            found = solved_for_slope(condition.func, x, u, flat, n, who)
            return found.detach().numpy()[:, None]

        speed = icbc.IC(geometry, values, _where(condition), component=count)
        return [speed]
    return [condition]


def _where(condition: Any) -> Callable[[np.ndarray, bool], bool]:
    """Return where a condition holds, as one point after the other is asked."""
    return lambda x, on: bool(condition.on_boundary(x[None], np.array([on]))[0])


def _quotient(condition: Any, end: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return the difference quotient in time of what a condition prescribes."""

    def values(x: np.ndarray) -> np.ndarray:
        move = np.zeros(x.shape[1])
        move[-1] = _STEP * end
        change = prescribed(condition, x + move) - prescribed(condition, x - move)
        return change[:, None] / (2 * move[-1])

    return values


def _at_first(problem: Problem, condition: Any) -> bool:
    """Tell whether a condition holds at the first time."""
    with undisturbed():
        start = problem.geometry.random_initial_points(_PLACES)
    return len(condition.collocation_points(start)) > 0
