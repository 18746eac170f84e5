"""Equal steps, zeros that stay zeros, and an entropy code."""

import zlib
from dataclasses import dataclass

import torch
from torch import Tensor

from modular._checks import check_positive
from modular.memory.codec import Codec

__all__ = ["LinearQuantizer"]

_CODES = (torch.int8, torch.int16, torch.int32)
_PIECE = 1 << 14  # numbers that are worked on at a time: less room is needed meanwhile


@dataclass(frozen=True)
class _Kept:
    codes: bytes | Tensor
    integer: torch.dtype
    like: Tensor  # of no size: dtype and device
    shape: torch.Size


class LinearQuantizer(Codec):
    r"""Remember each number to within ``bound``, zeros and signs exactly.

    .. math:: \hat x = \operatorname{sign}(x) (2k - 1)\, b, \qquad
              k = \lfloor |x| / (2b) \rfloor + 1 \quad (x \ne 0), \qquad \hat 0 = 0

    so that ``|x^ - x| <= b``, and nothing that is positive becomes zero: the mask of a
    ReLU stays the same, and with it all gradients that go further back. Codes are
    integers of 8, 16 or 32 bits; on the CPU ``zlib`` makes use of the zeros. The
    linear quantiser of error-bounded compressors, with zeros kept as Jin et al. 2021
    (arXiv 2111.09562) ask; theirs is SZ.

    Args:
        bound: ``b``, positive. Up to rounding of the result.

    Raises:
        ValueError: If ``bound`` is not positive.

    Example:
        >>> import torch
        >>> LinearQuantizer(0.5)(torch.tensor([0.0, 1e-9, 1.7, -2.2]))
        tensor([ 0.0000,  0.5000,  1.5000, -2.5000])
    """

    def __init__(self, bound: float) -> None:
        check_positive("bound", bound)
        self.bound = bound

    def _encode(self, x: Tensor) -> _Kept:
        x = x.detach()
        most = _largest(x) / (2 * self.bound) + 1
        fits = [d for d in _CODES if most <= torch.iinfo(d).max]
        if not fits:
            raise ValueError(
                f"x reaches {_largest(x):.3g}, which is {most:.3g} steps of "
                f"bound {self.bound:.3g}: expected at most {2**31 - 1}"
            )
        codes = torch.empty(x.numel(), dtype=fits[0], device=x.device)
        for part, into in zip(_pieces(x.flatten()), _pieces(codes), strict=True):
            size = part.double().abs().div_(2 * self.bound)
            into.copy_(size.floor_().add_(1).mul_(part.sign()))
        like = x.new_empty(0)
        if x.device.type == "cpu":
            return _Kept(zlib.compress(codes.numpy().data, 1), fits[0], like, x.shape)
        return _Kept(codes, fits[0], like, x.shape)

    def decode(self, kept: _Kept) -> Tensor:
        """Return the activation as it is remembered.

        Args:
            kept: From ``encode``.

        Returns:
            The activation. Shape ``(...)``.
        """
        codes = kept.codes
        if isinstance(codes, bytes):
            raw = bytearray(zlib.decompress(codes))
            empty = torch.empty(0, dtype=kept.integer)
            codes = torch.frombuffer(raw, dtype=kept.integer) if raw else empty
        x = kept.like.new_empty(codes.numel())
        most = torch.finfo(x.dtype).max  # an interval may end beyond all numbers
        for part, into in zip(_pieces(codes), _pieces(x), strict=True):
            steps = part.double().mul_(2).sub_(part.sign())
            into.copy_(steps.mul_(self.bound).clamp_(-most, most))
        return x.view(kept.shape)

    def count(self, kept: _Kept) -> int:
        """Count the bytes that are kept.

        Args:
            kept: From ``encode``.

        Returns:
            Bytes.
        """
        if isinstance(kept.codes, bytes):
            return len(kept.codes)
        return kept.codes.numel() * kept.codes.element_size()


def _pieces(x: Tensor) -> tuple[Tensor, ...]:
    """Cut a row of numbers into views of it."""
    return x.split(_PIECE)


def _largest(x: Tensor) -> float:
    """Return the largest size of a number, without a second tensor of all sizes."""
    if not x.numel():
        return 0.0
    low, high = x.aminmax()
    return max(-low.item(), high.item())
