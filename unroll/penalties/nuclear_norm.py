"""The nuclear norm: few singular values are left."""

import torch
from torch import Tensor

from unroll.penalties.base import Penalty

__all__ = ["NuclearNorm"]


class NuclearNorm(Penalty):
    r"""The sum of singular values, which makes a matrix low in rank.

    .. math:: R(x) = \|x\|_*, \qquad \mathrm{prox}_{\theta R}(U S V^*) =
              U \, \eta_\theta(S) \, V^*, \qquad R^\circ(u) = \|u\|_2

    A sample is one matrix, of its last two axes, or several: their sum. Cai, Candes and
    Shen 2010, SIAM J. Optim. 20(4), theorem 2.1.

    Raises:
        ValueError: If samples are no matrices.

    Example:
        >>> NuclearNorm().prox(torch.tensor([[[3.0, 0.0], [0.0, 0.5]]]), 1.0)
        tensor([[[2., 0.],
                 [0., 0.]]])
    """

    def value(self, x: Tensor) -> Tensor:
        """Return the sum of singular values."""
        return torch.linalg.svdvals(_matrices(x)).flatten(1).sum(dim=1)

    def prox(self, v: Tensor, theta: float | Tensor) -> Tensor:
        """Return the matrices with their singular values shrunk."""
        U, S, Vh = torch.linalg.svd(_matrices(v), full_matrices=False)
        if isinstance(theta, Tensor) and theta.ndim:
            theta = theta[..., 0]  # one axis of singular values for two of entries
        S = (S - theta).clamp(min=0)
        return (U * S[..., None, :].to(U.dtype)) @ Vh

    def polar(self, u: Tensor) -> Tensor:
        """Return the largest singular value."""
        return torch.linalg.svdvals(_matrices(u)).flatten(1).amax(dim=1)


def _matrices(x: Tensor) -> Tensor:
    """Refuse samples that are no matrices."""
    if x.ndim < 3:
        raise ValueError(
            f"x has shape {tuple(x.shape)}: expected (batch, ..., rows, columns)"
        )
    return x
