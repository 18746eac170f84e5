"""Flux and source with their derivatives, and which equation is whose.

What finite elements need of a system of balance laws at a state.
"""

from typing import Any

import numpy as np
import scipy.optimize
import torch
from torch import Tensor

from pinn.problem import Problem

__all__ = ["partners", "tangent"]


def partners(problem: Problem) -> tuple[list[int], list[bool]]:
    """Match every component with an equation, as its own tests and its conditions do.

    An equation goes with what it moves in time, then with what it diffuses, then with
    what it carries.

    Args:
        problem: A problem of as many equations as components.

    Returns:
        Per component the number of its equation, and whether that one does not read it
        at all: a multiplier, such as the pressure of a flow that keeps its volume.
    """
    x, u, p = problem.probes()
    flux = problem.check_balance_law("fem")
    F, F_u, F_p, s, s_u = tangent(flux, problem.source, x, u, p)
    normal = np.stack([F_p[:, i, :, i] for i in range(problem.dim)])
    diffused = normal.any(axis=(0, -1))
    carried, made = F_u.any(axis=(1, 3)), s_u.any(axis=2)
    score = np.asarray(9.0 * diffused + 3.0 * carried + 1.0 * made)
    if problem.in_time:
        score = score + 99.0 * F_u[:, -1].any(axis=2)
    equation, component = scipy.optimize.linear_sum_assignment(-score)
    order = equation[np.argsort(component)].tolist()
    own = [score[e, c] == 0 for c, e in enumerate(order)]
    return order, own


def tangent(
    flux: Any, source: Any, x: Tensor, u: Tensor, p: Tensor, bend: Any = None
) -> tuple[np.ndarray, ...]:
    """Evaluate flux and source with their derivatives by ``u`` and ``p``.

    Args:
        flux: As of :class:`pinn.Problem`.
        source: As of :class:`pinn.Problem`, or None.
        x: Points. Shape ``(points, dim)``.
        u: Values. Shape ``(points, components)``.
        p: Gradients. Shape ``(points, components, dim)``.
        bend: ``bend(u, p)`` changes the gradients; None leaves them.

    Returns:
        ``F``, ``(equations, dim, points)``, its derivatives by ``u``, ``(equations,
        dim, components, points)``, and by ``p``, ``(equations, dim, components, dim,
        points)``; ``s``, ``(equations, points)``, and its derivatives by ``u``,
        ``(equations, components, points)``.
    """
    u, p = u.detach().requires_grad_(), p.detach().requires_grad_()
    with torch.enable_grad():
        F = flux(x, u, p if bend is None else bend(u, p))
        s = 0 * F[..., 0] if source is None else source(x, u)
        F_rows = [_slopes(F[:, e, i], u, p) for e, i in np.ndindex(F.shape[1:])]
        s_rows = [_slopes(s[:, e], u, p)[0] for e in range(s.shape[1])]
    shape = F.shape[1:]
    F_u = torch.stack([row[0] for row in F_rows]).unflatten(0, shape).movedim(2, -1)
    F_p = torch.stack([row[1] for row in F_rows]).unflatten(0, shape).movedim(2, -1)
    s_u = torch.stack(s_rows).movedim(1, -1)
    found = (F.movedim(0, -1), F_u, F_p, s.movedim(0, -1), s_u)
    return tuple(t.detach().numpy() for t in found)


def _slopes(y: Tensor, u: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """Differentiate row by row; what is not read has slope zero."""
    if not y.requires_grad:
        return torch.zeros_like(u), torch.zeros_like(p)
    by_u, by_p = torch.autograd.grad(
        y.sum(), (u, p), retain_graph=True, materialize_grads=True
    )
    return by_u, by_p
