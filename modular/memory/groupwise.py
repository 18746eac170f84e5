"""A few bits a number, between the least and the largest of its group."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from modular._checks import check_count
from modular._packing import pack, unpack
from modular.memory.codec import Codec

__all__ = ["Groupwise"]


@dataclass(frozen=True)
class _Kept:
    codes: Tensor
    least: Tensor
    step: Tensor
    shape: torch.Size


class Groupwise(Codec):
    r"""Round each group of numbers to ``2^bits`` equal steps, up or down by chance.

    .. math:: \hat x = \min + s \lfloor (x - \min)/s + u \rfloor, \quad
              s = \frac{\max - \min}{2^\text{bits} - 1}, \quad u \sim U[0, 1)

    Unbiased, with a variance of at most ``s^2 / 4`` each; without ``stochastic`` to the
    nearest step, ``u = 1/2``. Small positive numbers may become zero, so that the mask
    of a ReLU may change. Chen et al. 2021 (ICML, ActNN), section 3.

    Args:
        bits: 1, 2, 4 or 8.
        group: Numbers of a group; the last one may have fewer.
        stochastic: Whether chance rounds.
        generator: Draws ``u``.

    Raises:
        TypeError: If ``group`` is not an int.
        ValueError: If ``bits`` is another number, or ``group`` is below 2.

    Example:
        >>> import torch
        >>> Groupwise(2, stochastic=False)(torch.tensor([0.0, 1.1, 1.9, 3.0]))
        tensor([0., 1., 2., 3.])
    """

    def __init__(
        self,
        bits: int,
        group: int = 256,
        stochastic: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        if bits not in (1, 2, 4, 8):
            raise ValueError(f"bits is {bits}: expected 1, 2, 4 or 8")
        check_count("group", group, least=2)
        self.bits, self.group = bits, group
        self.stochastic, self.generator = stochastic, generator

    def _encode(self, x: Tensor) -> _Kept:
        flat = x.detach().flatten()
        short = -len(flat) % self.group
        if short:  # with copies of the last number, which belongs to the group
            flat = pad(flat[None], (0, short), mode="replicate")[0]
        rows = flat.view(-1, self.group)
        least, most = rows.aminmax(dim=1, keepdim=True)
        step = (most - least) / (2**self.bits - 1)
        if not step.isfinite().all():
            raise ValueError(
                f"x goes from {least.min():.3g} to {most.max():.3g}: expected groups "
                f"whose range is a number of {x.dtype}"
            )
        scaled = (rows - least) / torch.where(step > 0, step, 1.0)
        if self.stochastic:
            u = torch.empty_like(scaled).uniform_(generator=self.generator)
        else:
            u = torch.full_like(scaled, 0.5)
        codes = (scaled + u).floor().clamp(0, 2**self.bits - 1)
        return _Kept(pack(codes.flatten(), self.bits), least, step, x.shape)

    def decode(self, kept: _Kept) -> Tensor:
        """Return the activation as it is remembered.

        Args:
            kept: From ``encode``.

        Returns:
            The activation. Shape ``(...)``.
        """
        size = len(kept.least) * self.group
        codes = unpack(kept.codes, self.bits, size).view(-1, self.group)
        flat = (kept.least + kept.step * codes.to(kept.step)).flatten()
        return flat[: kept.shape.numel()].view(kept.shape)

    def count(self, kept: _Kept) -> int:
        """Count the bytes that are kept: codes, and two numbers a group.

        Args:
            kept: From ``encode``.

        Returns:
            Bytes.
        """
        parts = (kept.codes, kept.least, kept.step)
        return sum(t.numel() * t.element_size() for t in parts)
