"""What every method of the family refuses."""

import torch
from torch import Tensor

from unroll._checks import check_finite, check_float, traced

_HALF = (torch.float16, torch.bfloat16)


def check_matrices(name: str, Y: Tensor, axes: int = 3) -> None:
    """Refuse what is no batch of finite matrices, or of clips where axes are 4."""
    check_float(name, Y)
    if Y.dtype in _HALF:
        raise TypeError(
            f"{name} has dtype {Y.dtype}, too few digits for singular values: expected "
            "float32 or float64"
        )
    if Y.ndim != axes or Y.numel() == 0:
        wanted = "(batch, n1, n2)" if axes == 3 else "(batch, frames, height, width)"
        raise ValueError(f"{name} has shape {tuple(Y.shape)}: expected {wanted}")
    if not traced(Y):
        check_finite(name, Y)


def check_rank(rank: int, shape: tuple[int, ...]) -> None:
    """Refuse a rank that matrices of this shape cannot have."""
    if rank > min(shape[-2:]):
        raise ValueError(
            f"rank is {rank} but Y has shape {tuple(shape)}: expected at most "
            f"{min(shape[-2:])}"
        )
