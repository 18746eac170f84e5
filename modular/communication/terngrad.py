"""TernGrad: minus one, zero or one, by chance, times the largest size."""

import torch
from torch import Tensor

from modular._packing import pack, unpack
from modular.communication.base import Compressor, Message

__all__ = ["TernGrad"]


class TernGrad(Compressor):
    r"""Send ``-1``, ``0`` or ``1`` for every entry, and the largest size.

    .. math:: q_i = s \,\operatorname{sign}(v_i)\, \beta_i, \quad s = \max_j |v_j|,
              \quad P(\beta_i = 1) = |v_i| / s

    Unbiased, with ``E ||q - v||^2 = s ||v||_1 - ||v||^2``, which is at most
    ``(sqrt(d) - 1) / 2 ||v||^2``; two bits an entry. Wen, Xu, Yan, Wu, Wang, Chen and
    Li 2017 (NeurIPS), eqs. 2 to 5, without their clipping.

    Args:
        generator: Draws ``beta``.

    Example:
        >>> import torch
        >>> TernGrad()(torch.tensor([0.0, 2.0, -2.0]))
        tensor([ 0.,  2., -2.])
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self.generator = generator

    def _encode(self, v: Tensor) -> Message:
        """Return the largest size and the packed signs."""
        flat = v.flatten()
        largest = flat.abs().max()
        u = torch.empty_like(flat).uniform_(generator=self.generator)
        beta = u * largest < flat.abs()
        return largest[None], pack(flat.sign() * beta + 1, 2)

    def decode(self, message: Message, like: Tensor) -> Tensor:
        """Return the signs times the size. Shape ``(...)``."""
        largest, packed = message
        signs = unpack(packed, 2, like.numel()).to(like.dtype) - 1
        return (largest * signs).view_as(like)

    def variance(self, size: int) -> float:
        """Return ``(sqrt(d) - 1) / 2``."""
        return (size**0.5 - 1) / 2
