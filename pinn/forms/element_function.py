"""A finite-element function: values and gradients at points."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinn._checks import check_points
from pinn.derivatives.jets import Jet, Wanted
from pinn.domains.mesh import Mesh
from pinn.domains.triangulation import Triangulation

__all__ = ["ElementFunction"]

_NEAR = 8  # triangles whose middles are nearest to a point between side and curve


class ElementFunction:
    """A finite-element function and its gradient, element by element.

    Args:
        bases: scikit-fem's, one a component, on one mesh.
        u: The unknowns of all components, one after the other.
        mesh: The elements; between the sides of triangles and a curve, the function
            goes on as in the nearest triangle.
    """

    def __init__(
        self, bases: Sequence[Any], u: np.ndarray, mesh: Mesh | Triangulation
    ) -> None:
        self.bases, self.u, self.mesh = list(bases), u, mesh
        self.grid, self.dim = bases[0].mesh, bases[0].mesh.dim()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the unknowns."""
        return {"u": torch.as_tensor(self.u, device="cpu")}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take unknowns, of the same mesh."""
        if list(state) != ["u"] or len(state["u"]) != len(self.u):
            sizes = {name: len(t) for name, t in state.items()}
            raise RuntimeError(f"{sizes} for {len(self.u)} unknowns")
        self.u = state["u"].numpy()

    def __call__(self, x: Tensor) -> Tensor:
        """Evaluate: ``(batch, dim)`` to ``(batch, components)``."""
        return self._evaluate(x)[0]

    def jet(self, x: Tensor, wanted: Wanted) -> Jet:
        """Evaluate values and gradient; second derivatives are NaN: there are none."""
        u, p = self._evaluate(x)
        return Jet.assemble(u, {i: p[..., i] for i in wanted.first}, {}, self.dim)

    def _evaluate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return values, ``(batch, components)``, and gradients."""
        check_points("x", x, self.dim)
        points = x.detach().cpu().double().numpy().T
        cells = self._cells(points)
        values, gradients = [], []
        starts = np.cumsum([0, *(basis.N for basis in self.bases)])
        for basis, start in zip(self.bases, starts, strict=False):
            local = basis.mapping.invF(points[:, :, None], tind=cells)
            value, slope = np.zeros(points.shape[1]), np.zeros(points.shape)
            for k in range(basis.Nbfun):
                shape = basis.elem.gbasis(basis.mapping, local, k, tind=cells)[0]
                unknown = self.u[start + basis.element_dofs[k, cells]]
                value += unknown * shape.value[..., 0]
                slope += unknown * shape.grad[:, :, 0]
            values.append(value)
            gradients.append(slope.T)
        u = torch.as_tensor(np.stack(values, 1), device="cpu").to(x)
        return u, torch.as_tensor(np.stack(gradients, 1), device="cpu").to(x)

    def _cells(self, points: np.ndarray) -> np.ndarray:
        """Find the elements that points are in: ``(dim, batch)`` to ``(batch,)``."""
        find = self.grid.element_finder(self.bases[0].mapping)
        try:
            return find(*points)
        except (IndexError, ValueError) as error:  # scikit-fem names no point
            if isinstance(self.mesh, Triangulation):
                inside = self.mesh.geometry.inside(points.T)
                if inside.all():
                    return self._nearest(points.T)
            raise ValueError(
                f"x has points outside the mesh, which runs from "
                f"{self.grid.p.min(1).tolist()} to {self.grid.p.max(1).tolist()}: "
                "expected points inside"
            ) from error

    def _nearest(self, x: np.ndarray) -> np.ndarray:
        """Find the triangle that every point is in, or sticks out of the least."""
        from scipy.spatial import KDTree

        corners = self.grid.p.T[self.grid.t.T]  # (triangles, 3, 2)
        _, near = KDTree(corners.mean(1)).query(x, _NEAR)
        origin, *others = np.moveaxis(corners[near], 2, 0)
        sides = np.stack([other - origin for other in others], -1)
        weights = np.linalg.solve(sides, (x[:, None] - origin)[..., None])[..., 0]
        weights = np.concatenate([weights, 1 - weights.sum(-1, keepdims=True)], -1)
        best = weights.min(-1).argmax(1)
        return np.take_along_axis(near, best[:, None], axis=1)[:, 0]
