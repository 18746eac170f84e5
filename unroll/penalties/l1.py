"""The l1 norm, and the l1 norm of what may not be negative."""

from torch import Tensor

from unroll.penalties.base import Penalty
from unroll.prox import soft_threshold

__all__ = ["L1", "NonNegativeL1"]


class L1(Penalty):
    r"""The sum of moduli, which makes entries zero.

    .. math:: R(x) = \|x\|_1, \qquad \mathrm{prox}_{\theta R}(v) = \eta_\theta(v),
              \qquad R^\circ(u) = \|u\|_\infty

    Tibshirani 1996, J. R. Stat. Soc. B 58(1); the proximal map is
    :func:`~unroll.soft_threshold`. Complex entries keep their phase.

    Example:
        >>> import torch
        >>> L1().prox(torch.tensor([[3.0, -0.5]]), 1.0)
        tensor([[2., 0.]])
    """

    def value(self, x: Tensor) -> Tensor:
        """Return the sum of moduli."""
        return x.abs().flatten(1).sum(dim=1)

    def prox(self, v: Tensor, theta: float | Tensor) -> Tensor:
        """Return the soft threshold."""
        return soft_threshold(v, theta)

    def polar(self, u: Tensor) -> Tensor:
        """Return the largest modulus."""
        return u.abs().flatten(1).amax(dim=1)


class NonNegativeL1(Penalty):
    r"""The sum of entries that may not be negative.

    .. math:: R(x) = \begin{cases} \sum_i x_i & x \ge 0, \\ \infty & \text{else,}
              \end{cases} \qquad \mathrm{prox}_{\theta R}(v) = \max(v - \theta, 0),
              \qquad R^\circ(u) = \max(0, \max_i u_i)

    Real entries only. Slawski and Hein 2013, Electron. J. Stat. 7: for such codes the
    sign alone is often penalty enough, with a small ``lam``.

    Raises:
        TypeError: If entries are complex.

    Example:
        >>> import torch
        >>> NonNegativeL1().prox(torch.tensor([[3.0, -5.0]]), 1.0)
        tensor([[2., 0.]])
    """

    def value(self, x: Tensor) -> Tensor:
        """Return the sum of entries, or infinity if one is negative."""
        x = _real(x).flatten(1)
        return x.sum(dim=1).masked_fill((x < 0).any(dim=1), float("inf"))

    def prox(self, v: Tensor, theta: float | Tensor) -> Tensor:
        """Return what exceeds the threshold."""
        return (_real(v) - theta).clamp(min=0)

    def polar(self, u: Tensor) -> Tensor:
        """Return the largest entry, or 0."""
        return _real(u).flatten(1).amax(dim=1).clamp(min=0)


def _real(x: Tensor) -> Tensor:
    """Refuse what has no sign."""
    if x.is_complex():
        raise TypeError(f"x has dtype {x.dtype}: expected real entries, or L1")
    return x
