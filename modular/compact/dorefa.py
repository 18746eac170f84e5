"""DoReFa: squeeze weights between -1 and 1, then round them."""

import torch
from torch import Tensor

from modular.compact.fake_quant import FakeQuant, rounded

__all__ = ["DoReFa"]


class DoReFa(FakeQuant):
    r"""Round weights after a hyperbolic tangent, activations after a clip.

    .. math:: q_k(r) = \frac{\operatorname{round}((2^k - 1)\, r)}{2^k - 1}, \qquad
              \hat w = 2\, q_k\Bigl(\frac{\tanh w}{2 \max |\tanh w|} + \frac12\Bigr) - 1

    and for activations (``signed=False``) ``q_k(clip(x, 0, 1))``. The gradient passes
    ``q_k`` unchanged and takes the derivative of the rest; the maximum counts as a
    constant. There is no level at zero for weights. Zhou et al. 2016
    (arXiv 1606.06160), equations 5, 9 and 11.

    Args:
        bits: ``k``, from 2 to 16.
        signed: Whether it rounds weights; else activations.

    Raises:
        TypeError: If ``bits`` is not an int.
        ValueError: If ``bits`` is not from 2 to 16.

    Example:
        >>> import torch
        >>> DoReFa(bits=2, signed=False)(torch.tensor([-1.0, 0.2, 0.4, 2.0]))
        tensor([0.0000, 0.3333, 0.3333, 1.0000])
    """

    def forward(self, v: Tensor) -> Tensor:
        """Round.

        Args:
            v: Numbers. Shape ``(...)``.

        Returns:
            Levels. Shape ``(...)``.
        """
        steps = 2**self.bits - 1
        if not self.signed:
            return rounded(v.clamp(0, 1) * steps) / steps
        t = v.tanh()
        most = t.detach().abs().max()
        most = torch.where(most > 0, most, 1.0)
        return 2 * rounded((t / (2 * most) + 0.5) * steps) / steps - 1

    def unit(self, v: Tensor) -> Tensor:
        """Return half the distance of two levels for weights, else the distance.

        Args:
            v: Numbers. Shape ``(...)``.

        Returns:
            ``1 / (2^k - 1)``. Shape ``()``.
        """
        return v.new_tensor(1 / (2**self.bits - 1))
