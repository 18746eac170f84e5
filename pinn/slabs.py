"""A problem cut in time: its parts, and networks one after another."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from pinn._backend import dde
from pinn.derivatives.jets import Jet, Wanted
from pinn.problem import Problem

__all__ = ["Slabs", "slab", "times_of"]

_ICBC = dde.icbc
_cached = _ICBC.boundary_conditions.npfunc_range_autocache
_HAIR = 1e-6  # of the time: round-off of float32 is no time of its own


class Slabs(torch.nn.Module):
    """Networks one after another in time; an end belongs to the earlier one.

    Args:
        nets: One network a slab.
        edges: Times between the slabs, ends included; values beyond them are NaN.
    """

    def __init__(self, nets: Sequence[torch.nn.Module], edges: Sequence[float]) -> None:
        super().__init__()
        self.nets = torch.nn.ModuleList(nets)
        times = torch.tensor(list(edges), dtype=torch.float64, device="cpu")
        self.register_buffer("edges", times)

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate: ``(batch, dim)`` to ``(batch, components)``."""
        return self.jet(x, Wanted()).u

    def jet(self, x: Tensor, wanted: Wanted) -> Jet:
        """Evaluate values and derivatives, each point in its slab."""
        times = x[:, -1].detach().contiguous()
        edges = cast(Tensor, self.edges).to(times)
        index = torch.bucketize(times, edges[1:-1].contiguous())
        rows = [(index == k).nonzero()[:, 0] for k in range(len(self.nets))]
        jets = [
            cast(Any, net).jet(x[mine], wanted)
            for net, mine in zip(self.nets, rows, strict=True)
        ]
        back = torch.cat(rows).argsort()
        hair = _HAIR * (edges[-1] - edges[0])
        beyond = (times < edges[0] - hair) | (times > edges[-1] + hair)
        parts = ([jet.u, jet.p, jet.H] for jet in jets)
        whole = [torch.cat(many)[back] for many in zip(*parts, strict=True)]
        if beyond.any():
            nan = torch.where(beyond, torch.nan, 0.0).to(x)
            whole = [part + nan.view(-1, *[1] * (part.ndim - 1)) for part in whole]
        return Jet(*whole)


def times_of(problem: Problem) -> tuple[float, float]:
    """Return the first and the last time of a problem.

    Args:
        problem: The problem.

    Raises:
        ValueError: If it has no time.
    """
    time = problem.geometry.timedomain if problem.in_time else problem.geometry
    if not isinstance(time, dde.geometry.TimeDomain):
        raise ValueError("problem has no time: march expects a TimeDomain")
    return float(time.t0), float(time.t1)


def slab(
    problem: Problem, start: float, end: float, last: torch.nn.Module | None
) -> Problem:
    """State a problem on a part of its time.

    Args:
        problem: The problem.
        start: First time of the part.
        end: Last time of the part.
        last: A network that tells how the part begins; None is as the problem does.

    Returns:
        The problem there, without a hard constraint.
    """
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
