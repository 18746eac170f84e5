"""Sign: one bit an entry, and one size for all."""

from torch import Tensor

from modular._packing import pack, unpack
from modular.communication.base import Compressor, Message

__all__ = ["Sign"]


class Sign(Compressor):
    r"""Send the signs and the mean size.

    .. math:: Q(v) = \frac{\|v\|_1}{d} \operatorname{sign}(v), \qquad
              \|Q(v) - v\|^2 = \Big(1 - \frac{\|v\|_1^2}{d \|v\|^2}\Big) \|v\|^2

    if no entry is 0; a zero is sent as plus. Biased: without :class:`ErrorFeedback` it
    need not converge. Karimireddy, Rebjock, Stich and Jaggi 2019 (ICML), who scale the
    signs, after Seide, Fu, Droppo, Li and Yu 2014.

    Example:
        >>> import torch
        >>> Sign()(torch.tensor([1.0, -3.0]))
        tensor([ 2., -2.])
    """

    def _encode(self, v: Tensor) -> Message:
        """Return the mean size and the packed signs."""
        return v.abs().mean()[None], pack(v.flatten() >= 0, 1)

    def decode(self, message: Message, like: Tensor) -> Tensor:
        """Return the signs times the size. Shape ``(...)``."""
        size, packed = message
        signs = 2 * unpack(packed, 1, like.numel()).to(like.dtype) - 1
        return (size * signs).view_as(like)

    def variance(self, size: int) -> None:
        """Return None: it is biased."""
