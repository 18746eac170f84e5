"""March through time: slab after slab, each started from the end of the last."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from pinn._backend import dde
from pinn._checks import check_count
from pinn.derivatives.jets import Jet, Wanted
from pinn.domains.mesh import edges_along
from pinn.forms.conditions import second_in_time
from pinn.metrics import relative_error, test_points
from pinn.prepare import check_solvable
from pinn.problem import Problem
from pinn.solution import History, Solution
from pinn.solve import solve

__all__ = ["march"]

_ICBC = dde.icbc
_BORDER = (_ICBC.DirichletBC, _ICBC.NeumannBC, _ICBC.RobinBC, _ICBC.PeriodicBC)
_cached = _ICBC.boundary_conditions.npfunc_range_autocache


def march(
    problem: Problem,
    method: Any,
    slabs: int | Sequence[float],
    *,
    seconds: float | None = None,
    iterations: int | None = None,
    seed: int = 0,
) -> Solution:
    r"""Solve a problem in time slab by slab.

    .. math:: u_k(x, t_{k-1}) = u_{k-1}(x, t_{k-1}), \qquad
              t_{k-1} \le t \le t_k, \quad k = 1 \dots K

    Each slab has a network of its own; what the initial conditions prescribe at first,
    the last slab's end prescribes later. Wight and Zhao 2021, Commun. Comput. Phys.
    29(3), call it time marching; what is wrong at the end of a slab stays wrong.

    Args:
        problem: In time, of first order in it, with initial conditions.
        method: As for :func:`pinn.solve`, without ``hard``, and not ``FEM``.
        slabs: How many, of equal length; or the times between them, ends included.
        seconds: CPU seconds of training in all, shared evenly.
        iterations: Steps of the optimiser in each slab.
        seed: Seed of the first slab; the others count on from it.

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
    nets: list[torch.nn.Module] = []
    rows, used = [], 0.0
    for k, (start, end) in enumerate(zip(edges, edges[1:], strict=False)):
        part = _slab(problem, start, end, nets[-1] if nets else None)
        found = solve(part, method, seconds=share, iterations=iterations, seed=seed + k)
        nets.append(cast(torch.nn.Module, found.net))
        used += found.seconds
        error = float("nan")
        if problem.exact is not None:
            x = test_points(problem)
            whole = _Slabs(nets, edges[: k + 2])
            error = relative_error(problem, whole, x[x[:, -1] <= end])
        rows.append((used, float(found.history.loss[-1]), error))
    net = _Slabs(nets, edges)
    history = History(*torch.tensor(rows, dtype=torch.float64).unbind(1))
    count = sum(p.numel() for p in net.parameters())
    return Solution(problem, net, count, used, history)


class _Slabs(torch.nn.Module):
    """Networks one after another in time; an end belongs to the earlier one."""

    def __init__(self, nets: Sequence[torch.nn.Module], edges: Sequence[float]) -> None:
        super().__init__()
        self.nets = torch.nn.ModuleList(nets)
        inner = torch.tensor(list(edges[1:-1]), dtype=torch.float64, device="cpu")
        self.register_buffer("inner", inner)

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate: ``(batch, dim)`` to ``(batch, components)``."""
        return self.jet(x, Wanted()).u

    def jet(self, x: Tensor, wanted: Wanted) -> Jet:
        """Evaluate values and derivatives, each point in its slab."""
        times = x[:, -1].detach().contiguous()
        index = torch.bucketize(times, cast(Tensor, self.inner).to(times))
        rows = [(index == k).nonzero()[:, 0] for k in range(len(self.nets))]
        jets = [
            cast(Any, net).jet(x[mine], wanted)
            for net, mine in zip(self.nets, rows, strict=True)
        ]
        back = torch.cat(rows).argsort()
        parts = ([jet.u, jet.p, jet.H] for jet in jets)
        return Jet(*[torch.cat(many)[back] for many in zip(*parts, strict=True)])


def _edges(problem: Problem, slabs: int | Sequence[float]) -> list[float]:
    """Return the times between the slabs, ends included."""
    time = problem.geometry.timedomain if problem.in_time else problem.geometry
    if not isinstance(time, dde.geometry.TimeDomain):
        raise ValueError("problem has no time: march expects a TimeDomain")
    low, high = float(time.t0), float(time.t1)
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


def _slab(
    problem: Problem, start: float, end: float, last: torch.nn.Module | None
) -> Problem:
    """State the problem on one slab; the last network tells where it begins."""
    time = dde.geometry.TimeDomain(start, end)
    geometry: Any = time
    if problem.in_time:
        geometry = dde.geometry.GeometryXTime(problem.geometry.geometry, time)
    first = float(problem.bounds[0][-1])
    moved = [_moved(c, geometry, first, last) for c in problem.conditions]
    return replace(problem, geometry=geometry, conditions=moved, hard=None)


def _moved(
    condition: Any, geometry: Any, first: float, last: torch.nn.Module | None
) -> Any:
    """Return a condition on another time; what it remembers of points is left out."""
    if isinstance(condition, _ICBC.IC) and last is not None:
        net, component = last, condition.component

        def value(x: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                like = next(net.parameters())
                return net(torch.as_tensor(x).to(like))[:, [component]].cpu().numpy()

        made = _ICBC.IC(geometry, value, condition.on_initial, component)

        def begins(x: np.ndarray, on: np.ndarray) -> np.ndarray:
            at_first = x.copy()
            at_first[:, -1] = first  # where the condition knows what it means
            return condition.on_initial(at_first, on)

        made.on_initial = begins
        return made
    made = copy.copy(condition)
    made.geom = geometry
    made.__dict__.pop("_arrays_seen", None)
    if hasattr(condition, "boundary_normal"):
        made.boundary_normal = _cached(
            dde.utils.return_tensor(geometry.boundary_normal)
        )
    if hasattr(getattr(condition, "func", None), "__wrapped__"):
        made.func = _cached(condition.func.__wrapped__)
    return made
