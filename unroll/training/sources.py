"""Where samples come from: a problem that is asked for more, tensors, or a loader.

Whatever it is, the validation set is held apart: drawn before the first batch, cut off
from the tensors, or the user's own.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from unroll._checks import check_batch

__all__ = ["Batch", "Problem", "Source", "checked_batch", "pair_of", "source_of"]

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


class _Loader:
    """A DataLoader: its own order and its own batch size, epoch after epoch."""

    resumable = False

    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader
        self.rest: Iterator = iter(())

    def hold_out(self, count: int, generator: torch.Generator) -> Batch:
        raise ValueError(
            "problem is a DataLoader, of which nothing can be held out: expected "
            "validation=(b, x)"
        )

    def batch(self, count: int, generator: torch.Generator) -> Batch:
        found = next(self.rest, None)
        if found is None:
            self.rest = iter(self.loader)
            found = next(self.rest, None)
        if found is None:
            raise ValueError("problem is a DataLoader without samples: expected some")
        return pair_of("a batch of the DataLoader", found)


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
    if isinstance(problem, DataLoader):
        return _Loader(problem)
    if isinstance(problem, TensorDataset):
        problem = problem.tensors
    if isinstance(problem, Tensor | tuple | list):
        return _Tensors(*pair_of("problem", problem))
    raise TypeError(
        f"problem is of type {type(problem).__name__}: expected an object with "
        "sample(), tensors (b, x) or b, or a DataLoader of them"
    )


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


def checked_batch(found: Batch, A: Tensor, where: str, needs_codes: bool) -> Batch:
    """Return a batch that fits ``A``, is finite and has the codes that are needed."""
    b, x = found
    try:
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
