"""What a compressor is: a vector goes in, a short message comes out, and back."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from modular._checks import check_dense, check_finite

__all__ = ["Compressor"]

Message = tuple[Tensor, ...]


class Compressor(ABC):
    r"""Make a message of a tensor, and a tensor of the message.

    .. math:: q = Q(v), \qquad E\,Q(v) = v \quad\text{and}\quad
              E\,\|Q(v) - v\|^2 \le \omega \|v\|^2

    where it is unbiased; ``variance(d)`` is its ``omega`` for ``d`` numbers. Where it
    is not, as of :class:`TopK`, ``variance(d)`` is None and it is a contraction,
    ``E ||Q(v) - v||^2 <= (1 - delta) ||v||^2`` with ``delta > 0``.

    A message is a tuple of tensors whose sizes depend on the size of ``v`` only, so
    that all workers send equally much: ``count`` tells how much.
    """

    def encode(self, v: Tensor) -> Message:
        """Return the message for ``v``.

        Args:
            v: What is to be sent. Shape ``(...)``.

        Returns:
            Tensors of fixed sizes.

        Raises:
            TypeError: If ``v`` is no tensor.
            ValueError: If it is empty, or its entries are no finite floating-point
                numbers.
        """
        check_dense("v", v)
        if not v.is_floating_point() or v.numel() == 0:
            raise ValueError(
                f"v has dtype {v.dtype} and shape {tuple(v.shape)}: expected "
                "floating-point numbers, at least one"
            )
        check_finite("v", v)
        return self._encode(v)

    @abstractmethod
    def _encode(self, v: Tensor) -> Message:
        """Return the message for a checked ``v``."""

    @abstractmethod
    def decode(self, message: Message, like: Tensor) -> Tensor:
        """Return what a message says.

        Args:
            message: From :meth:`encode`.
            like: A tensor of the shape, dtype and device of what was encoded. Shape
                ``(...)``.

        Returns:
            What is received in its place. Shape ``(...)``.
        """

    @abstractmethod
    def variance(self, size: int) -> float | None:
        """Return ``omega`` for ``size`` numbers; None if it is biased.

        Args:
            size: Numbers in the tensor.

        Returns:
            The bound of the relative variance.
        """

    def count(self, v: Tensor) -> int:
        """Count the bytes of a message.

        Args:
            v: What is to be sent. Shape ``(...)``.

        Returns:
            Bytes.
        """
        return sum(t.numel() * t.element_size() for t in self.encode(v))

    def __call__(self, v: Tensor) -> Tensor:
        """Return what arrives if ``v`` is sent. Shape ``(...)``."""
        return self.decode(self.encode(v), v)


def chosen(v: Tensor, index: Tensor) -> Message:
    """Return the message of some entries: their values and where they stand."""
    return v.flatten()[index], index.to(torch.int32)


def spread(message: Message, like: Tensor) -> Tensor:
    """Return zeros but for the entries that were sent."""
    values, index = message
    q = torch.zeros_like(like).flatten()
    return q.index_put((index.long(),), values).view_as(like)
