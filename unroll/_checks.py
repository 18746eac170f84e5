"""What public functions refuse at the door: by name, got and expected."""

from numbers import Real

import torch
from torch import Tensor

_HALF = (torch.float16, torch.bfloat16)


def traced(*values: object) -> bool:
    """Whether values are unknown: in torch.compile, torch.export, or torch.func.

    Then a check that must look at an entry cannot be made.
    """
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    return torch.compiler.is_compiling() or any(
        isinstance(value, Tensor) and wrapped(value) for value in values
    )


def check_float(name: str, value: Tensor) -> None:
    """Refuse anything but a real floating-point tensor."""
    if not isinstance(value, Tensor):
        kind = type(value).__name__
        raise TypeError(f"{name} is of type {kind}: expected a torch.Tensor")
    if not value.is_floating_point():
        raise TypeError(
            f"{name} has dtype {value.dtype}: expected a floating-point dtype"
        )
    if value.layout != torch.strided:
        raise TypeError(
            f"{name} has layout {value.layout}: expected a dense tensor, as "
            f"{name}.to_dense() is"
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
    if A.dtype in _HALF:
        raise TypeError(
            f"A has dtype {A.dtype}, too few digits for the factors of A: expected "
            f"float32 or float64 (a network may be cast later, net.to({A.dtype}))"
        )
    if A.ndim != 2 or A.numel() == 0:
        raise ValueError(f"A has shape {tuple(A.shape)}: expected (m, n)")
    check_finite("A", A)
    if not A.any():
        raise ValueError("A is zero everywhere: expected some non-zero entry")
    size, square = A.abs().max().item(), torch.linalg.vector_norm(A).square().item()
    if not 0 < square < float("inf"):
        raise ValueError(
            f"A is as large as {size:.3g}, and its square leaves the range of {A.dtype}"
            ": expected another unit, A / A.norm(dim=0), or float64"
        )


def check_constant(name: str, value: Tensor) -> None:
    """Refuse a matrix that asks for gradients where it is kept as a constant."""
    if value.requires_grad:
        raise ValueError(
            f"{name} requires gradients but is kept as a constant: expected "
            f"{name}.detach(); to learn it, make it a parameter of Unrolled.from_step"
        )


def check_unit_columns(A: Tensor) -> None:
    """Refuse a dictionary whose columns do not have about norm 1, as AMP needs them.

    Independent normal entries of variance 1/m pass: their norms are about 1.
    """
    squares = A.square().sum(dim=0)
    mean, largest = squares.mean().item(), squares.max().item()
    if not (0.8 <= mean <= 1.25 and largest <= 4):
        raise ValueError(
            f"A has columns of mean squared norm {mean:.4g}, {largest:.4g} at most: "
            "expected columns of norm 1, A / A.norm(dim=0)"
        )


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
    if not traced(value):
        check_finite(name, value)


def check_count(name: str, value: int, least: int) -> None:
    """Refuse anything but an integer of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}: expected an int")
    if value < least:
        raise ValueError(f"{name} is {value}: expected at least {least}")


def check_number(name: str, value: float | Tensor) -> None:
    """Refuse anything but one real number; a tensor of one entry is a number."""
    if isinstance(value, Tensor) and value.ndim > 0:
        raise ValueError(f"{name} has shape {tuple(value.shape)}: expected one number")
    if not isinstance(value, Real | Tensor):
        kind = type(value).__name__
        raise TypeError(f"{name} is {value!r} of type {kind}: expected a number")


def check_positive(name: str, value: float | Tensor) -> None:
    """Refuse numbers that are not positive and finite."""
    check_number(name, value)
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} is {value}: expected a positive number")


def column_of_lam(lam: float | Tensor, b: Tensor, n: int) -> Tensor:
    """Return ``lam`` as a column ``(batch, 1)`` beside ``b``; refuse negatives.

    A vector says one weight per sample. Where there are as many atoms as samples it
    could as well say one per atom, which is another problem: then only a column is
    taken.
    """
    if not isinstance(lam, Tensor) or lam.ndim == 0:
        check_number("lam", lam)
        if not 0 <= lam < float("inf"):
            raise ValueError(f"lam is {float(lam)}: expected a finite number >= 0")
        if lam > torch.finfo(b.dtype).max:
            raise ValueError(f"lam is {float(lam)}: too large a number for {b.dtype}")
        return torch.full_like(b[:, :1], float(lam))
    check_like("lam", lam, "b", b)
    batch = b.shape[0]
    if lam.shape not in ((batch,), (batch, 1)):
        raise ValueError(
            f"lam has shape {tuple(lam.shape)} but b has {batch} rows: expected a "
            f"number, or one per sample of shape ({batch},) or ({batch}, 1)"
        )
    if lam.shape == (n,) and n > 1:
        raise ValueError(
            f"lam has shape ({n},), and both samples and atoms are {n}: expected shape "
            f"({n}, 1) for one per sample; one per atom is not supported, scale the "
            "atoms instead"
        )
    check_finite("lam", lam)
    if (lam < 0).any():
        index = (lam < 0).nonzero()[0].tolist()
        value = lam[tuple(index)].item()
        raise ValueError(f"lam{index} is {value}: expected >= 0")
    return lam.reshape(batch, 1)
