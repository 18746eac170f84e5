"""What is known of a field before any data."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from pinn._backend import dde
from pinn._checks import check_positive
from pinn.inverse.field import Field

__all__ = ["Smoothness"]


@dataclass(frozen=True, eq=False)
class Smoothness:
    r"""What is known of a field before any data: it changes by about ``rho`` a length.

    .. math:: p(c) \propto \exp\Big( -\frac{1}{2 \rho^2} \int |\nabla c|^2 \, dx \Big)

    the penalty of Tikhonov 1963; in one coordinate a random walk, whose values at a
    distance ``h`` differ by a standard deviation of ``rho sqrt(h)``. Put it among the
    data.
    Kaipio and Somersalo 2005, Statistical and Computational Inverse Problems, ch. 3.

    Args:
        field: The field.
        rho: The deviation, positive.

    Raises:
        TypeError: If ``field`` is no :class:`Field`.
        ValueError: If ``rho`` is not positive.

    Example:
        >>> import torch
        >>> from pinn.inverse import Field
        >>> k = Field("k", [[0.0, 0.5, 1.0]], start=2.0)
        >>> k.set(torch.tensor([1.0, 2.0, 3.0]))  # a slope of 2
        >>> round(Smoothness(k, rho=0.5).rows().square().sum().item(), 6)
        16.0
    """

    field: Field
    rho: float

    def __post_init__(self) -> None:
        if not isinstance(self.field, Field):
            kind = type(self.field).__name__
            raise TypeError(f"field is of type {kind}: expected a pinn.inverse.Field")
        check_positive("rho", self.rho)

    def rows(self) -> Tensor:
        """Write the penalty as half a sum of squares.

        Returns:
            Numbers that are standard normal before any data. Shape ``(edges,)``.
        """
        return self.field.roughness() / self.rho

    def condition(self, dim: int, scale: float) -> Any:
        """Make the loss: the mean of the squared rows, for a ``deepxde.Model``.

        Args:
            dim: Coordinates of the problem.
            scale: What the rows are multiplied with.

        Returns:
            A condition, which hard constraints leave a loss.
        """
        return SmoothnessLoss(self, dim, scale)


class SmoothnessLoss(dde.icbc.PointSetBC):
    """A condition on a field, not on the solution: DeepXDE knows points only."""

    def __init__(self, prior: Smoothness, dim: int, scale: float) -> None:
        self.prior, self.scale = prior, scale
        count = len(prior.rows())
        points = np.zeros((count, dim))
        for axis, knots in zip(prior.field.axes, prior.field.grid, strict=True):
            points[:, axis] = knots[0]
        super().__init__(points, np.zeros((count, 1)))

    def error(
        self,
        X: Any,
        inputs: Tensor,
        outputs: Tensor,
        beg: int,
        end: int,
        aux_var: Any = None,
    ) -> Tensor:
        """Return the rows, whatever the network is. Shape ``(edges, 1)``."""
        return self.scale * self.prior.rows()[:, None].to(outputs)
