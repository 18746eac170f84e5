"""What a codec is: an activation goes in, something smaller is kept, and back."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from modular._checks import check_dense, check_finite

__all__ = ["Codec", "Identity", "Steering"]


class Codec(ABC):
    """Keep an activation small until the backward pass asks for it."""

    def encode(self, x: Tensor) -> Any:
        """Make something small of an activation.

        Args:
            x: The activation. Shape ``(...)``.

        Returns:
            What is kept: :meth:`count` says how many bytes.

        Raises:
            TypeError: If ``x`` is no tensor.
            ValueError: If its entries are no finite floating-point numbers.
        """
        check_dense("x", x)
        if not x.is_floating_point():
            raise ValueError(f"x has dtype {x.dtype}: expected floating-point numbers")
        check_finite("x", x)
        return self._encode(x)

    @abstractmethod
    def _encode(self, x: Tensor) -> Any:
        """Make something small of a checked activation."""

    @abstractmethod
    def decode(self, kept: Any) -> Tensor:
        """Return the activation as it is remembered. Shape ``(...)``."""

    @abstractmethod
    def count(self, kept: Any) -> int:
        """Count the bytes that are kept."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return what an activation is remembered as. Shape ``(...)``."""
        return self.decode(self.encode(x))


class Steering(ABC):
    """What chooses a codec for each activation of a step."""

    @abstractmethod
    def codec(self, number: int) -> Codec:
        """Return the codec of an activation, by its number in the step."""

    def read(self, number: int, layer: nn.Module) -> None:
        """Hear which linear or convolutional layer reads an activation."""
        return


class Identity(Codec):
    """Keep all as it is: training is what it was, bit for bit.

    The control of Jin et al. 2021 (arXiv 2111.09562).

    Example:
        >>> import torch
        >>> Identity()(torch.tensor([0.5]))
        tensor([0.5000])
    """

    def _encode(self, x: Tensor) -> Tensor:
        return x

    def decode(self, kept: Tensor) -> Tensor:
        """Return what was kept.

        Args:
            kept: From ``encode``. Shape ``(...)``.

        Returns:
            The same. Shape ``(...)``.
        """
        return kept

    def count(self, kept: Tensor) -> int:
        """Count its bytes.

        Args:
            kept: From ``encode``. Shape ``(...)``.

        Returns:
            Bytes.
        """
        return kept.numel() * kept.element_size()
