"""Which entries are measured, as a list of their places."""

import torch
from torch import Tensor


def indices_of(mask: Tensor) -> Tensor:
    """Return where a mask is true, in the order of its flattened entries."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        kind = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(f"mask is of type {kind}: expected a tensor of torch.bool")
    if not mask.any():
        raise ValueError("mask is false everywhere: expected something to see")
    return mask.flatten().nonzero()[:, 0]


def filled(b: Tensor, index: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return tensors that hold the last axis of ``b`` at an index, and 0 elsewhere."""
    zeros = b.new_zeros(*b.shape[:-1], torch.Size(shape).numel())
    return zeros.index_copy(-1, index, b).unflatten(-1, shape)


def count_of(fraction: float, size: int) -> int:
    """Return how many of so many entries a fraction is, at least one."""
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction}: expected 0 < fraction <= 1")
    return max(1, round(fraction * size))
