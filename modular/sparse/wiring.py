"""Change which connections a layer has, and all that an optimiser keeps of them."""

import torch
from torch import Tensor
from torch.optim import Optimizer

from modular.sparse.linear import SparseLinear

__all__ = ["rewire"]


def rewire(
    layer: SparseLinear,
    kept: Tensor,
    grown: Tensor,
    optimizer: Optimizer | None = None,
    start: Tensor | None = None,
) -> None:
    """Keep some connections as they are, and add new ones.

    What the optimiser has of a kept connection (momentum, second moments) stays with
    it bit for bit; a new one starts with zeros. The parameter stays the same object;
    its gradient is dropped. What SET, RigL and the others do: Mocanu et al. 2018.

    Args:
        layer: Whose connections change.
        kept: Which of them stay. Shape ``(connections,)``, dtype bool.
        grown: Places of the new ones, ``output * in_features + input``, none of them
            kept. Shape ``(new,)``.
        optimizer: Holds state for ``layer.values``, or nothing yet.
        start: Values of the new ones; 0 without. Shape ``(new,)``.

    Raises:
        ValueError: If ``kept`` has another shape or dtype, a new place stands outside
            the matrix or twice, no connection is left, or the optimiser keeps something
            else than numbers and vectors, a number for each connection.

    Example:
        >>> import torch
        >>> layer = SparseLinear(3, 2, epsilon=1.2)  # all six
        >>> kept = torch.tensor([True, True, False, False, False, True])
        >>> rewire(layer, kept, grown=torch.tensor([3]))
        >>> layer.places
        tensor([0, 1, 3, 5])
    """
    grown = grown.to(layer.places)
    _check(layer, kept, grown)
    for name, state in _state(layer, optimizer).items():
        vector = isinstance(state, Tensor) and state.shape == layer.values.shape
        if not (vector or isinstance(state, int | float) or _number(state)):
            raise ValueError(
                f"the optimiser keeps {name!r} of type {type(state).__name__}: "
                "expected a number for each connection, which can follow it"
            )
    places, order = torch.cat([layer.places[kept], grown]).sort()
    if len(places) == 0:
        raise ValueError("kept and grown are empty: expected at least one connection")
    if (places[1:] == places[:-1]).any():
        twice = places[1:][places[1:] == places[:-1]][0].item()
        raise ValueError(f"place {twice} is there twice: expected free places in grown")

    nothing = layer.values.new_zeros(len(grown))

    def moved(old: Tensor, new: Tensor) -> Tensor:
        return torch.cat([old[kept], new.to(old)])[order]

    old_shape = layer.values.shape
    layer.places = places
    layer.values.data = moved(layer.values.data, nothing if start is None else start)
    layer.values.grad = None
    for name, state in _state(layer, optimizer).items():
        if isinstance(state, Tensor) and state.shape == old_shape and state.ndim == 1:
            _state(layer, optimizer)[name] = moved(state, nothing)


def _number(state: object) -> bool:
    return state is None or isinstance(state, Tensor) and state.ndim == 0


def _state(layer: SparseLinear, optimizer: Optimizer | None) -> dict:
    return {} if optimizer is None else optimizer.state.get(layer.values, {})


def _check(layer: SparseLinear, kept: Tensor, grown: Tensor) -> None:
    if kept.shape != layer.places.shape or kept.dtype != torch.bool:
        raise ValueError(
            f"kept has shape {tuple(kept.shape)} and dtype {kept.dtype}: expected "
            f"({layer.connections},) and bool"
        )
    size = layer.in_features * layer.out_features
    outside = grown[(grown < 0) | (grown >= size)]
    if len(outside):
        raise ValueError(
            f"place {outside[0].item()} is outside: expected 0 to {size - 1}"
        )
