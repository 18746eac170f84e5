"""Auxiliary heads: what turns a module's features into predictions of its own.

Heads decide rankings. On pairs of digits, six modules with linear heads lose to six
with one hidden layer by several points (Belilovsky, Eickenberg and Oyallon 2019 study
this under the name of auxiliary networks), so a comparison must state their size:
``Partition.cost`` counts parameters and FLOPs of each.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from modular._modes import evaluating

__all__ = ["Head", "HeadMaker", "head_for", "linear_head", "mlp_head"]

HeadMaker = Callable[[torch.Size, int], nn.Module]

_POOLED = 2  # pixels per side left of an image, as the mlp-sr head of DGL


def seeded(net: nn.Module, generator: torch.Generator | None) -> nn.Module:
    """Draw the weights of the linear and convolutional layers from ``generator``."""
    if generator is None:
        return net
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            # torch's own distribution, U(-1, 1) / sqrt(fan in), for weight and bias
            bound = 1 / math.sqrt(max(1, layer.weight[0].numel()))
            with torch.no_grad():
                for values in (layer.weight, layer.bias):
                    if values is not None:
                        values.uniform_(-bound, bound, generator=generator)
    return net


def linear_head(shape: torch.Size, classes: int) -> nn.Sequential:
    """Make a linear classifier; images are first averaged down to 2 x 2 pixels.

    Args:
        shape: Shape of one sample's features, without the batch.
        classes: Number of outputs.

    Returns:
        The head.

    Example:
        >>> linear_head(torch.Size([96]), 10)(torch.zeros(5, 96)).shape
        torch.Size([5, 10])
    """
    pool, size = _flat(shape)
    return nn.Sequential(*pool, nn.Linear(size, classes))


def mlp_head(shape: torch.Size, classes: int) -> nn.Sequential:
    """Make a classifier with one hidden layer as wide as its input.

    The ``mlp-sr`` head of Belilovsky, Eickenberg and Oyallon 2020 (DGL) has such layers
    after spatial averaging; images are averaged down to 2 x 2 pixels here as well.

    Args:
        shape: Shape of one sample's features, without the batch.
        classes: Number of outputs.

    Returns:
        The head.

    Example:
        >>> mlp_head(torch.Size([8, 5, 5]), 10)(torch.zeros(3, 8, 5, 5)).shape
        torch.Size([3, 10])
    """
    pool, size = _flat(shape)
    layers = [nn.Linear(size, size), nn.ReLU(), nn.Linear(size, classes)]
    return nn.Sequential(*pool, *layers)


def head_for(
    make: HeadMaker,
    h: Tensor,
    scores: torch.Size,
    generator: torch.Generator | None,
) -> nn.Module:
    """Make a head for features ``h`` that returns ``scores``, as the model does."""
    if not h.is_floating_point():
        raise ValueError(
            f"a block ends with states of {h.dtype}, from which no head learns: "
            "expected real floating-point states there, choose other cuts"
        )
    by_position = len(scores) == 3 and make in (linear_head, mlp_head)
    shape = h.shape[-1:] if by_position else h.shape[1:]
    made = make(shape, scores[-1])
    if not isinstance(made, nn.Module):
        raise TypeError(f"head makes a {type(made).__name__}: expected a layer")
    head = seeded(made, generator).to(h.device, h.dtype)
    with torch.no_grad(), evaluating(head):
        found = head(h.clone()).shape
    if found != scores:
        raise ValueError(
            f"the head returns shape {tuple(found)} for features of shape "
            f"{tuple(h.shape)}: expected {tuple(scores)}, as the model does"
        )
    return head


def _flat(shape: torch.Size) -> tuple[list[nn.Module], int]:
    """Return the layers that make features flat, and the length they have then."""
    if len(shape) == 1:
        return [], shape[0]
    if len(shape) == 3:
        return [nn.AdaptiveAvgPool2d(_POOLED), nn.Flatten()], shape[0] * _POOLED**2
    return [nn.Flatten()], shape.numel()


class Head(nn.Module):
    """A predictor, and the parts that objectives hang on to it.

    Args:
        predict: Maps features to one score per class.
        classes: How many classes there are.

    Attributes:
        predict: As given. ``nn.Identity`` in the last block, whose features are the
            scores.
        parts: Further layers by name, made by :meth:`Objective.attach`: the projection
            of a similarity loss, the decoder of InfoPro, a synthesiser of gradients.
    """

    def __init__(self, predict: nn.Module, classes: int) -> None:
        super().__init__()
        self.predict = predict
        self.classes = classes
        self.parts = nn.ModuleDict()

    def forward(self, h: Tensor) -> Tensor:
        """Return scores.

        Args:
            h: Features. Shape ``(batch, ...)``.

        Returns:
            One score per class. Shape ``(batch, classes)``.
        """
        return self.predict(h)
