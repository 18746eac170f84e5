"""The gradient of an image: differences of neighbouring pixels."""

import torch
from torch import Tensor

from unroll.operators.base import Operator

__all__ = ["Gradient"]


class Gradient(Operator):
    r"""Differences of neighbouring pixels, downwards and to the right, 0 at the border.

    .. math:: (K x)_{ij} = (x_{i+1,j} - x_{ij}, \; x_{i,j+1} - x_{ij})

    The two stand on a new last axis. The adjoint is the negative divergence.
    ``||K||^2 <= 8``, less for small images: Chambolle 2004, J. Math. Imaging Vis. 20,
    theorem 3.1. It is of no size of its own, and its norm is that bound.

    Raises:
        ValueError: If an input is no batch of images, or of such pairs.

    Example:
        >>> Gradient()(torch.tensor([[[1.0, 2.0], [4.0, 8.0]]]))[0, 0]
        tensor([[3., 1.],
                [6., 0.]])
    """

    def __init__(self) -> None:
        super().__init__(())

    def forward(self, x: Tensor) -> Tensor:
        """Return the differences.

        Args:
            x: Images. Shape ``(..., height, width)``.

        Returns:
            Differences. Shape ``(..., height, width, 2)``.
        """
        if not isinstance(x, Tensor) or x.ndim < 3:
            shape = tuple(getattr(x, "shape", ()))
            raise ValueError(
                f"x has shape {shape}: expected (batch, ..., height, width)"
            )
        down, right = torch.zeros_like(x), torch.zeros_like(x)
        down[..., :-1, :] = x.diff(dim=-2)
        right[..., :-1] = x.diff(dim=-1)
        return torch.stack((down, right), dim=-1)

    def adjoint(self, b: Tensor) -> Tensor:
        """Return the negative divergence.

        Args:
            b: Fields of two entries. Shape ``(..., height, width, 2)``.

        Returns:
            Images. Shape ``(..., height, width)``.
        """
        if not isinstance(b, Tensor) or b.ndim < 4 or b.shape[-1] != 2:
            shape = tuple(getattr(b, "shape", ()))
            raise ValueError(
                f"b has shape {shape}: expected (batch, ..., height, width, 2)"
            )
        down, right = b[..., :-1, :, 0], b[..., :-1, 1]
        x = torch.zeros_like(b[..., 0])
        x[..., :-1, :] -= down
        x[..., 1:, :] += down
        x[..., :-1] -= right
        x[..., 1:] += right
        return x

    def norm(
        self, *, tol: float = 1e-3, generator: torch.Generator | None = None
    ) -> float:
        """Return the bound for images of every size.

        Args:
            tol: Not needed.
            generator: Not needed.

        Returns:
            The square root of 8.
        """
        return 8**0.5
