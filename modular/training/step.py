"""One step of training as every module sees it, and the cut at its border."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from modular._checks import check_finite, check_recorded
from modular.meter import SavedTensors

__all__ = ["OptimizerMaker", "Step", "checked_rule", "credit_of", "cut", "loss_of"]

OptimizerMaker = Callable[[Iterable[nn.Parameter]], Optimizer]


def cut(h: Tensor, passes: bool) -> Tensor:
    """Cut the graph at a module's input: the only place where credit could leak.

    Args:
        h: What the module before returned. Shape ``(batch, ...)``.
        passes: Whether the gradient with respect to it will be asked for.

    Returns:
        A leaf with the same values. Shape ``(batch, ...)``.
    """
    return h.detach().requires_grad_(passes)


def checked_rule(made: object) -> Optimizer:
    """Return a module's optimiser, or refuse what steps otherwise."""
    if not isinstance(made, Optimizer):
        raise TypeError(
            f"optimizer makes a {type(made).__name__}: expected a torch.optim.Optimizer"
        )
    if isinstance(made, torch.optim.LBFGS):
        raise TypeError(
            "optimizer makes an LBFGS, which evaluates the loss again within a step: "
            "expected one that takes the gradient as it is, as torch.optim.Adam"
        )
    return made


def loss_of(loss: Tensor, target: Tensor, where: str) -> float:
    """Return a module's loss as a number, or say what is wrong with it."""
    if loss.shape != ():
        raise ValueError(
            f"the loss of {where} has shape {tuple(loss.shape)}: expected a number, as "
            "the mean over the batch"
        )
    value = loss.item()  # a comparison of tensors would be kept for the backward pass
    if not math.isfinite(value):
        if target.is_floating_point():
            check_finite("target", target)
        raise FloatingPointError(
            f"the loss of {where} is {value}: try a smaller learning rate, or "
            "look for extreme values in the data and in the states before it"
        )
    return value


def credit_of(back: Tensor | None, where: str) -> Tensor:
    """Return what is sent back, or refuse a module that no gradient passes."""
    if back is None:
        raise ValueError(
            f"no gradient passes through {where}: a layer of it detaches, runs without "
            "gradients or returns integers; expected layers that autograd can follow, "
            "or losses that stay in their modules, as DGL()"
        )
    return back


@dataclass
class Step:
    """One step of training, as every module sees it.

    Args:
        number: Steps done before.
        x: The data as they enter. Shape ``(rows, n)`` or
            ``(rows, channels, height, width)``.
        target: Labels. Shape ``(batch,)``.
        index: Which samples of the data they are, where a method keeps something of
            each, one number per row; or None.
        weights: Factor of each module's loss, one per module; None is 1.
        update: Whether optimisers step.
        meter: Counts what autograd saves, or None.
    """

    number: int
    x: Tensor
    target: Tensor
    index: Tensor | None = None
    weights: Tensor | None = None
    update: bool = True
    meter: SavedTensors | None = None

    def __post_init__(self) -> None:
        check_recorded("x", self.x)
