"""What the public functions refuse at the door: by name, and what was expected."""

import inspect
import math
from collections.abc import Sequence

import torch
from torch import Tensor


def check_points(name: str, value: Tensor, dim: int) -> None:
    """Refuse anything but finite floating-point points of ``dim`` coordinates."""
    if not isinstance(value, Tensor):
        kind = type(value).__name__
        raise TypeError(f"{name} is of type {kind}: expected a torch.Tensor")
    if not value.is_floating_point():
        raise TypeError(
            f"{name} has dtype {value.dtype}: expected a floating-point dtype"
        )
    if value.ndim != 2 or value.shape[1] != dim:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}: expected (batch, {dim})"
        )
    check_finite(name, value)


def check_finite(name: str, value: Tensor) -> None:
    """Refuse NaN and infinite entries, naming the first one."""
    bad = ~value.isfinite()
    if bad.any():
        index = bad.nonzero()[0].tolist()
        entry = value[tuple(index)].item()
        raise ValueError(f"{name}{index} is {entry}: expected finite entries")


def check_shape(name: str, value: Tensor, shape: Sequence[int | str]) -> None:
    """Refuse a tensor of another shape; strings stand for any size."""
    sizes = tuple(value.shape)
    fits = len(sizes) == len(shape) and all(
        isinstance(want, str) or want == size
        for size, want in zip(sizes, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join(str(want) for want in shape)
        raise ValueError(f"{name} has shape {sizes}: expected ({wanted})")


def check_count(name: str, value: int, least: int) -> None:
    """Refuse anything but an integer of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}: expected an int")
    if value < least:
        raise ValueError(f"{name} is {value}: expected at least {least}")


def check_positive(name: str, value: float) -> None:
    """Refuse numbers that are not positive and finite."""
    if not 0 < value < math.inf:
        raise ValueError(f"{name} is {value}: expected a positive number")


def check_callable(name: str, value: object, arguments: Sequence[str] = ()) -> None:
    """Refuse what cannot be called, or not with so many arguments."""
    if not callable(value):
        raise TypeError(f"{name} is {value!r}: expected a function")
    try:
        signature = inspect.signature(value)
    except ValueError:  # built in, and silent about it
        return
    try:
        if arguments:
            signature.bind(*arguments)
    except TypeError as error:
        wanted = ", ".join(arguments)
        raise TypeError(
            f"{name} takes {signature}: expected {name}({wanted}), without integrals "
            "or other arguments"
        ) from error


def check_second_order(name: str, params: Sequence[Tensor]) -> None:
    """Refuse parameters in less than float64 for an optimiser that needs it."""
    for p in params:
        if p.dtype != torch.float64:
            raise TypeError(
                f"{name} got parameters in {p.dtype}: expected torch.float64, because "
                "its line search and curvature drown in round-off otherwise"
            )
