"""Where samples come from: a problem that is asked for more, tensors, or a loader.

Whatever it is, the validation set is held apart: drawn before the first batch, cut off
from the tensors, or the user's own.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from unroll._checks import check_batch, check_finite
from unroll.operators import Operator

__all__ = [
    "Batch",
    "Problem",
    "Source",
    "checked_batch",
    "device_of",
    "pair_of",
    "rows_in",
    "source_of",
]

Batch = tuple[Tensor, Tensor | None]


class Problem(Protocol):
    """Where samples come from: :class:`~unroll.problems.SparseCoding`, or your own."""

    def sample(
        self, batch: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return measurements ``(batch, m)`` and true codes ``(batch, n)``."""


class Source(Protocol):
    """Samples to train on, and samples to hold out."""

    resumable: bool

    def hold_out(self, count: int, generator: torch.Generator) -> Batch:
        """Return about ``count`` samples that :meth:`batch` will not return."""

    def batch(self, count: int, generator: torch.Generator) -> Batch:
        """Return samples to train on."""


class _Fresh:
    """A problem: every sample is a new one."""

    resumable = True

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def hold_out(self, count: int, generator: torch.Generator) -> Batch:
        return pair_of("problem.sample()", self.problem.sample(count, generator))

    batch = hold_out


class _Tensors:
    """A finite set: a fifth of it at most is held out, batches repeat the rest."""

    resumable = True

    def __init__(self, b: Tensor, x: Tensor | None) -> None:
        self.whole, self.rest = (b, x), (b, x)

    def hold_out(self, count: int, generator: torch.Generator) -> Batch:
        size = len(self.whole[0])
        if size < 2:
            raise ValueError(
                f"problem has {size} samples: expected at least 2, one of them "
                "to validate with, or validation="
            )
        order, count = _shuffled(size, generator), min(count, max(size // 5, 1))
        self.rest = _rows(self.whole, order[count:])
        return _rows(self.whole, order[:count])

    def batch(self, count: int, generator: torch.Generator) -> Batch:
        return _rows(self.rest, _shuffled(len(self.rest[0]), generator)[:count])


class _Stream:
    """A DataLoader, or what else yields batches: its own order, again and again."""

    resumable = False

    def __init__(self, batches: Iterable) -> None:
        self.batches = batches
        own = isinstance(batches, DataLoader)
        self.name = "DataLoader" if own else type(batches).__name__
        self.rest: Iterator = iter(())
        self.held: Tensor | None = None
        self.passes, self.gave = 0, True  # whether this pass had samples to train on

    def hold_out(self, count: int, generator: torch.Generator) -> Batch:
        b, x = self._next()
        self.held, self.gave = b[:count], len(b) > count
        return self.held, None if x is None else x[:count]

    def batch(self, count: int, generator: torch.Generator) -> Batch:
        while True:
            b, x = found = self._next()
            if self.held is None:
                return found
            fresh = ~rows_in(b, self.held)
            if fresh.any():
                self.gave = True
                return found if fresh.all() else _rows(found, fresh)

    def _next(self) -> Batch:
        """Return the next batch, of the next pass where this one ends."""
        found = next(self.rest, None)
        if found is None:
            if not self.gave:
                raise ValueError(
                    f"problem is a {self.name} whose samples are all held out to "
                    "validate with: expected a second batch, or validation=(b, x)"
                )
            self.rest, self.gave = iter(self.batches), self.held is None
            found = next(self.rest, None)
            self.passes += 1
        if found is None:
            kind = f"problem is a {self.name} "
            if self.passes == 1:
                raise ValueError(f"{kind}without samples: expected some")
            raise ValueError(
                f"{kind}that has ended and does not start again: expected a DataLoader,"
                " or another iterable that does"
            )
        return pair_of(f"a batch of the {self.name}", found)


def rows_in(b: Tensor, held_out: Tensor) -> Tensor:
    """Return which samples are among others; samples of zeros are not."""
    b, held_out = _flat(b), _flat(held_out)
    if b.shape[1] != held_out.shape[1]:
        return b.new_zeros(len(b), dtype=torch.bool)
    found = torch.isin(b.sum(dim=1), held_out.sum(dim=1)) & b.any(dim=1)
    for row in found.nonzero()[:, 0]:
        found[row] = (b[row] == held_out).all(dim=1).any()
    return found


def _flat(b: Tensor) -> Tensor:
    """Return samples as rows of real numbers."""
    return (torch.view_as_real(b) if b.is_complex() else b).flatten(1)


def _shuffled(size: int, generator: torch.Generator) -> Tensor:
    """Return the numbers below ``size`` in random order."""
    return torch.randperm(size, generator=generator, device=generator.device)


def _rows(samples: Batch, rows: Tensor) -> Batch:
    """Return some of the samples."""
    b, x = samples
    rows = rows.to(b.device)
    return b[rows], None if x is None else x[rows]


def source_of(problem: Any) -> Source:
    """Return what stands behind what the user passed, or refuse it."""
    if callable(getattr(problem, "sample", None)):
        return _Fresh(problem)
    if isinstance(problem, TensorDataset):
        problem = problem.tensors
    if isinstance(problem, Tensor | tuple | list):
        return _Tensors(*pair_of("problem", problem))
    if isinstance(problem, Iterable) and not isinstance(problem, str | dict):
        return _Stream(problem)
    raise TypeError(
        f"problem is of type {type(problem).__name__}: expected an object with "
        "sample(), tensors (b, x) or b, or a DataLoader of them"
    )


def device_of(net: nn.Module) -> torch.device:
    """Return where a network is."""
    return next(iter([*net.parameters(), *net.buffers()])).device


def pair_of(name: str, found: Any) -> Batch:
    """Return measurements and codes, or None for the codes; refuse anything else."""
    parts = [found] if isinstance(found, Tensor) else found
    if (
        not isinstance(parts, tuple | list)
        or len(parts) not in (1, 2)
        or not all(isinstance(part, Tensor) for part in parts)
    ):
        kind = type(found).__name__
        if isinstance(found, tuple | list):
            kind += f" of {[type(part).__name__ for part in found]}"
        raise TypeError(f"{name} is a {kind}: expected tensors (b, x), or b alone")
    b, x = (*parts, None)[:2]
    if x is not None and len(b) != len(x):
        raise ValueError(
            f"{name} has {len(b)} measurements and {len(x)} codes: expected as many"
        )
    return b, x


def checked_batch(
    found: Batch, A: Tensor | Operator, where: str, needs_codes: bool
) -> Batch:
    """Return a batch that fits ``A``, is finite and has the codes that are needed."""
    b, x = found
    try:
        if isinstance(A, Operator):
            _check_images(b, x, A)
        else:
            check_batch("b", b, A, dim=0)
            if x is not None:
                check_batch("x", x, A, dim=1)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error}, in {where}") from None
    if needs_codes and x is None:
        raise ValueError(
            f"no true codes in {where}: expected (b, x), or an objective that needs "
            "none, such as LassoCost(lam)"
        )
    if needs_codes and x is not None and not x.any():
        raise ValueError(
            f"every code of {where} is 0, and so is the scale of the error: expected a "
            "larger batch, or denser codes"
        )
    return b, x


def _check_images(b: Tensor, x: Tensor | None, A: Operator) -> None:
    """Refuse what an operator does not measure, and images that are not its."""
    for name, value in {"b": b, "x": x}.items():
        if value is None:
            continue
        if not (value.is_floating_point() or value.is_complex()):
            raise TypeError(
                f"{name} has dtype {value.dtype}: expected a floating-point one, such "
                "as pixels.float() / 255"
            )
        if len(value) == 0:
            raise ValueError(
                f"{name} has shape {tuple(value.shape)}: expected a batch of at least "
                "one"
            )
        check_finite(name, value)
    try:
        image = A.adjoint(b[:1])
    except (TypeError, ValueError):
        image = A.adjoint(b)  # which names the shape of the whole batch
    if x is not None and x.shape[1:] != image.shape[1:]:
        raise ValueError(
            f"x has shape {tuple(x.shape)} but b is measured of images of shape "
            f"{(len(b), *image.shape[1:])}: expected the same"
        )
    if x is not None and x.real.dtype != image.real.dtype:
        raise TypeError(
            f"x has dtype {x.dtype} but b has {b.dtype}: expected the same precision"
        )
