"""Error feedback: what a message leaves out is added to the next."""

from torch import Tensor

from modular._checks import check_kind
from modular.communication.base import Compressor, Message

__all__ = ["ErrorFeedback"]


class ErrorFeedback(Compressor):
    r"""Compress the gradient plus what the last message left out.

    .. math:: p_t = g_t + e_t, \quad q_t = C(p_t), \quad e_{t+1} = p_t - q_t
              \qquad\Rightarrow\qquad \sum_{s \le t} q_s + e_{t+1} = \sum_{s \le t} g_s

    so that nothing is lost, only late. ``C`` must be a contraction. A biased compressor
    is one; an unbiased one with variance ``omega`` becomes one as ``Q / (1 + omega)``,
    and that is done here (for :class:`RandomK` it takes the factor ``d / k`` out).
    Stich, Cordonnier and Jaggi 2018 (NeurIPS), algorithm 1; Karimireddy, Rebjock, Stich
    and Jaggi 2019 (ICML), algorithm 2; the factor after Horváth and Richtárik 2021
    (ICLR).

    The memory is that of one tensor: a model takes one object for each
    (:class:`Exchange` does that). It can be pickled, to go on later.

    Args:
        compressor: Of what is sent.

    Raises:
        TypeError: If it is no compressor.

    Attributes:
        left: What the messages so far have left out; None before the first.

    Example:
        >>> import torch
        >>> from modular.communication import TopK
        >>> compress = ErrorFeedback(TopK(0.5))
        >>> [compress(torch.tensor([2.0, 1.5])).tolist() for _ in range(2)]
        [[2.0, 0.0], [0.0, 3.0]]
    """

    def __init__(self, compressor: Compressor) -> None:
        check_kind("compressor", compressor, Compressor, ", as TopK(0.01)")
        self.compressor = compressor
        self.left: Tensor | None = None

    def _encode(self, v: Tensor) -> Message:
        """Return the message for a tensor and what was left out before."""
        if self.left is not None and self.left.shape != v.shape:
            raise ValueError(
                f"v has shape {tuple(v.shape)} but the memory has "
                f"{tuple(self.left.shape)}: expected one ErrorFeedback for each tensor"
            )
        p = v.clone() if self.left is None else v + self.left
        message = self.compressor.encode(p)
        self.left = p - self.decode(message, p)
        return message

    def decode(self, message: Message, like: Tensor) -> Tensor:
        """Return what a message says, as a contraction. Shape ``(...)``."""
        q = self.compressor.decode(message, like)
        omega = self.compressor.variance(like.numel())
        return q if omega is None else q / (1 + omega)

    def variance(self, size: int) -> None:
        """Return None: one message alone is biased."""

    def count(self, v: Tensor) -> int:
        """Count the bytes of a message; nothing is remembered. Shape ``(...)``."""
        return self.compressor.count(v)
