"""The mean of several sparse layers, as sparse as one of them."""

from collections.abc import Sequence

import torch

from modular.sparse.linear import SparseLinear

__all__ = ["sparse_average"]


@torch.no_grad()
def sparse_average(layers: Sequence[SparseLinear]) -> SparseLinear:
    """Average layers over the union of their connections, and keep the largest.

    A connection that a layer lacks counts as 0 there. Of the union as many stay as the
    first layer has; the mean of equal layers is that layer. The second phase of
    WASAP-SGD ends with it: Curci, Mocanu and Pechenizkiy 2021 (arXiv 2102.01732),
    algorithm 2.

    Args:
        layers: Of equal sizes.

    Returns:
        A new layer.

    Raises:
        ValueError: If there is no layer, or sizes differ.

    Example:
        >>> layer = SparseLinear(30, 20, epsilon=2)
        >>> bool((sparse_average([layer, layer]).values == layer.values).all())
        True
    """
    if not layers:
        raise ValueError("layers is empty: expected at least one SparseLinear")
    first = layers[0]
    for layer in layers:
        sizes = (layer.in_features, layer.out_features)
        if sizes != (first.in_features, first.out_features):
            raise ValueError(
                f"a layer has {sizes[0]} inputs and {sizes[1]} outputs: expected "
                f"{first.in_features} and {first.out_features}, as the first"
            )
    union, index = torch.cat([layer.places for layer in layers]).unique(
        return_inverse=True
    )
    values = torch.cat([layer.values for layer in layers])
    total = values.new_zeros(len(union)).index_add(0, index, values)
    mean = total / len(layers)
    largest = mean.abs().argsort(descending=True, stable=True)[: first.connections]
    kept = largest.sort().values
    result = SparseLinear(first.in_features, first.out_features, epsilon=1.0)
    result.to(first.values)
    result.places = union[kept]
    result.values.data = mean[kept]
    result.bias.data = torch.stack([layer.bias for layer in layers]).mean(0)
    return result
