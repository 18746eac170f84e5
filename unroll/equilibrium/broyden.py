"""Broyden's method: Newton's with a Jacobian that is learned on the way."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unroll.equilibrium.fixed_point import Solver, check_options

__all__ = ["Broyden"]


class _Inverse:
    """An inverse Jacobian of ``g = f - z``: minus the identity, and pairs of vectors.

    ``H v = -v + sum_i u_i (w_i^T v)``, with ``u_i`` and ``w_i`` of ``(batch, n)``.
    """

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.pairs: list[tuple[Tensor, Tensor]] = []
        self.last: tuple[Tensor, Tensor] | None = None  # z and g

    def __call__(self, z: Tensor, f: Tensor, g: Tensor) -> Tensor:
        """Return Newton's next iterate ``z - H g``, having learned from the last."""
        if self.last is not None:
            self._learn(z - self.last[0], g - self.last[1])
        self.last = z, g
        return z - self._times(g)

    def _learn(self, dz: Tensor, dg: Tensor) -> None:
        """Make ``H dg = dz`` by the change of rank one that is least."""
        if len(self.pairs) == self.memory:  # full: start again from minus the identity
            self.pairs = []
        image, row = self._times(dg), self._transposed(dz)
        size = torch.linalg.vecdot(row, dg)[:, None]
        least = torch.finfo(dg.dtype).eps * row.norm(dim=1) * dg.norm(dim=1)
        known = size.abs() > least[:, None]  # False where nothing moved, and for NaN
        u = torch.where(known, (dz - image) / torch.where(known, size, 1.0), 0.0)
        self.pairs.append((u, torch.where(known, row, 0.0)))

    def forget(self, rows: Tensor) -> None:
        """Go back to minus the identity for some samples."""
        self.pairs = [(torch.where(rows[:, None], 0.0, u), w) for u, w in self.pairs]
        if self.last is not None:
            z, g = (torch.where(rows[:, None], torch.nan, past) for past in self.last)
            self.last = z, g

    def _times(self, v: Tensor) -> Tensor:
        """Return ``H v``."""
        parts = [u * torch.linalg.vecdot(w, v)[:, None] for u, w in self.pairs]
        return torch.stack([-v, *parts]).sum(dim=0)

    def _transposed(self, v: Tensor) -> Tensor:
        """Return ``H^T v``."""
        parts = [w * torch.linalg.vecdot(u, v)[:, None] for u, w in self.pairs]
        return torch.stack([-v, *parts]).sum(dim=0)


@dataclass(frozen=True)
class Broyden(Solver):
    r"""Look for a fixed point as a root of ``g(z) = f(z) - z``, by Broyden's method.

    .. math:: z_{k+1} = z_k - H_k g_k, \qquad
              H_{k+1} = H_k + \frac{(\Delta z - H_k \Delta g) \, \Delta z^T H_k}
                                   {\Delta z^T H_k \Delta g}, \qquad H_0 = -I

    so that the first step is Picard's. Broyden 1965, Math. Comp. 19 (the "good"
    method). On an affine map of n states it ends after at most ``2 n`` steps whatever
    the eigenvalues (Gay 1979, SIAM J. Numer. Anal. 16), if ``memory`` allows: a test.
    A full memory is emptied. Each sample has its own ``H``. Where a step makes ``|g|``
    more than a thousand times its least, the sample goes back there with ``H = -I``.

    Args:
        memory: Pairs of vectors kept.
        tol: Residual at which a sample rests, positive.
        iterations: At most.

    Raises:
        TypeError: If a count is not an int.
        ValueError: If an option is not positive.

    Example:
        >>> import torch
        >>> found = Broyden(tol=1e-6)(lambda z: 3 * z - 2, torch.zeros(1, 1))
        >>> found.z, int(found.iterations)  # where Picard's iteration runs away
        (tensor([[1.]]), 3)
    """

    lost: ClassVar[float] = 1000.0

    memory: int = 20
    tol: float = 1e-5
    iterations: int = 1000

    def __post_init__(self) -> None:
        check_options(self.tol, self.iterations, self.memory)

    def _proposal(self) -> _Inverse:
        return _Inverse(self.memory)
