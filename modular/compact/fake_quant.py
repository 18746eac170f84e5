"""Round to few levels while training, with a gradient that passes the rounding."""

from abc import ABC, abstractmethod
from copy import deepcopy

from torch import Tensor, nn
from torch.nn.utils import parametrize

from modular._checks import check_count, check_kind

__all__ = ["FakeQuant", "quantize_weights"]


def rounded(v: Tensor) -> Tensor:
    """Round to the next whole number; the gradient passes as if nothing had been."""
    return v + (v.round() - v).detach()


class FakeQuant(nn.Module, ABC):
    """Give each number one of ``2^bits`` levels, stored as a float; see subclasses.

    As a layer it rounds activations, as a parametrisation
    (:func:`quantize_weights`) weights.

    Args:
        bits: Of a number, from 2 to 16. For one bit: :class:`~modular.compact.
            BinaryLinear`.
        signed: Whether levels lie on both sides of zero, as for weights; else from
            zero up, as after a ReLU.

    Raises:
        TypeError: If ``bits`` is not an int.
        ValueError: If ``bits`` is not from 2 to 16.
    """

    def __init__(self, bits: int, signed: bool = True) -> None:
        super().__init__()
        check_count("bits", bits, least=2)
        if bits > 16:
            raise ValueError(f"bits is {bits}: expected at most 16")
        self.bits, self.signed = bits, signed

    @abstractmethod
    def forward(self, v: Tensor) -> Tensor:
        """Round. Shape ``(...)``."""

    @abstractmethod
    def unit(self, v: Tensor) -> Tensor:
        """Return the number of which all levels are whole multiples. Shape ``()``."""

    def extra_repr(self) -> str:
        """Say the bits."""
        return f"bits={self.bits}, signed={self.signed}"


def quantize_weights(model: nn.Module, quantizer: FakeQuant) -> nn.Module:
    """Round the weights of all linear and convolutional layers from now on.

    Every layer gets a copy of its own; the optimiser goes on with the weights that are
    not rounded. Make the optimiser afterwards if the rule learns something
    (:class:`~modular.compact.LSQ`). With straight-through gradients: Bengio, Léonard
    and Courville 2013 (arXiv 1308.3432).

    Args:
        model: Changed in place.
        quantizer: What rounds.

    Returns:
        The model.

    Raises:
        TypeError: If ``quantizer`` is no FakeQuant.
        ValueError: If the model has no such layer, or a weight is rounded already.

    Example:
        >>> from modular.compact import STE
        >>> layer = quantize_weights(nn.Linear(64, 1), STE(bits=2))
        >>> len(layer.weight.unique()) <= 3
        True
    """
    check_kind("quantizer", quantizer, FakeQuant)
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    if not layers:
        raise ValueError(
            "the model has no nn.Linear and no nn.Conv2d: nothing to round"
        )
    for layer in layers:
        if parametrize.is_parametrized(layer, "weight"):
            raise ValueError(f"the weight of {layer} is parametrised already")
        parametrize.register_parametrization(layer, "weight", deepcopy(quantizer))
    return model
