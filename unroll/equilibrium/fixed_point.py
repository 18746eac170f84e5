"""What all solvers of a fixed point share: the result, the residual, the loop."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from unroll._checks import check_count, check_finite, check_float, check_positive

__all__ = ["FixedPoint", "Solver"]

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class FixedPoint:
    r"""What a solver returns: the best iterate of every sample, and how good it is.

    .. math:: \text{residual} = \frac{\|f(z) - z\|}{\|f(z)\|}

    Args:
        z: Of all iterates of a sample, the start among them, the one of least residual.
            Shape ``(batch, ...)``.
        residual: Its residual; 0 where ``f(z) = z = 0``, infinite where ``f`` was not
            finite at any iterate. Shape ``(batch,)``.
        iterations: How often ``f`` was looked at until the sample rested. Shape
            ``(batch,)``.
        converged: Whether the residual is at most ``tol``. Shape ``(batch,)``.
    """

    z: Tensor
    residual: Tensor
    iterations: Tensor
    converged: Tensor


class Proposal(Protocol):
    """How a solver goes on, with what it remembers of the run."""

    def __call__(self, z: Tensor, f: Tensor, g: Tensor) -> Tensor:
        """Return the next iterate; all ``(batch, n)``, and ``g = f(z) - z``."""

    def forget(self, rows: Tensor) -> None:
        """Empty the memory of some samples, ``(batch,)``."""


class Solver:
    """What finds a fixed point, ``solver(step, z0)``: a subclass says how.

    A sample whose ``|f(z) - z|`` is ``lost`` times its least goes back to the iterate
    where that was, and takes the step of the map from there, with an empty memory. So
    what extrapolates does not run away where a map is not smooth, as a soft threshold
    is; the idea of restarts and of monotonicity control is in Henderson and Varadhan
    2019, J. Comput. Graph. Stat. 28(4).
    """

    tol: float
    iterations: int
    lost: ClassVar[float]

    def __call__(self, step: Map, z0: Tensor) -> FixedPoint:
        """Return the fixed point of ``step`` that is found from ``z0``.

        Args:
            step: The map ``f`` from states to states, each sample by itself.
            z0: Start. Shape ``(batch, ...)``.

        Returns:
            The best iterate of each sample, as :class:`FixedPoint`.

        Raises:
            TypeError: If ``z0`` or what ``step`` returns is not a floating-point
                tensor.
            ValueError: If ``z0`` is empty or not finite, ``step`` changes the shape or
                the dtype, or ``tol`` is below the rounding of the dtype.
        """
        return _solve(step, z0, self._proposal(), self)

    def _proposal(self) -> Proposal:
        """Return what goes on from one iterate, with an empty memory."""
        raise NotImplementedError


def _solve(step: Map, z0: Tensor, propose: Proposal, solver: Solver) -> FixedPoint:
    """Iterate until every sample rests: at ``tol``, or where ``f`` is not finite.

    The solver sees each sample as a row ``(batch, n)``, the step sees its own shape.
    """
    _check_start(z0, solver.tol)
    z = best = image = z0  # image: of the iterate that moved least
    least = shortest = torch.full_like(z0.detach().flatten(1)[:, 0], float("inf"))
    count = torch.zeros_like(least, dtype=torch.long)
    rests = torch.zeros_like(least, dtype=torch.bool)
    for _ in range(solver.iterations):
        f = step(z)
        _check_image(f, z)
        g = f - z
        count = count + ~rests
        size, moved = residual(f, g)
        better, shorter = size < least, moved < shortest  # False for NaN
        best, least = _chosen(better, z, best), torch.where(better, size, least)
        image, shortest = _chosen(shorter, f, image), moved.minimum(shortest)
        rests = rests | (least <= solver.tol) | ~size.isfinite()
        if rests.all():
            break
        following = propose(z.flatten(1), f.flatten(1), g.flatten(1)).view_as(z)
        lost = moved > solver.lost * shortest
        if lost.any():
            propose.forget(lost)
        z = _chosen(rests, best, _chosen(lost, image, following))
    return FixedPoint(best, least, count, least <= solver.tol)


def _chosen(rows: Tensor, this: Tensor, other: Tensor) -> Tensor:
    """Return this state where ``rows``, ``(batch,)``, say so, else the other."""
    if not rows.any():
        return other
    if rows.all():
        return this
    return torch.where(rows.view(-1, *(1,) * (this.ndim - 1)), this, other)


@torch.no_grad()
def residual(f: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``|g| / |f|``, 0 where ``g = 0``, and ``|g|``: both ``(batch,)``."""
    moved = g.flatten(1).norm(dim=1)
    return torch.where(moved == 0, moved, moved / f.flatten(1).norm(dim=1)), moved


def check_options(tol: float, iterations: int, memory: int = 1) -> None:
    """Refuse options that no run can have."""
    check_positive("tol", tol)
    check_count("iterations", iterations, least=1)
    check_count("memory", memory, least=1)


def _check_start(z0: Tensor, tol: float) -> None:
    """Refuse a start that is no batch of states, or too coarse for ``tol``."""
    check_float("z0", z0)
    if z0.ndim < 2 or z0.numel() == 0:
        raise ValueError(f"z0 has shape {tuple(z0.shape)}: expected (batch, ...)")
    check_finite("z0", z0)
    least = 4 * torch.finfo(z0.dtype).eps
    if tol < least:
        raise ValueError(
            f"tol is {tol}, below the rounding of {z0.dtype}: expected at least "
            f"{least:.1e}, or a wider dtype"
        )


def _check_image(f: Tensor, z: Tensor) -> None:
    """Refuse a step that does not return a state."""
    if not isinstance(f, Tensor):
        raise TypeError(
            f"the step returned a {type(f).__name__}: expected a tensor of the shape "
            f"of its state, {tuple(z.shape)}"
        )
    if f.shape != z.shape or f.dtype != z.dtype:
        raise ValueError(
            f"the step returned {f.dtype} of shape {tuple(f.shape)} for a state "
            f"{z.dtype} of shape {tuple(z.shape)}: expected the same"
        )
