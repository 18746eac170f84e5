"""What layers cost, and where to cut a chain so that its dearest part is cheapest."""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from modular.meter import SavedTensors

__all__ = ["COSTS", "cut_evenly"]


def count_parameters(layer: nn.Module, h: Tensor) -> int:
    """Return the number of parameters of ``layer``, shared ones once."""
    return sum(p.numel() for p in layer.parameters())


def count_flops(layer: nn.Module, h: Tensor) -> int:
    """Return the FLOPs of one forward pass per sample: products and convolutions."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer(h)
    return counter.get_total_flops() // len(h)


def count_saved_bytes(layer: nn.Module, h: Tensor) -> int:
    """Return the bytes that autograd keeps of ``layer`` per sample."""
    layer, h = copy.deepcopy(layer), h.detach()
    own = [*layer.parameters(), *layer.buffers()]
    if h.is_floating_point():
        h = h.clone().requires_grad_()
    with SavedTensors(exclude=own) as meter, torch.enable_grad():
        layer(h)
    return meter.peak // len(h)


COSTS: dict[str, Callable[[nn.Module, Tensor], int]] = {
    "parameters": count_parameters,
    "flops": count_flops,
    "bytes": count_saved_bytes,
}


def cut_evenly(costs: Sequence[float], parts: int) -> list[int]:
    """Cut a chain into contiguous parts, none empty, so that the dearest is cheapest.

    Exact, by dynamic programming, O(layers^2 parts). Of all the best answers it returns
    the one with the least sum of squared costs, and of those the one that cuts latest,
    so that layers without parameters stay with the layer before them.

    Args:
        costs: Cost of each layer, at least 0.
        parts: Number of parts, at most the number of layers.

    Returns:
        Index of the first layer of every part but the first.

    Example:
        >>> cut_evenly([4, 0, 4, 0, 1], 2), cut_evenly([1, 1, 1, 9], 2)
        ([2], [3])
    """
    sums = [0.0]
    for cost in costs:
        sums.append(sums[-1] + cost)
    limit = _best(sums, parts, max, float("inf"))[0]
    return _best(sums, parts, lambda a, b: a + b * b, limit)[1]


def _best(
    sums: list[float],
    parts: int,
    join: Callable[[float, float], float],
    limit: float,
) -> tuple[float, list[int]]:
    """Return the least value of ``join`` over the parts, all within ``limit``."""
    layers = len(sums) - 1
    # best[i]: value and cuts of the first i layers in as many parts as there were
    # rounds
    best: list[tuple[float, list[int]]] = [(0.0, [])] + [(float("inf"), [])] * layers
    for part in range(1, parts + 1):
        rows: list[tuple[float, list[int]]] = [(float("inf"), [])] * (layers + 1)
        for end in range(part, layers + 1):
            for start in range(part - 1, end):
                cost = sums[end] - sums[start]
                value = join(best[start][0], cost)
                if cost <= limit and value <= rows[end][0]:  # <=: the latest cut wins
                    rows[end] = (value, best[start][1] + [start] * (start > 0))
        best = rows
    return best[layers]
