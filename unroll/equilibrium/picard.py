"""Picard's iteration: apply the map again."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from unroll.equilibrium.fixed_point import Solver, check_options

__all__ = ["Picard"]


class _Image:
    """The image is the next iterate, and nothing is remembered."""

    def __call__(self, z: Tensor, f: Tensor, g: Tensor) -> Tensor:
        """Return the image."""
        return f

    def forget(self, rows: Tensor) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Picard(Solver):
    r"""Look for a fixed point by applying the map again and again.

    .. math:: z_{k+1} = f(z_k)

    If ``f`` is a contraction with factor ``L < 1``, it has one fixed point, and
    ``||z_k - z*|| <= L^k ||z_0 - z*||``: Banach 1922, Fund. Math. 3. Otherwise it may
    run away.

    Args:
        tol: Residual at which a sample rests, positive.
        iterations: At most.

    Raises:
        TypeError: If ``iterations`` is not an int.
        ValueError: If an option is not positive.

    Example:
        >>> import torch
        >>> found = Picard(tol=1e-4)(torch.cos, torch.ones(1, 1))
        >>> found.z, bool(found.converged)
        (tensor([[0.7391]]), True)
    """

    lost: ClassVar[float] = float("inf")

    tol: float = 1e-5
    iterations: int = 1000

    def __post_init__(self) -> None:
        check_options(self.tol, self.iterations)

    def _proposal(self) -> _Image:
        return _Image()
