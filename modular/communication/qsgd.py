"""QSGD: round to a few levels, up or down by chance, so that the mean is right."""

import torch
from torch import Tensor

from modular._checks import check_count
from modular._packing import bits_for, pack, unpack
from modular.communication.base import Compressor, Message

__all__ = ["QSGD"]


class QSGD(Compressor):
    r"""Round every entry to one of ``2 s + 1`` levels between ``-||v||`` and ``||v||``.

    .. math:: q_i = \|v\| \,\operatorname{sign}(v_i)\, \xi_i / s, \qquad
              \xi_i = \lfloor s |v_i| / \|v\| + u_i \rfloor, \quad u_i \sim U[0, 1)

    Unbiased, with ``E ||q - v||^2 <= min(d / s^2, sqrt(d) / s) ||v||^2``. The paper's
    message is a code whose words are the shorter the more zeros there are; here every
    level takes the same 1, 2, 4 or 8 bits, and the norm one number. Alistarh, Grubic,
    Li, Tomioka and Vojnovic 2017 (NeurIPS), section 3.1 and lemma 3.1.

    Args:
        levels: ``s``, from 1 to 127.
        generator: Draws ``u``.

    Raises:
        TypeError: If ``levels`` is not an int.
        ValueError: If it is not from 1 to 127.

    Example:
        >>> import torch
        >>> QSGD(1)(torch.tensor([0.0, -2.0]))
        tensor([ 0., -2.])
    """

    def __init__(self, levels: int, generator: torch.Generator | None = None) -> None:
        check_count("levels", levels, least=1)
        if levels > 127:
            raise ValueError(
                f"levels is {levels}: expected at most 127, a byte's worth"
            )
        self.levels, self.generator = levels, generator
        self.bits = bits_for(2 * levels + 1)

    def _encode(self, v: Tensor) -> Message:
        """Return the norm and the packed levels."""
        flat = v.flatten()
        norm = flat.norm()
        u = torch.empty_like(flat).uniform_(generator=self.generator)
        steps = flat.abs() * (self.levels / torch.where(norm > 0, norm, 1.0))
        xi = (steps + u).floor().clamp(max=self.levels) * flat.sign()
        return norm[None], pack(xi + self.levels, self.bits)

    def decode(self, message: Message, like: Tensor) -> Tensor:
        """Return the levels times the norm. Shape ``(...)``."""
        norm, packed = message
        xi = unpack(packed, self.bits, like.numel()).to(like.dtype) - self.levels
        return (xi * (norm / self.levels)).view_as(like)

    def variance(self, size: int) -> float:
        """Return ``min(d / s^2, sqrt(d) / s)``."""
        return min(size / self.levels**2, size**0.5 / self.levels)
