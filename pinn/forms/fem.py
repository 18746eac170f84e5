"""The finite-element yardstick: the same flux and source, assembled by scikit-fem.

Lagrange elements on the boxes of a :class:`pinn.Mesh`, Newton's method with the flux's
own derivatives, a sparse direct solver. Time is an axis like any other: a space-time
Galerkin method, second order in time, for diffusion and for layers that the elements
resolve.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinn._backend import dde
from pinn._checks import check_count, check_positive
from pinn.domains.mesh import Mesh
from pinn.forms.element_function import ElementFunction
from pinn.problem import Problem

__all__ = ["FEMSolution", "fem", "zero_function"]

_ELEMENTS = {
    1: ("MeshLine", ("ElementLineP1", "ElementLineP2")),
    2: ("MeshQuad", ("ElementQuad1", "ElementQuad2")),
}


@dataclass(frozen=True, eq=False)
class FEMSolution:
    """What :func:`pinn.fem` found.

    Args:
        predict: ``predict(x)`` takes points, ``(batch, dim)``, and returns values,
            ``(batch, 1)``.
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
    mesh: Mesh,
    *,
    degree: int = 2,
    tol: float = 1e-10,
    steps: int = 30,
) -> FEMSolution:
    r"""Solve a scalar balance law in one or two coordinates by finite elements.

    Find ``u`` with the prescribed values such that for all ``v`` that vanish there

    .. math:: -\int F(x, u, \nabla u) \cdot \nabla v
              + \int_{\partial \Omega} v F \cdot n - \int s(x, u) \, v = 0,

    where the boundary integral is over the faces without prescribed values.

    Assembled by scikit-fem: Gustafsson and McBain 2020, J. Open Source Softw. 5(52).

    Args:
        problem: The balance law; its conditions are ``DirichletBC`` and ``IC``.
        mesh: Elements; a tensor grid or a union of boxes, unrefined.
        degree: 1 or 2.
        tol: Newton stops when its step is that small, relative to the solution.
        steps: Newton steps at most.

    Returns:
        The solution.

    Raises:
        TypeError: If a count is not an int.
        ValueError: If the problem is not a scalar balance law in one or two coordinates
            with Dirichlet conditions, ``degree`` is not 1 or 2, or Newton's method does
            not converge.

    Example:
        >>> from pinn import zoo
        >>> problem = zoo.helmholtz_2d(1)
        >>> solution = fem(problem, Mesh(problem.geometry, 16))
        >>> x = torch.rand(9, 2, dtype=torch.float64)
        >>> bool((solution.predict(x) - problem.exact(x)).abs().max() < 1e-3)
        True
    """
    _check(problem, degree, steps)
    check_positive("tol", tol)
    start = time.process_time()
    system = _System(problem, mesh, degree)
    u, fixed = system.boundary_values()
    free = np.setdiff1d(np.arange(len(u)), fixed)
    history = []
    for _ in range(steps):
        matrix, r = system.linearise(u, fixed)
        step = system.solve(matrix[free][:, free], r[free])
        u[free] -= step
        history.append(float(np.linalg.norm(step)) / max(float(np.linalg.norm(u)), 1.0))
        if history[-1] <= tol:
            break
    else:
        raise ValueError(
            f"Newton's method moves by {history[-1]:.2g} after {steps} steps, and "
            f"tol is {tol}: try more elements, or fewer of very different size"
        )
    seconds = time.process_time() - start
    return FEMSolution(
        ElementFunction(system.basis, u), len(u), torch.tensor(history), seconds
    )


def zero_function(problem: Problem, mesh: Mesh, degree: int) -> Any:
    """Make the finite-element function zero, to be filled by ``load_state_dict``.

    Args:
        problem: The balance law.
        mesh: Elements.
        degree: 1 or 2.

    Returns:
        A function of points, ``(batch, dim)`` to ``(batch, 1)``.
    """
    _check(problem, degree, 1)
    basis = _System(problem, mesh, degree).basis
    return ElementFunction(basis, basis.zeros())


def _check(problem: Problem, degree: int, steps: int) -> None:
    """Refuse problems that this small solver cannot take."""
    problem.check_balance_law("fem")
    check_count("steps", steps, least=1)
    if problem.components != 1 or problem.dim not in _ELEMENTS:
        raise ValueError(
            f"problem has {problem.components} components in {problem.dim} "
            "coordinates: fem expects 1 component in 1 or 2"
        )
    if degree not in (1, 2):
        raise ValueError(f"degree is {degree}: expected 1 or 2")
    for k, condition in enumerate(problem.conditions):
        if not isinstance(condition, (dde.icbc.DirichletBC, dde.icbc.IC)):
            kind = type(condition).__name__
            raise ValueError(
                f"conditions[{k}] is a {kind}: fem expects DirichletBC and IC only"
            )


class _System:
    """The nonlinear system of one mesh, linearised about any state."""

    def __init__(self, problem: Problem, mesh: Mesh, degree: int) -> None:
        import skfem  # pure Python on scipy, and needed only here

        self.skfem, self.problem, self.dim = skfem, problem, problem.dim
        self.flux = problem.check_balance_law("fem")
        kind, elements = _ELEMENTS[self.dim]
        corners, cells = _cells(mesh)
        self.grid = getattr(skfem, kind)(corners, cells)
        element = getattr(skfem, elements[degree - 1])()
        self.basis = skfem.Basis(self.grid, element, intorder=2 * degree + 2)
        self.facets = skfem.FacetBasis(self.grid, element, intorder=2 * degree + 2)

    def boundary_values(self) -> tuple[np.ndarray, np.ndarray]:
        """Set the prescribed values: a state, and the unknowns that they fix."""
        places = self.basis.doflocs.T
        u, fixed = np.zeros(len(places)), []
        for condition in self.problem.conditions:
            on = (
                self.problem.geometry.on_initial
                if isinstance(condition, dde.icbc.IC)
                else self.problem.geometry.on_boundary
            )
            accept = condition.on_initial if on.__name__ == "on_initial" else None
            accept = accept or condition.on_boundary
            rows = np.flatnonzero(accept(places, on(places)))
            # DeepXDE caches values by the array's id: hand over a fresh one that stays.
            self._kept = [*getattr(self, "_kept", []), places[rows].copy()]
            values = condition.func(self._kept[-1], 0, len(rows), None)
            u[rows] = values.detach().cpu().numpy().ravel()
            fixed.append(rows)
        return u, np.unique(np.concatenate(fixed)) if fixed else np.empty(0, dtype=int)

    def linearise(self, u: np.ndarray, fixed: np.ndarray) -> tuple:
        """Assemble the residual and its derivative at a state."""
        skfem, dim = self.skfem, self.dim
        now = self._tangent(self.basis, u)

        @skfem.BilinearForm
        def inner(du: Any, v: Any, w: Any) -> Any:
            total = -w["s_u"] * du * v
            for i in range(dim):
                slope = w[f"F{i}_u"] * du
                for j in range(dim):
                    slope = slope + w[f"F{i}_p{j}"] * du.grad[j]
                total = total - slope * v.grad[i]
            return total

        @skfem.LinearForm
        def load(v: Any, w: Any) -> Any:
            return -sum(w[f"F{i}"] * v.grad[i] for i in range(dim)) - w["s"] * v

        matrix, r = inner.assemble(self.basis, **now), load.assemble(self.basis, **now)
        now = self._tangent(self.facets, u)

        @skfem.BilinearForm
        def outer(du: Any, v: Any, w: Any) -> Any:
            total = 0
            for i in range(dim):
                slope = w[f"F{i}_u"] * du
                for j in range(dim):
                    slope = slope + w[f"F{i}_p{j}"] * du.grad[j]
                total = total + slope * w.n[i] * v
            return total

        @skfem.LinearForm
        def through(v: Any, w: Any) -> Any:
            return sum(w[f"F{i}"] * w.n[i] for i in range(dim)) * v

        # Rows of fixed unknowns are dropped, and with them the faces that they cover.
        matrix = matrix + outer.assemble(self.facets, **now)
        return matrix.tocsr(), r + through.assemble(self.facets, **now)

    def solve(self, matrix: Any, r: np.ndarray) -> np.ndarray:
        """Solve the linear system by a sparse LU."""
        return self.skfem.solver_direct_scipy()(matrix.tocsc(), r)

    def _tangent(self, basis: Any, u: np.ndarray) -> dict[str, np.ndarray]:
        """Evaluate flux, source and their derivatives at a basis' points."""
        field = basis.interpolate(u)
        shape = field.value.shape
        x = np.moveaxis(basis.global_coordinates().value, 0, -1).reshape(-1, self.dim)
        p = np.moveaxis(field.grad, 0, -1).reshape(-1, 1, self.dim)
        x, v, p = (
            torch.as_tensor(t, dtype=torch.float64, device="cpu")
            for t in (x, field.value.reshape(-1, 1), p)
        )
        v, p = v.requires_grad_(), p.requires_grad_()
        F = self.flux(x, v, p)
        found: dict[str, Tensor] = {}
        for i in range(self.dim):
            F_u, F_p = _slopes(F[:, 0, i], v, p)
            found |= {f"F{i}": F[:, 0, i], f"F{i}_u": F_u[:, 0]}
            found |= {f"F{i}_p{j}": F_p[:, 0, j] for j in range(self.dim)}
        source = self.problem.source
        s = 0 * v[:, 0] if source is None else source(x, v)[:, 0]
        found |= {"s": s, "s_u": _slopes(s, v, p)[0][:, 0]}
        return {k: t.detach().numpy().reshape(shape) for k, t in found.items()}


def _slopes(y: Tensor, v: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """Differentiate row by row; what is not read has slope zero."""
    if not y.requires_grad:
        return torch.zeros_like(v), torch.zeros_like(p)
    by_v, by_p = torch.autograd.grad(
        y.sum(), (v, p), retain_graph=True, materialize_grads=True
    )
    return by_v, by_p


def _cells(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """List the mesh's corners and, per element, the numbers of its own."""
    lower, upper = mesh.lower.numpy(), mesh.upper.numpy()
    if lower.shape[1] == 1:
        turns: list[tuple[int, ...]] = [(0,), (1,)]
    else:
        turns = [(0, 0), (1, 0), (1, 1), (0, 1)]  # counter-clockwise
    all_corners = np.stack([np.where(turn, upper, lower) for turn in turns], axis=1)
    flat = all_corners.reshape(-1, lower.shape[1])
    _, first, number = np.unique(
        flat.round(12), axis=0, return_index=True, return_inverse=True
    )
    return flat[first].T.copy(), number.reshape(-1, len(turns)).T.copy()
