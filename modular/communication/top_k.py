"""Top-k: send the largest entries, and nothing of the others."""

from torch import Tensor

from modular.communication._share import count_of
from modular.communication.base import Compressor, Message, chosen, spread

__all__ = ["TopK"]


class TopK(Compressor):
    r"""Send the ``k`` entries that are largest in size, with their places.

    .. math:: \|Q(v) - v\|^2 \le (1 - k/d)\, \|v\|^2 \quad\text{for every } v

    since what is left out is the smaller part. It is biased: entries that stay small
    are never sent, unless :class:`ErrorFeedback` collects them. A message has ``k``
    values and ``k`` places of 4 bytes. Stich, Cordonnier and Jaggi 2018 (NeurIPS),
    eq. 3 and lemma A.1.

    Args:
        share: Of the entries of each tensor, ``k = max(1, round(share d))``.

    Raises:
        ValueError: If ``share`` is not in (0, 1].

    Example:
        >>> import torch
        >>> TopK(0.5)(torch.tensor([0.1, -3.0, 2.0, 0.2]))
        tensor([ 0., -3.,  2.,  0.])
    """

    def __init__(self, share: float) -> None:
        self.share = share
        count_of(share, 1)

    def _encode(self, v: Tensor) -> Message:
        """Return the largest entries and their places."""
        k = count_of(self.share, v.numel())
        return chosen(v, v.flatten().abs().topk(k).indices)

    def decode(self, message: Message, like: Tensor) -> Tensor:
        """Return zeros but for what was sent. Shape ``(...)``."""
        return spread(message, like)

    def variance(self, size: int) -> None:
        """Return None: it is biased."""
