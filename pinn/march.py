"""March through time: slab after slab, each started from the end of the last."""

import warnings
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch

from pinn._backend import dde
from pinn._checks import check_count
from pinn.domains.mesh import edges_along
from pinn.forms.conditions import second_in_time
from pinn.metrics import relative_error, test_points
from pinn.prepare import check_solvable
from pinn.problem import Problem
from pinn.slabs import Slabs, slab, times_of
from pinn.solution import History, Solution
from pinn.solve import solve

__all__ = ["march"]

_ICBC = dde.icbc
_BORDER = (_ICBC.DirichletBC, _ICBC.NeumannBC, _ICBC.RobinBC, _ICBC.PeriodicBC)


def march(
    problem: Problem,
    method: Any,
    slabs: int | Sequence[float],
    *,
    seconds: float | None = None,
    iterations: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Solution:
    r"""Solve a problem in time slab by slab; an interrupt ends it at a slab's end.

    .. math:: u_k(x, t_{k-1}) = u_{k-1}(x, t_{k-1}), \qquad
              t_{k-1} \le t \le t_k, \quad k = 1 \dots K

    Each slab has a network of its own; what the initial conditions prescribe at first,
    the last slab's end prescribes later. Wight and Zhao 2021, Commun. Comput. Phys.
    29(3), call it time marching; what is wrong at the end of a slab stays wrong.

    An interrupt leaves out the slab in training, unless it is the first: the solution
    then is one of the problem up to the end of the last slab, NaN after it, and
    ``interrupted``.

    Args:
        problem: In time, of first order in it, with initial conditions.
        method: As for :func:`pinn.solve`, without ``hard``, and not ``FEM``.
        slabs: How many, of equal length; or the times between them, ends included.
        seconds: CPU seconds of training in all, shared evenly.
        iterations: Steps of the optimiser in each slab.
        seed: Seed of the first slab; the others count on from it.
        progress: Whether to show a bar per slab.

    Returns:
        The solution on all slabs. Its history has one look a slab: CPU seconds so far,
        the loss of the slab, the error up to its end.

    Raises:
        TypeError: If ``slabs`` is no int and no times, or the problem or the method is
            of another kind.
        ValueError: If the problem is not of first order in time, a component has no
            initial condition, a condition is of another kind or of another geometry,
            the method fulfils conditions by construction, unknowns are to be learned,
            or times do not rise from the first to the last.

    Warns:
        UserWarning: If it was interrupted: where the solution ends.

    Example:
        >>> import deepxde as dde
        >>> from pinn import Vanilla
        >>> line = dde.geometry.TimeDomain(0, 2)
        >>> start = dde.icbc.IC(line, lambda x: 1, lambda x, on: on)
        >>> decay = Problem(
        ...     line, lambda x, u, p: u[..., None], lambda x, u: -u, [start],
        ...     exact=lambda x: (-x).exp(),
        ... )
        >>> solution = march(decay, Vanilla(50, hidden=(8,)), 2, iterations=60)
        >>> solution.error() < 1e-2
        True
    """
    check_solvable(problem, method, exactly=False)
    edges = _edges(problem, slabs)
    _check(problem, method)
    share = None if seconds is None else seconds / (len(edges) - 1)
    found: list[Solution] = []
    rows: list[tuple[float, float, float]] = []
    for k, (start, end) in enumerate(zip(edges, edges[1:], strict=False)):
        last = cast(torch.nn.Module, found[-1].net) if found else None
        part = slab(problem, start, end, last)
        options: dict = {"iterations": iterations, "seed": seed + k}
        try:
            new = solve(part, method, seconds=share, progress=progress, **options)
        except KeyboardInterrupt:  # not in training: there is nothing of this slab
            if not found:
                raise
            new = None
        if new is None or (new.interrupted and found):
            break  # what follows would start from what is not there yet
        found.append(new)
        rows.append(_row(problem, found, edges[: k + 2]))
        if new.interrupted:
            break
    return _joined(problem, found, edges, rows)


def _row(
    problem: Problem, found: Sequence[Solution], edges: Sequence[float]
) -> tuple[float, float, float]:
    """Look at what there is: CPU seconds, loss of the last slab, error so far."""
    error = float("nan")
    if problem.exact is not None:
        x = test_points(problem)
        x = x[(x[:, -1] <= edges[-1])]
        error = relative_error(problem, _net(found, edges), x)
    used = sum(one.seconds for one in found)
    return used, float(found[-1].history.loss[-1]), error


def _net(found: Sequence[Solution], edges: Sequence[float]) -> Slabs:
    """Put the networks one after another."""
    return Slabs([cast(torch.nn.Module, one.net) for one in found], edges)


def _joined(
    problem: Problem,
    found: Sequence[Solution],
    edges: Sequence[float],
    rows: Sequence[tuple[float, float, float]],
) -> Solution:
    """Make one solution of all slabs; of an interrupted march, up to its end."""
    count = len(found)
    interrupted = count < len(edges) - 1 or found[-1].interrupted
    if interrupted:
        number = count + (not found[-1].interrupted)
        warnings.warn(
            f"march was interrupted in slab {number} of {len(edges) - 1}: the solution "
            f"and its problem end at time {edges[count]:g}, not {edges[-1]:g}",
            stacklevel=3,
        )
        problem = slab(problem, edges[0], edges[count], None)
    net = _net(found, edges[: count + 1])
    history = History(*torch.tensor(rows, dtype=torch.float64).unbind(1))
    parameters = sum(p.numel() for p in net.parameters())
    return Solution(
        problem, net, parameters, rows[-1][0], history, interrupted=interrupted
    )


def _edges(problem: Problem, slabs: int | Sequence[float]) -> list[float]:
    """Return the times between the slabs, ends included."""
    low, high = times_of(problem)
    if isinstance(slabs, int):
        check_count("slabs", slabs, least=1)
    elif np.ndim(slabs) != 1:
        raise TypeError(f"slabs is {slabs!r}: expected a number, or times that rise")
    elif len(slabs) < 2 or slabs[0] != low or slabs[-1] != high:
        raise ValueError(f"slabs is {slabs}: expected times from {low} to {high}")
    return [float(t) for t in edges_along(problem.dim - 1, slabs, low, high)]


def _check(problem: Problem, method: Any) -> None:
    """Refuse what cannot be started from the last slab's end."""
    if getattr(method, "hard", False):
        raise ValueError(
            f"method is {method!r}: march expects a network whose conditions are losses"
        )
    if problem.unknowns:
        raise ValueError("problem has unknowns, and each slab would find its own")
    if second_in_time(problem):
        raise ValueError(
            "the equation is of second order in time: march expects two of first order,"
            " as pinn.first_order makes them"
        )
    allowed = (_ICBC.IC, *_BORDER, _ICBC.OperatorBC) if problem.in_time else _ICBC.IC
    for k, condition in enumerate(problem.conditions):
        kind = type(condition).__name__
        if not isinstance(condition, allowed):
            raise ValueError(f"conditions[{k}] is a {kind}, which march cannot move")
        if condition.geom is not problem.geometry:
            raise ValueError(
                f"conditions[{k}], a {kind}, is of another geometry: expected the "
                "problem's"
            )
    begun = {c.component for c in problem.conditions if isinstance(c, _ICBC.IC)}
    missing = sorted({*range(problem.components)} - begun)
    if missing:
        raise ValueError(f"components {missing} have no IC: march expects one for each")
