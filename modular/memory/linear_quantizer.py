"""Equal steps, zeros that stay zeros, and an entropy code."""

import zlib
from dataclasses import dataclass

import torch
from torch import Tensor

from modular._checks import check_positive
from modular.memory.codec import Codec

__all__ = ["LinearQuantizer"]

_CODES = (torch.int8, torch.int16, torch.int32)


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
        size = x.detach().double().abs() / (2 * self.bound)
        most = size.max().item() + 1 if x.numel() else 0.0
        fits = [d for d in _CODES if most <= torch.iinfo(d).max]
        if not fits:
            raise ValueError(
                f"x reaches {x.abs().max().item():.3g}, which is {most:.3g} steps of "
                f"bound {self.bound:.3g}: expected at most {2**31 - 1}"
            )
        codes = ((size.floor() + 1) * x.sign()).to(fits[0])
        like = x.new_empty(0)
        if x.device.type == "cpu":
            return _Kept(
                zlib.compress(codes.numpy().tobytes(), 1), fits[0], like, x.shape
            )
        return _Kept(codes, fits[0], like, x.shape)

    def decode(self, kept: _Kept) -> Tensor:
        """Return the activation as it is remembered.

        Args:
            kept: From ``encode``.

        Returns:
            The activation. Shape ``(...)``.
        """
        if isinstance(kept.codes, bytes):
            raw = bytearray(zlib.decompress(kept.codes))
            codes = (
                torch.frombuffer(raw, dtype=kept.integer)
                if raw
                else torch.empty(0, dtype=kept.integer)
            )
        else:
            codes = kept.codes
        steps = 2 * codes.double() - codes.sign()
        return (steps * self.bound).to(kept.like).view(kept.shape)

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
