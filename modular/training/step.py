"""One step of training as every module sees it, and the cut at its border."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.optim import Optimizer

from modular.meter import SavedTensors

__all__ = ["OptimizerMaker", "Step", "cut"]

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


@dataclass
class Step:
    """One step of training, as every module sees it.

    Args:
        number: Steps done before.
        x: The data as they enter. Shape ``(rows, n)`` or
            ``(rows, channels, height, width)``.
        target: Labels. Shape ``(batch,)``.
        weights: Factor of each module's loss, one per module; None is 1.
        update: Whether optimisers step.
        meter: Counts what autograd saves, or None.
    """

    number: int
    x: Tensor
    target: Tensor
    weights: Tensor | None = None
    update: bool = True
    meter: SavedTensors | None = None
