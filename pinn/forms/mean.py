"""The mean over the domain as a condition: what fixes a constant."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinn._backend import dde
from pinn._checks import check_count
from pinn.domains.basis import gauss_legendre
from pinn.domains.mesh import Mesh, check_boxes
from pinn.domains.triangulation import Triangulation, points_in
from pinn.forms.assembly import points_of

__all__ = ["Mean"]


class Mean(dde.icbc.PointSetBC):
    r"""Prescribe the mean of a component: the condition of a pure Neumann problem.

    .. math:: \frac{1}{|\Omega|} \int_\Omega u \, dx = m

    by a Gauss rule on elements, boxes or triangles; at a curve, triangles have the mean
    over their polygon, an error of second order in their size. A condition like those
    of ``deepxde.icbc``, one loss; a hard constraint leaves it a loss. Bochev and
    Lehoucq 2005, SIAM Rev. 47(1), say what else may fix the constant.

    Args:
        mesh: Elements that tile the domain, boxes or triangles.
        value: The mean.
        component: Which component of the solution.
        points: Quadrature points per axis and element.

    Raises:
        TypeError: If ``component`` or ``points`` is not an int, or ``mesh`` no mesh.
        ValueError: If it is negative, or there are no points.

    Example:
        >>> import deepxde as dde
        >>> mean = Mean(Mesh(dde.geometry.Interval(0, 2), 4), value=0.0, points=3)
        >>> mean.points.shape
        (12, 1)
    """

    def __init__(
        self,
        mesh: Mesh | Triangulation,
        value: float,
        *,
        component: int = 0,
        points: int = 8,
    ) -> None:
        check_count("component", component, least=0)
        rule = gauss_legendre(points)
        if isinstance(mesh, Triangulation):
            x, weights = points_in(mesh, rule.nodes, rule.weights)
        else:
            check_boxes("Mean", mesh)
            dim = mesh.lower.shape[1]
            x = points_of(mesh, rule.nodes, faces=False)[0]
            share = torch.cartesian_prod(*[rule.weights] * dim).view(-1, dim).prod(1)
            weights = torch.outer((mesh.upper - mesh.lower).prod(1), share).flatten()
        self.share, self.mean = weights / weights.sum(), float(value)
        super().__init__(x.numpy(), np.array([[value]]), component=component)

    def error(
        self,
        X: Any,
        inputs: Tensor,
        outputs: Tensor,
        beg: int,
        end: int,
        aux_var: Any = None,
    ) -> Tensor:
        """Compare the mean with what it should be.

        Args:
            X: Not read.
            inputs: Not read.
            outputs: Values at all points of the conditions. Shape ``(batch, outputs)``.
            beg: First row of this condition.
            end: Behind its last row.
            aux_var: Not read.

        Returns:
            The difference. Shape ``(1, 1)``.
        """
        u = outputs[beg:end, self.component]
        return (self.share.to(u) @ u - self.mean).view(1, 1)
