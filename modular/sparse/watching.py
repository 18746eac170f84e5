"""What a topology has to see to know where a missing connection would help."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from modular.sparse.linear import SparseLinear
from modular.sparse.topology import Topology

__all__ = ["Watching"]


class Watching(Topology):
    """See each layer's inputs and the gradients of its outputs as they pass.

    After ``backward``, ``_seen`` is called with both; :meth:`remove` ends it.
    """

    def __init__(
        self,
        layers: Iterable[SparseLinear],
        share: float,
        optimizer: Optimizer | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(layers, share, optimizer, generator)
        self._hooks: list[RemovableHandle] = [
            layer.register_forward_hook(self._forward) for layer in self.layers
        ]

    def remove(self) -> None:
        """Stop watching."""
        for hook in self._hooks:
            hook.remove()

    def _forward(self, layer: nn.Module, inputs: tuple, y: Tensor) -> None:
        if y.requires_grad:
            x = inputs[0].detach()
            y.register_hook(lambda dy: self._seen(layer, x, dy))

    def _seen(self, layer: nn.Module, x: Tensor, dy: Tensor) -> None:
        raise NotImplementedError

    def _largest(
        self, layer: SparseLinear, blocks: Iterable[Tensor], count: int
    ) -> Tensor:
        """Return the free places with the largest sizes, block of rows by block."""
        best, where, start = [], [], 0
        for block in blocks:
            size, end = block.abs().flatten(), start + block.numel()
            here = (layer.places >= start) & (layer.places < end)
            size[layer.places[here] - start] = -1.0
            top = size.topk(min(count, len(size)))
            best.append(top.values)
            where.append(top.indices + start)
            start = end
        order = torch.cat(best).argsort(descending=True, stable=True)
        return torch.cat(where)[order[:count]]
