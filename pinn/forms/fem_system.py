"""The equations of finite elements on one mesh, linearised about any state."""

from typing import Any

import numpy as np
import scipy.sparse
import torch

from pinn._backend import dde
from pinn.domains.mesh import Mesh
from pinn.domains.triangulation import Triangulation, on_curve
from pinn.forms.fem_border import (
    SLOPES,
    Slopes,
    accepted,
    check_met,
    facing,
    prescribed,
    tests_of,
    ties,
)
from pinn.forms.mean import Mean
from pinn.forms.tangent import partners, tangent
from pinn.problem import Problem

__all__ = ["System"]

_BOXES = {
    1: ("MeshLine", "RefLine", ("ElementLineP1", "ElementLineP2")),
    2: ("MeshQuad", "RefQuad", ("ElementQuad1", "ElementQuad2")),
    3: ("MeshHex", "RefHex", ("ElementHex1", "ElementHex2")),
}
_TRIANGLES = ("ElementTriP1", "ElementTriP2")
_FIXES = (dde.icbc.DirichletBC, dde.icbc.IC)


class System:
    """Unknowns, what the conditions make of them, residual and derivative.

    Args:
        problem: The problem, of as many equations as components.
        mesh: Boxes or triangles.
        degree: 1 or 2; of multipliers one less.

    Raises:
        ValueError: If a condition cannot be met on this mesh.
    """

    def __init__(
        self, problem: Problem, mesh: Mesh | Triangulation, degree: int
    ) -> None:
        import skfem  # pure Python on scipy, and needed only here

        self.skfem, self.problem, self.dim = skfem, problem, problem.dim
        self.flux = problem.check_balance_law("fem")
        self.own, self.lower = partners(problem)
        self.grid, names = _grid(mesh)
        elements = [getattr(skfem, names[degree - 1 - low])() for low in self.lower]
        many = 2 * degree + 2
        self.bases = [skfem.Basis(self.grid, e, intorder=many) for e in elements]
        self.sides = [skfem.FacetBasis(self.grid, e, intorder=many) for e in elements]
        self.starts = np.cumsum([0, *(basis.N for basis in self.bases)])
        self._border(mesh)

    def _border(self, mesh: Mesh | Triangulation) -> None:
        """Find out where on the border which condition holds, and what it says."""
        facets, dim = self.sides[0].find, self.dim
        first = self.grid.facets[:, facets]
        self.middle = self.grid.p[:, first].mean(axis=1).T
        n = np.moveaxis(np.asarray(self.sides[0].normals), 0, -1)  # (facets, Q, dim)
        x = np.moveaxis(self.sides[0].global_coordinates().value, 0, -1)
        if isinstance(mesh, Triangulation):
            self.middle = on_curve(mesh, self.middle, n[:, 0])
            flat = on_curve(mesh, x.reshape(-1, dim), n.reshape(-1, dim))
            x = flat.reshape(x.shape)
        self.places = [self._places(basis, facets) for basis in self.bases]
        problem, points = self.problem, x.shape[1]

        def holds(condition: Any) -> np.ndarray:
            return accepted(problem, condition, self.middle).repeat(points)

        self.slopes = Slopes(problem, x.reshape(-1, dim), n.reshape(-1, dim), holds)
        periodic = [c for c in problem.conditions if _is(c, dde.icbc.PeriodicBC)]
        self.equals = ties(problem, periodic, self.places)
        self.open = np.ones((problem.components, len(facets), 1))
        for condition in periodic:  # what flows out there flows in
            closed = facing(problem, condition, self.middle)
            self.open[condition.component, closed] = 0
        self.order = tests_of(self.own, self.lower, *self._given())
        self.means = [c for c in problem.conditions if isinstance(c, Mean)]

    def _given(self) -> np.ndarray:
        """Tell where values and slopes are given: ``(2, components, sides)``."""
        given = np.zeros((2, self.problem.components, len(self.middle)), dtype=bool)
        for condition in self.problem.conditions:
            if isinstance(condition, (*_FIXES, *SLOPES)):
                kind = int(isinstance(condition, SLOPES))
                held = accepted(self.problem, condition, self.middle)
                given[kind, condition.component] |= held
        return given

    def _places(self, basis: Any, facets: np.ndarray) -> np.ndarray:
        """Return where the unknowns are, those of sides at a curve on the curve."""
        places = basis.doflocs.T.copy()
        if len(basis.facet_dofs) and self.dim == 2:
            places[basis.facet_dofs[0, facets]] = self.middle
        return places

    def fixed_values(self) -> tuple[np.ndarray, np.ndarray]:
        """Set the prescribed values: a state, and the unknowns that they fix."""
        u, fixed = np.zeros(self.starts[-1]), np.zeros(self.starts[-1], dtype=bool)
        for k, condition in enumerate(self.problem.conditions):
            if isinstance(condition, _FIXES):
                c = condition.component
                rows = np.flatnonzero(accepted(self.problem, condition, self.places[c]))
                check_met(rows, k, condition, "node")
                values = prescribed(condition, self.places[c][rows])
                u[self.starts[c] + rows], fixed[self.starts[c] + rows] = values, True
        np.logical_or.at(fixed, self.equals, fixed.copy())
        u[self.equals[fixed]] = u[fixed]
        return u[self.equals], fixed[self.equals]

    def mean_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values of prescribed means: ``(means, unknowns)``."""
        rows = np.zeros((len(self.means), self.starts[-1]))
        for row, mean in zip(rows, self.means, strict=True):
            c = mean.component
            weights = self.bases[c].probes(mean.points.T).T @ mean.share.numpy()
            row[self.starts[c] : self.starts[c + 1]] = weights
        return rows, np.array([mean.mean for mean in self.means])

    def linearise(self, u: np.ndarray) -> tuple[Any, np.ndarray]:
        """Assemble the derivative and the residual at a state; rows by components."""
        matrix, r = self._inside(u)
        border, through = self._through(u)
        return matrix + border, r + through

    def _inside(self, u: np.ndarray) -> tuple[Any, np.ndarray]:
        """Assemble ``-int F . grad v - int s v``."""
        F, F_u, F_p, s, s_u = self._tangent(self.bases, u)

        def block(e: int, c: int) -> Any:
            def form(du: Any, v: Any, w: Any) -> Any:
                bent = np.einsum("ij...,j...->i...", F_p[e, :, c], du.grad)
                flow = np.einsum("i...,i...->...", F_u[e, :, c] * du + bent, v.grad)
                return -flow - s_u[e, c] * du * v

            return self.skfem.BilinearForm(form)

        def load(e: int) -> Any:
            def form(v: Any, w: Any) -> Any:
                return -np.einsum("i...,i...->...", F[e], v.grad) - s[e] * v

            return self.skfem.LinearForm(form)

        return self._assemble(self.bases, block, load)

    def _through(self, u: np.ndarray) -> tuple[Any, np.ndarray]:
        """Assemble ``int v F . n``; rows of fixed unknowns are dropped later."""
        F, F_u, F_p, _, _ = self._tangent(self.sides, u, self.slopes.put)

        def block(e: int, c: int) -> Any:
            own = self.open[self.order.index(e)]

            def form(du: Any, v: Any, w: Any) -> Any:
                bent = np.einsum("ij...,j...->i...", F_p[e, :, c], du.grad)
                flow = np.einsum("i...,i...->...", F_u[e, :, c] * du + bent, w.n)
                return own * flow * v

            return self.skfem.BilinearForm(form)

        def load(e: int) -> Any:
            own = self.open[self.order.index(e)]

            def form(v: Any, w: Any) -> Any:
                return own * np.einsum("i...,i...->...", F[e], w.n) * v

            return self.skfem.LinearForm(form)

        return self._assemble(self.sides, block, load)

    def _assemble(self, bases: list, block: Any, load: Any) -> tuple[Any, np.ndarray]:
        """Put the blocks of all pairs of components together."""
        rows, loads = [], []
        for test, e in zip(bases, self.order, strict=True):
            rows.append([block(e, c).assemble(b, test) for c, b in enumerate(bases)])
            loads.append(load(e).assemble(test))
        return scipy.sparse.block_array(rows, format="csr"), np.concatenate(loads)

    def _tangent(
        self, bases: list, u: np.ndarray, bend: Any = None
    ) -> list[np.ndarray]:
        """Evaluate flux, source and their derivatives at the bases' points."""
        parts = np.split(u, self.starts[1:-1])
        fields = [b.interpolate(part) for b, part in zip(bases, parts, strict=True)]
        x = np.moveaxis(bases[0].global_coordinates().value, 0, -1)
        v = np.stack([field.value for field in fields], axis=-1)
        p = np.stack([np.moveaxis(field.grad, 0, -1) for field in fields], axis=-2)
        rows = [torch.as_tensor(t.reshape(-1, *t.shape[2:])) for t in (x, v, p)]
        found = tangent(self.flux, self.problem.source, rows[0], rows[1], rows[2], bend)
        return [t.reshape(*t.shape[:-1], *x.shape[:2]) for t in found]


def _is(condition: Any, kind: type) -> bool:
    return isinstance(condition, kind)


def _grid(mesh: Mesh | Triangulation) -> tuple[Any, tuple[str, str]]:
    """Make scikit-fem's mesh, and name its elements."""
    import skfem

    if isinstance(mesh, Triangulation):
        corners, cells = mesh.corners.numpy().T, mesh.triangles.numpy().T
        return skfem.MeshTri(corners.copy(), cells.copy()), _TRIANGLES
    lower, upper = mesh.lower.numpy(), mesh.upper.numpy()
    kind, reference, names = _BOXES[lower.shape[1]]
    turns = getattr(skfem.refdom, reference).p.T.astype(bool)  # its corners, in order
    all_corners = np.stack([np.where(turn, upper, lower) for turn in turns], axis=1)
    flat = all_corners.reshape(-1, lower.shape[1])
    _, first, number = np.unique(
        flat.round(12), axis=0, return_index=True, return_inverse=True
    )
    cells = number.reshape(-1, len(turns)).T.copy()
    return getattr(skfem, kind)(flat[first].T.copy(), cells), names
