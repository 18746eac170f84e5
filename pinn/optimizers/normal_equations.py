r"""The damped normal equations of Gauss and Newton, for any damping.

.. math:: d = -(J^T J + \lambda I)^{-1} J^T r = -J^T (J J^T + \lambda I)^{-1} r

The smaller of the two matrices is formed, by blocks of rows, and factored by Cholesky.
Forming it squares the condition: against an orthogonal factorisation its steps are off
by about ``eps |J|^2 / lambda``, relatively. Below ``lambda = 45 eps |J|^2``, where that
is 2 per cent, ``J`` is factored itself: by QR, block by block, and one SVD of the
triangle. Golub and Van Loan 2013, Matrix Computations, section 5.3; Demmel et al. 2012,
SIAM J. Sci. Comput. 34(1), for QR by blocks.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from pinn.optimizers.jacobian import Block, Residuals, check_entries, stream

__all__ = ["NormalEquations"]

_UNSAFE = 45


class NormalEquations:
    """The damped equations at one place, their matrix formed once.

    Args:
        residuals: The residual vector.
        params: Parameters.
        max_entries: Refuse a matrix with more entries than this.

    Attributes:
        r: Residuals there. Shape ``(residuals,)``.
    """

    def __init__(
        self, residuals: Residuals, params: Sequence[Tensor], max_entries: int
    ) -> None:
        self._residuals, self._params = residuals, params
        self.r, found = stream(residuals, params)
        m, n = self.r.numel(), sum(p.numel() for p in params)
        check_entries(m, n, min(m, n) * n, max_entries)
        self.wide = m < n
        self.J = self.r.new_zeros(m, n) if self.wide else self.r.new_zeros(0, n)
        self.gram, self.gradient = self.r.new_zeros(n, n), self.r.new_zeros(n)
        for rows, block in _in_large(found):
            if self.wide:
                self.J[rows] = block
                continue
            self.gram.addmm_(block.T, block)
            self.gradient.addmv_(block.T, self.r[rows])
        if self.wide:
            self.gram, self.gradient = self.J @ self.J.T, self.J.T @ self.r
        self.safe = _UNSAFE * torch.finfo(self.r.dtype).eps * self._norm()
        self._kept: tuple[float, Tensor] | None = None
        self._svd: tuple[Tensor, Tensor, Tensor] | None = None

    def _norm(self) -> float:
        """Largest eigenvalue of the matrix, from a few powers of it."""
        v = self.gram.diagonal().clone()
        for _ in range(8):
            v = self.gram @ (v / v.norm().clamp_min(1e-300))
        return v.norm().item()

    def solve(self, lam: float) -> Tensor:
        """Solve for the step.

        Args:
            lam: The damping.

        Returns:
            The step. Shape ``(parameters,)``.
        """
        factor = self._cholesky(lam)
        if factor is None:
            S, V, z = self._triangle()
            return -(V @ (S * z / (S**2 + lam)))
        right = self.r if self.wide else self.gradient
        d = torch.cholesky_solve(right[:, None], factor)[:, 0]
        return -(self.J.T @ d) if self.wide else -d

    def solve_for(self, right: Tensor, lam: float) -> Tensor:
        """Solve ``(J^T J + lam I) d = -right`` for another right side.

        Args:
            right: Shape ``(parameters,)``.
            lam: The damping.

        Returns:
            The step. Shape ``(parameters,)``.
        """
        factor = self._cholesky(lam)
        if factor is None:
            S, V, _ = self._triangle()
            along = V.T @ right
            return -(V @ (along / (S**2 + lam)) + (right - V @ along) / lam)
        if not self.wide:
            return -torch.cholesky_solve(right[:, None], factor)[:, 0]
        inner = torch.cholesky_solve((self.J @ right)[:, None], factor)[:, 0]
        return -(right - self.J.T @ inner) / lam

    def spectrum(self) -> tuple[Tensor, Tensor, Tensor]:
        """Decompose the matrix ``J^T J = V diag(s) V^T``.

        Returns:
            The eigenvalues ``s``, shape ``(k,)``, the vectors, shape
            ``(parameters, k)``, and ``V^T J^T r``, shape ``(k,)``.
        """
        if not self.wide:
            s, V = torch.linalg.eigh(self.gram)
            return s.clamp_min(0), V, V.T @ self.gradient
        S, V, z = self._triangle()
        return S**2, V, S * z

    def _cholesky(self, lam: float) -> Tensor | None:
        """Factor the damped matrix, if that is safe."""
        if lam < self.safe:
            return None
        if self._kept is None or self._kept[0] != lam:
            damped = self.gram.clone()
            damped.diagonal().add_(lam)
            factor, failed = torch.linalg.cholesky_ex(damped)
            if failed:
                return None
            self._kept = lam, factor
        return self._kept[1]

    def _triangle(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``S``, ``V`` and ``U^T r`` of ``J = U diag(S) V^T``."""
        if self._svd is None:
            R, z = (self.J, self.r) if self.wide else self._reduce()
            U, S, Vh = torch.linalg.svd(R, full_matrices=False)
            self._svd = S, Vh.T, U.T @ z
        return self._svd

    def _reduce(self) -> tuple[Tensor, Tensor]:
        """Factor ``[J r]`` by QR, block by block: the triangle, and ``Q^T r``."""
        n = len(self.gradient)
        R = self.r.new_zeros(0, n + 1)
        for rows, block in _in_large(stream(self._residuals, self._params)[1]):
            both = torch.cat([block, self.r[rows][:, None]], 1)
            R = torch.linalg.qr(torch.cat([R, both]), mode="r")[1]
        return R[:, :n], R[:, n]


def _in_large(blocks: Iterator[Block]) -> Iterator[Block]:
    """Stack blocks until they have as many rows as columns, for larger products."""
    few: list[Block] = []
    for rows, block in blocks:
        few.append((rows, block))
        if sum(len(rows) for rows, _ in few) >= block.shape[1]:
            yield _joined(few)
            few = []
    if few:
        yield _joined(few)


def _joined(few: Sequence[Block]) -> Block:
    """Stack blocks."""
    return torch.cat([rows for rows, _ in few]), torch.cat([b for _, b in few])
