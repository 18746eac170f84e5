"""The finite-element yardstick: the same flux and source, assembled by scikit-fem.

Lagrange elements on the boxes of a :class:`pinn.Mesh` or on triangles, Newton's method
with the flux's own derivatives, a sparse direct solver. Time is an axis like any other:
a space-time Galerkin method, second order in time, for diffusion and for layers that
the elements resolve.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from pinn._backend import dde
from pinn._checks import check_count, check_positive
from pinn.domains.mesh import Mesh
from pinn.domains.triangulation import Triangulation
from pinn.forms.assembly import check_domain
from pinn.forms.conditions import unfixed
from pinn.forms.element_function import ElementFunction
from pinn.forms.fem_system import System
from pinn.forms.mean import Mean
from pinn.forms.tangent import partners
from pinn.problem import Problem

__all__ = ["FEMSolution", "fem", "zero_function"]

_TAKEN = (
    *(dde.icbc.DirichletBC, dde.icbc.IC, dde.icbc.NeumannBC, dde.icbc.RobinBC),
    *(dde.icbc.OperatorBC, dde.icbc.PeriodicBC, Mean),
)


@dataclass(frozen=True, eq=False)
class FEMSolution:
    """What :func:`pinn.fem` found.

    Args:
        predict: ``predict(x)`` takes points, ``(batch, dim)``, and returns values,
            ``(batch, components)``.
        unknowns: Degrees of freedom, fixed ones included.
        newton: Residual norm at each Newton step. Shape ``(steps,)``.
        seconds: CPU seconds of assembly and solution.
    """

    predict: Callable[[Tensor], "Tensor"]
    unknowns: int
    newton: Tensor
    seconds: float


def fem(
    problem: Problem,
    mesh: Mesh | Triangulation,
    *,
    degree: int = 2,
    tol: float = 1e-10,
    steps: int = 30,
) -> FEMSolution:
    r"""Solve balance laws in one to three coordinates by finite elements.

    Find ``u`` with the prescribed values such that for all ``v`` that vanish there

    .. math:: -\int F(x, u, \nabla u) \cdot \nabla v
              + \int_{\partial \Omega} v F \cdot n - \int s(x, u) \, v = 0,

    where the boundary integral is over the faces without prescribed values. A condition
    on the slope (``NeumannBC``, ``RobinBC``, an ``OperatorBC`` that is linear in it)
    replaces the normal part of the gradient in it; a ``PeriodicBC`` makes unknowns of
    two sides equal; a :class:`pinn.Mean` is met by a multiplier. A component that its
    own equation does not read, such as a pressure, has elements of one degree less:
    Taylor and Hood 1973, Computers and Fluids 1(1).

    Assembled by scikit-fem: Gustafsson and McBain 2020, J. Open Source Softw. 5(52).

    Args:
        problem: Balance laws, as many as components.
        mesh: Elements; a tensor grid or a union of boxes, unrefined, or the triangles
            of :meth:`pinn.Mesh.from_geometry`.
        degree: 1 or 2.
        tol: Newton stops when its step is that small, relative to the solution.
        steps: Newton steps at most.

    Returns:
        The solution.

    Raises:
        TypeError: If a count is not an int.
        ValueError: If the problem is no system of balance laws that these elements can
            take, the mesh is not of its domain, a condition is of another kind, cannot
            be met or is met nowhere on the mesh, nothing fixes the solution, or
            Newton's method does not converge.

    Example:
        >>> from pinn import zoo
        >>> problem = zoo.helmholtz_2d(1)
        >>> solution = fem(problem, Mesh(problem.geometry, 16))
        >>> x = torch.rand(9, 2, dtype=torch.float64)
        >>> bool((solution.predict(x) - problem.exact(x)).abs().max() < 1e-3)
        True
    """
    _check(problem, mesh, degree, steps)
    check_positive("tol", tol)
    free_to_move = unfixed(problem)
    if free_to_move is not None:
        raise ValueError(
            f"equation and conditions allow to add {free_to_move}: fem expects a "
            "problem with one solution, such as by a pinn.Mean"
        )
    start = time.process_time()
    system = System(problem, mesh, degree)
    u, history = _newton(system, tol, steps)
    seconds = time.process_time() - start
    return FEMSolution(
        ElementFunction(system.bases, u, mesh), len(u), torch.tensor(history), seconds
    )


def _newton(system: System, tol: float, steps: int) -> tuple[np.ndarray, list[float]]:
    """Solve the system; return the unknowns, and the size of the steps."""
    u, fixed = system.fixed_values()
    own = np.flatnonzero((system.equals == np.arange(len(u))) & ~fixed)
    spread = scipy.sparse.csr_array(
        (np.ones(len(u)), (np.arange(len(u)), system.equals)), shape=(len(u), len(u))
    )[:, own]
    rows, means = system.mean_rows()
    push, history = np.zeros(len(means)), []
    for _ in range(steps):
        matrix, r = system.linearise(u)
        matrix = spread.T @ matrix @ spread
        r = spread.T @ (r + push @ rows)
        if len(means):
            across = scipy.sparse.csr_array(rows @ spread)
            matrix = scipy.sparse.block_array([[matrix, across.T], [across, None]])
            r = np.append(r, rows @ u - means)
        step = system.skfem.solver_direct_scipy()(matrix.tocsc(), r)
        u = u - spread @ step[: len(own)]
        push = push - step[len(own) :]
        history.append(float(np.linalg.norm(step)) / max(float(np.linalg.norm(u)), 1.0))
        if history[-1] <= tol:
            return u, history
    raise ValueError(
        f"Newton's method moves by {history[-1]:.2g} after {steps} steps, and tol is "
        f"{tol}: try more elements, or fewer of very different size"
    )


def zero_function(problem: Problem, mesh: Mesh | Triangulation, degree: int) -> Any:
    """Make the finite-element function zero, to be filled by ``load_state_dict``.

    Args:
        problem: The balance laws.
        mesh: Elements.
        degree: 1 or 2.

    Returns:
        A function of points, ``(batch, dim)`` to ``(batch, components)``.
    """
    _check(problem, mesh, degree, 1)
    system = System(problem, mesh, degree)
    return ElementFunction(system.bases, np.zeros(system.starts[-1]), mesh)


def _check(
    problem: Problem, mesh: Mesh | Triangulation, degree: int, steps: int
) -> None:
    """Refuse problems that this solver cannot take."""
    problem.check_balance_law("fem")
    check_count("steps", steps, least=1)
    if degree not in (1, 2):
        raise ValueError(f"degree is {degree}: expected 1 or 2")
    if problem.dim > 3 or problem.equations != problem.components:
        raise ValueError(
            f"problem has {problem.equations} equations for {problem.components} "
            f"components in {problem.dim} coordinates: fem expects as many equations "
            "as components, in 1 to 3 coordinates"
        )
    last = problem.dim - 1
    if problem.in_time and (last, last) in problem.wanted.second:
        raise ValueError(
            "the equation is of second order in time: fem expects two of first order, "
            "as pinn.first_order makes them"
        )
    if degree == 1 and any(partners(problem)[1]):
        raise ValueError(
            "degree is 1 and a component is a multiplier that its own equation does "
            "not read: expected 2, whose multipliers have 1"
        )
    if isinstance(mesh, Triangulation):
        if problem.dim != 2 or problem.in_time:
            raise ValueError(
                f"mesh is made of triangles and the problem has {problem.dim} "
                "coordinates, time included: expected 2 of space"
            )
    else:
        _check_boxes(mesh)
    check_domain(problem, mesh)
    for k, condition in enumerate(problem.conditions):
        if type(condition) not in _TAKEN:
            kind, names = type(condition).__name__, [t.__name__ for t in _TAKEN]
            raise ValueError(f"conditions[{k}] is a {kind}: fem expects {names} only")


def _check_boxes(mesh: Mesh) -> None:
    """Refuse a mesh with corners in the middle of other boxes' sides."""
    for axis in range(mesh.lower.shape[1]):
        low, high = mesh.lower[:, axis], mesh.upper[:, axis]
        edges = np.unique(torch.cat([low, high]).numpy().round(12))
        first, last = (np.searchsorted(edges, t.numpy().round(12)) for t in (low, high))
        if (last - first != 1).any():
            raise ValueError(
                f"mesh has boxes that others cut along x[{axis}], as refine makes them:"
                " fem expects a tensor grid, or a union of its boxes"
            )
