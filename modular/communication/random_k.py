"""Random-k: send some entries, whichever, and say them louder."""

import torch
from torch import Tensor

from modular.communication._share import count_of
from modular.communication.base import Compressor, Message, chosen, spread

__all__ = ["RandomK"]


class RandomK(Compressor):
    r"""Send ``k`` entries drawn without looking, each multiplied by ``d / k``.

    .. math:: E\,Q(v) = v, \qquad E\,\|Q(v) - v\|^2 = (d/k - 1)\, \|v\|^2

    Unbiased, and noisy. Stich, Cordonnier and Jaggi 2018 (NeurIPS), eq. 3 and lemma
    A.1, without the factor there: :class:`ErrorFeedback` takes it out again.

    Args:
        share: Of the entries of each tensor, ``k = max(1, round(share d))``.
        generator: Draws the places.

    Raises:
        ValueError: If ``share`` is not in (0, 1].

    Example:
        >>> import torch
        >>> (RandomK(0.5)(torch.ones(6)) == 2).sum()
        tensor(3)
    """

    def __init__(self, share: float, generator: torch.Generator | None = None) -> None:
        self.share, self.generator = share, generator
        count_of(share, 1)

    def _encode(self, v: Tensor) -> Message:
        """Return the entries, louder, and their places."""
        size = v.numel()
        k = count_of(self.share, size)
        places = torch.randperm(size, generator=self.generator, device=v.device)[:k]
        values, index = chosen(v, places)
        return values * (size / k), index

    def decode(self, message: Message, like: Tensor) -> Tensor:
        """Return zeros but for what was sent. Shape ``(...)``."""
        return spread(message, like)

    def variance(self, size: int) -> float:
        """Return ``d / k - 1``, which is exact."""
        return size / count_of(self.share, size) - 1
