"""LARS: momentum whose step in every layer is a share of the layer's weights."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from modular._checks import check_not_negative, check_positive
from modular.communication.layerwise import Layerwise

__all__ = ["LARS"]


class LARS(Layerwise):
    r"""Momentum with a rate for each layer that follows its weights.

    .. math:: \lambda = \frac{\eta_0 \|w\|}{\|g\| + \beta \|w\|}, \qquad
              v \leftarrow m v + \eta \lambda (g + \beta w), \qquad w \leftarrow w - v

    One layer is one tensor. Biases and the weights of norms, which have one axis, take
    plain momentum without decay: ``lambda = 1``, ``beta = 0``; a layer whose weights or
    gradient are 0 takes ``lambda = 1``. You, Gitman and Ginsburg 2017,
    arXiv:1708.03888, algorithm 1. Libraries depart from it: some leave ``beta ||w||``
    out of the ratio, some put the rate outside of the momentum.

    Args:
        params: As any optimiser takes them.
        lr: ``eta``, positive.
        momentum: ``m``, in [0, 1).
        weight_decay: ``beta``, not negative.
        trust: ``eta_0``, positive.

    Raises:
        ValueError: If one of them is out of its range.

    Example:
        >>> import torch
        >>> w = torch.nn.Parameter(torch.tensor([[3.0, 4.0]]))
        >>> w.grad = torch.tensor([[0.0, 100.0]])
        >>> LARS([w], lr=1.0, trust=0.1).step()
        >>> w.data  # a tenth of its length, whatever the gradient's
        tensor([[3.0000, 3.5000]])
    """

    def __init__(
        self,
        params: Iterable,
        lr: float,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 1e-3,
    ) -> None:
        check_positive("lr", lr)
        check_positive("trust", trust)
        check_not_negative("weight_decay", weight_decay)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}: expected a number in [0, 1)")
        options = {"lr": lr, "momentum": momentum, "trust": trust}
        super().__init__(params, options | {"weight_decay": weight_decay})

    def _move(self, w: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        """Move one layer."""
        rate = group["lr"]
        if w.ndim > 1:
            beta, size, slope = group["weight_decay"], w.norm(), g.norm()
            ratio = group["trust"] * size / (slope + beta * size)
            rate = rate * torch.where((size > 0) & (slope > 0), ratio, 1.0)
            g = g + beta * w
        v = self.state[w].setdefault("velocity", torch.zeros_like(w))
        v.mul_(group["momentum"]).add_(rate * g)
        w.sub_(v)
