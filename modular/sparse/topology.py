"""Topologies that move: weak connections go, others come, their number stays."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from modular._checks import check_kind
from modular.sparse.linear import SparseLinear
from modular.sparse.wiring import rewire

__all__ = ["Topology", "sparse_layers"]


def sparse_layers(model: nn.Module) -> list[SparseLinear]:
    """List a model's sparse layers in their order: of SET, Mocanu et al. 2018.

    Args:
        model: Any module.

    Returns:
        The layers.

    Raises:
        ValueError: If there is none.

    Example:
        >>> len(sparse_layers(nn.Sequential(SparseLinear(9, 9, 1), nn.ReLU())))
        1
    """
    layers = [m for m in model.modules() if isinstance(m, SparseLinear)]
    if not layers:
        raise ValueError("the model has no SparseLinear: expected at least one")
    return layers


class Topology(ABC):
    """Drop a share of every layer's connections and grow as many; see subclasses.

    Call :meth:`step` now and then (the papers: once an epoch, not in the last one),
    after the optimiser's step. What the optimiser keeps follows (:func:`~modular.
    sparse.rewire`).

    Args:
        layers: Which layers move. The papers leave the output layer as it is.
        share: Of its connections that each layer gives up, in [0, 1). 0 changes
            nothing.
        optimizer: Whose state follows.
        generator: Draws where connections grow, where that is left to chance.

    Raises:
        TypeError: If one of ``layers`` is no SparseLinear.
        ValueError: If ``share`` is outside [0, 1), there is no layer, or
            ``optimizer`` does not hold all values.
    """

    def __init__(
        self,
        layers: Iterable[SparseLinear],
        share: float,
        optimizer: Optimizer | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        self.layers: Sequence[SparseLinear] = list(layers)
        if not self.layers:
            raise ValueError("layers is empty: expected at least one SparseLinear")
        for layer in self.layers:
            check_kind("a layer", layer, SparseLinear)
        if not 0 <= share < 1:
            raise ValueError(f"share is {share}: expected a number in [0, 1)")
        if optimizer is not None:
            held = {id(p) for group in optimizer.param_groups for p in group["params"]}
            if not all(id(layer.values) in held for layer in self.layers):
                raise ValueError(
                    "optimizer does not hold the values of every layer: expected the "
                    "one that trains them"
                )
        self.share, self.optimizer, self.generator = share, optimizer, generator

    @torch.no_grad()
    def step(self) -> int:
        """Move the connections of every layer.

        Returns:
            How many have moved.

        Raises:
            ValueError: If a layer is frozen, or the optimiser keeps something of other
                sizes for it, which could not follow.
        """
        moved = 0
        for layer in self.layers:
            if not layer.values.requires_grad:
                raise ValueError(f"{layer} is frozen: expected layers that train")
            dropped = self._drop(layer)
            free = layer.in_features * layer.out_features - layer.connections
            if int(dropped.sum()) > free:  # a nearly dense layer
                dropped = _weakest(layer.values.abs(), dropped, free)
            count = int(dropped.sum())
            if count:
                grown = self._grow(layer, count)
                start = self._start(layer, count)
                rewire(layer, ~dropped, grown, self.optimizer, start)
            moved += count
        return moved

    def _drop(self, layer: SparseLinear) -> Tensor:
        """Say which go: those of the smallest size. Shape ``(connections,)``, bool."""
        return smallest(layer.values.abs(), int(self.share * layer.connections))

    @abstractmethod
    def _grow(self, layer: SparseLinear, count: int) -> Tensor:
        """Choose as many free places. Shape ``(count,)``."""

    def _start(self, layer: SparseLinear, count: int) -> Tensor | None:
        """Return the values with which connections start. Shape ``(count,)``."""
        return None  # zeros


def smallest(sizes: Tensor, count: int) -> Tensor:
    """Mark the ``count`` smallest. Shape of ``sizes``, dtype bool."""
    marked = torch.zeros_like(sizes, dtype=torch.bool)
    marked[sizes.argsort(stable=True)[:count]] = True
    return marked


def _weakest(sizes: Tensor, among: Tensor, count: int) -> Tensor:
    return smallest(sizes.masked_fill(~among, float("inf")), count) & among
