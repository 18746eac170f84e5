"""A finite-element function: values and gradients at points."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinn._checks import check_points
from pinn.derivatives.jets import Jet, Wanted

__all__ = ["ElementFunction"]


class ElementFunction:
    """A finite-element function and its gradient, element by element."""

    def __init__(self, basis: Any, u: np.ndarray) -> None:
        self.basis, self.u, self.dim = basis, u, basis.mesh.dim()

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
        """Evaluate: ``(batch, dim)`` to ``(batch, 1)``."""
        check_points("x", x, self.dim)
        points = x.detach().cpu().double().numpy().T
        try:
            values = self.basis.probes(points) @ self.u
        except (IndexError, ValueError) as error:  # scikit-fem names no point
            raise ValueError(
                f"x has points outside the mesh, which runs from "
                f"{self.basis.mesh.p.min(1).tolist()} to "
                f"{self.basis.mesh.p.max(1).tolist()}: expected points inside"
            ) from error
        return torch.as_tensor(values, device="cpu").to(x)[:, None]

    def jet(self, x: Tensor, wanted: Wanted) -> Jet:
        """Evaluate values and gradient; second derivatives are NaN: there are none."""
        u = self(x)
        points = x.detach().cpu().double().numpy().T
        grid, mapping = self.basis.mesh, self.basis.mapping
        cells = grid.element_finder(mapping)(*points)
        local = mapping.invF(points[:, :, None], tind=cells)
        slope = np.zeros(points.shape)
        for k in range(self.basis.Nbfun):
            shape = self.basis.elem.gbasis(mapping, local, k, tind=cells)[0]
            slope += self.u[self.basis.element_dofs[k, cells]] * shape.grad[:, :, 0]
        p = torch.as_tensor(slope.T.copy(), device="cpu").to(x)
        first = {i: p[:, i : i + 1] for i in wanted.first}
        return Jet.assemble(u, first, {}, self.dim)
