"""The group norm: entries are zero together or not at all."""

import torch
from torch import Tensor

from unroll._checks import check_count
from unroll.penalties.base import Penalty

__all__ = ["GroupL21"]


class GroupL21(Penalty):
    r"""The sum of the lengths of groups, which makes whole groups zero.

    .. math:: R(x) = \sum_g \|x_g\|_2, \qquad \mathrm{prox}_{\theta R}(v)_g =
              \max\Bigl(0, 1 - \frac{\theta}{\|v_g\|_2}\Bigr) v_g, \qquad
              R^\circ(u) = \max_g \|u_g\|_2

    A group is ``size`` consecutive entries of the last axis; ``size`` of a whole row
    makes rows zero. Yuan and Lin 2006, J. R. Stat. Soc. B 68(1).

    Args:
        size: Entries of a group.

    Raises:
        TypeError: If ``size`` is not an int.
        ValueError: If ``size`` is not positive, or does not divide the last axis.

    Example:
        >>> GroupL21(2).prox(torch.tensor([[3.0, 4.0, 0.6, 0.8]]), 1.0)
        tensor([[2.4000, 3.2000, 0.0000, 0.0000]])
    """

    def __init__(self, size: int) -> None:
        check_count("size", size, least=1)
        self.size = size

    def value(self, x: Tensor) -> Tensor:
        """Return the sum of lengths."""
        return self._lengths(x).flatten(1).sum(dim=1)

    def prox(self, v: Tensor, theta: float | Tensor) -> Tensor:
        """Return groups that are shorter by the threshold, or zero."""
        length = self._lengths(v)
        long = length > theta
        kept = torch.where(long, 1 - theta / length.where(long, 1.0), 0.0)
        return (v.unflatten(-1, (-1, self.size)) * kept[..., None]).flatten(-2)

    def polar(self, u: Tensor) -> Tensor:
        """Return the largest length."""
        return self._lengths(u).flatten(1).amax(dim=1)

    def _lengths(self, x: Tensor) -> Tensor:
        """Return the length of every group, on the last axis."""
        if x.shape[-1] % self.size:
            raise ValueError(
                f"size is {self.size} but the last axis has {x.shape[-1]} entries: "
                "expected a divisor"
            )
        return torch.linalg.vector_norm(x.unflatten(-1, (-1, self.size)), dim=-1)
