"""The straight-through estimator: rounding has the gradient of doing nothing."""

import torch
from torch import Tensor

from modular.compact.fake_quant import FakeQuant, rounded

__all__ = ["STE"]


class STE(FakeQuant):
    r"""Round to equal steps up to the largest size there is.

    .. math:: \hat v = s \operatorname{round}(v / s), \quad
              s = \max |v| / Q, \qquad \frac{\partial \hat v}{\partial v} := 1

    with ``Q = 2^(bits - 1) - 1``, or ``2^bits - 1`` levels from zero up, where what is
    negative becomes 0 and has gradient 0. ``s`` counts as a constant. Bengio, Léonard
    and Courville 2013 (arXiv 1308.3432).

    Args:
        bits: Of a number, from 2 to 16.
        signed: Whether levels lie on both sides of zero.

    Raises:
        TypeError: If ``bits`` is not an int.
        ValueError: If ``bits`` is not from 2 to 16.

    Example:
        >>> import torch
        >>> STE(bits=2)(torch.tensor([-4.0, 1.9, 2.1]))
        tensor([-4.,  0.,  4.])
    """

    def __init__(self, bits: int, signed: bool = True) -> None:
        super().__init__(bits, signed)
        self.most = 2 ** (bits - 1) - 1 if signed else 2**bits - 1

    def forward(self, v: Tensor) -> Tensor:
        """Round.

        Args:
            v: Numbers. Shape ``(...)``.

        Returns:
            Levels. Shape ``(...)``.
        """
        if not self.signed:
            v = v.clamp(min=0)
        step = self.unit(v)
        return rounded(v / step) * step

    def unit(self, v: Tensor) -> Tensor:
        """Return the step.

        Args:
            v: Numbers. Shape ``(...)``.

        Returns:
            ``s``. Shape ``()``.
        """
        v = v.detach() if self.signed else v.detach().clamp(min=0)
        step = v.abs().max() / self.most
        return torch.where(step > 0, step, 1.0)
