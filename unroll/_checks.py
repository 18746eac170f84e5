"""What public functions refuse at the door: by name, got and expected."""

import torch
from torch import Tensor


def check_float(name: str, value: Tensor) -> None:
    """Refuse anything but a real floating-point tensor."""
    if not isinstance(value, Tensor):
        kind = type(value).__name__
        raise TypeError(f"{name} is of type {kind}: expected a torch.Tensor")
    if not value.is_floating_point():
        raise TypeError(
            f"{name} has dtype {value.dtype}: expected a floating-point dtype"
        )


def check_finite(name: str, value: Tensor) -> None:
    """Refuse NaN and infinite entries, naming the first one."""
    bad = ~value.isfinite()
    if bad.any():
        index = bad.nonzero()[0].tolist()
        entry = value[tuple(index)].item()
        raise ValueError(f"{name}{index} is {entry}: expected finite entries")


def check_like(name: str, value: Tensor, other_name: str, other: Tensor) -> None:
    """Refuse a tensor whose dtype or device is not that of another."""
    check_float(name, value)
    if value.dtype != other.dtype:
        raise TypeError(
            f"{name} has dtype {value.dtype} but {other_name} has {other.dtype}: "
            "expected the same dtype"
        )
    if value.device != other.device:
        raise ValueError(
            f"{name} is on {value.device} but {other_name} is on {other.device}: "
            "expected the same device"
        )


def check_dictionary(A: Tensor) -> None:
    """Refuse a dictionary that is not a finite, non-empty, non-zero matrix."""
    check_float("A", A)
    if A.ndim != 2 or A.numel() == 0:
        raise ValueError(f"A has shape {tuple(A.shape)}: expected (m, n)")
    check_finite("A", A)
    if not A.any():
        raise ValueError("A is zero everywhere: expected some non-zero entry")


def check_batch(name: str, value: Tensor, A: Tensor, dim: int) -> None:
    """Refuse a batch that does not fit the rows (0) or columns (1) of ``A``."""
    check_like(name, value, "A", A)
    size = A.shape[dim]
    if value.ndim != 2:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}: expected (batch, {size})"
        )
    if value.shape[1] != size:
        kind = ("rows", "columns")[dim]
        raise ValueError(
            f"{name} has {value.shape[1]} columns but A has {size} {kind}: "
            f"expected {name} of shape (batch, {size})"
        )
    if value.shape[0] == 0:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}: expected a batch of at least one"
        )
    check_finite(name, value)


def check_count(name: str, value: int, least: int) -> None:
    """Refuse anything but an integer of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}: expected an int")
    if value < least:
        raise ValueError(f"{name} is {value}: expected at least {least}")


def check_positive(name: str, value: float) -> None:
    """Refuse numbers that are not positive and finite."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} is {value}: expected a positive number")


def column_of_lam(lam: float | Tensor, b: Tensor) -> Tensor:
    """Return ``lam`` as a column ``(batch, 1)`` beside ``b``; refuse negatives."""
    if isinstance(lam, Tensor) and lam.ndim > 0:
        check_like("lam", lam, "b", b)
        if lam.shape != b.shape[:1]:
            raise ValueError(
                f"lam has shape {tuple(lam.shape)} but b has {b.shape[0]} rows: "
                f"expected a number or shape ({b.shape[0]},)"
            )
        check_finite("lam", lam)
        if (lam < 0).any():
            index = int((lam < 0).nonzero()[0])
            raise ValueError(f"lam[{index}] is {lam[index].item()}: expected >= 0")
        return lam[:, None]
    if not 0 <= lam < float("inf"):
        raise ValueError(f"lam is {float(lam)}: expected a finite number >= 0")
    return torch.full_like(b[:, :1], float(lam))
