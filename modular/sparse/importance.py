"""Neurons whose incoming connections weigh little lose all they have."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from modular._checks import check_kind
from modular.sparse.linear import SparseLinear
from modular.sparse.wiring import rewire

__all__ = ["importance", "importance_prune"]


def importance(layer: SparseLinear) -> Tensor:
    r"""Sum the sizes of the connections that come into each neuron.

    .. math:: I_j = \sum_i |w_{ij}|

    Curci, Mocanu and Pechenizkiy 2021 (arXiv 2102.01732), section 3.3.

    Args:
        layer: Whose outputs the neurons are.

    Returns:
        ``I``. Shape ``(out_features,)``.

    Example:
        >>> float(importance(SparseLinear(30, 20, epsilon=2)).min()) >= 0
        True
    """
    total = layer.values.new_zeros(layer.out_features)
    return total.index_add(0, layer.pattern.row, layer.values.detach().abs())


@torch.no_grad()
def importance_prune(
    layers: Sequence[SparseLinear], share: float, optimizer: Optimizer | None = None
) -> list[int]:
    """Cut off the hidden neurons of least importance; nothing grows in their place.

    A neuron goes with what comes in and with what goes out, and its bias is set to 0.
    Those that have no connection any more do not count: the share is of the others.
    One that would take the last connection of a layer with it stays. Curci,
    Mocanu and Pechenizkiy 2021 (arXiv 2102.01732) prune a fifth, every tenth epoch,
    once the network has learned.

    Args:
        layers: In a chain, each fed by the one before it, the output layer last.
        share: Of the hidden neurons of each layer, in [0, 1).
        optimizer: Whose state follows.

    Returns:
        How many neurons each hidden layer has lost.

    Raises:
        TypeError: If one of ``layers`` is no SparseLinear.
        ValueError: If ``share`` is outside [0, 1), or sizes do not follow each other.

    Example:
        >>> chain = [SparseLinear(30, 20, epsilon=9), SparseLinear(20, 5, epsilon=9)]
        >>> importance_prune(chain, share=0.2)
        [4]
    """
    if not 0 <= share < 1:
        raise ValueError(f"share is {share}: expected a number in [0, 1)")
    for layer in layers:
        check_kind("a layer", layer, SparseLinear)
    lost = []
    for i, (before, after) in enumerate(zip(layers, layers[1:], strict=False)):
        if before.out_features != after.in_features:
            raise ValueError(
                f"layer {i} has {before.out_features} outputs and layer {i + 1} takes "
                f"{after.in_features}: expected a chain"
            )
        lost.append(_prune(before, after, share, optimizer))
    return lost


def _prune(
    before: SparseLinear,
    after: SparseLinear,
    share: float,
    optimizer: Optimizer | None,
) -> int:
    weight = importance(before)
    alive = (weight > 0).nonzero()[:, 0]
    order = weight[alive].argsort(stable=True)
    gone = torch.zeros_like(weight, dtype=torch.bool)
    gone[alive[order[: int(share * len(alive))]]] = True
    kept = ~gone[before.pattern.row], ~gone[after.pattern.column]
    if not (kept[0].any() and kept[1].any()):
        return 0
    before.bias[gone] = 0.0
    nothing = before.places.new_zeros(0)
    for layer, stays in zip((before, after), kept, strict=True):
        rewire(layer, stays, nothing, optimizer)
    return int(gone.sum())
