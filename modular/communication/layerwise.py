"""Optimisers that move one tensor after the other, each by its own rule."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Layerwise"]


class Layerwise(torch.optim.Optimizer):
    """What moves every tensor that has a gradient, as :meth:`_move` says."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Take a step.

        Args:
            closure: Evaluates the loss and its gradients, if given.

        Returns:
            What the closure returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is not None:
                    self._move(w, w.grad, group)
        return loss

    @abstractmethod
    def _move(self, w: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        """Move one tensor, whose gradient is ``g``."""
