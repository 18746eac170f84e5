"""ADMM: fit the data and please the penalty apart, and agree."""

import torch
from torch import Tensor

from unroll._checks import check_positive
from unroll.operators.base import Operator
from unroll.operators.conjugate_gradients import conjugate_gradients
from unroll.penalties.base import Penalty
from unroll.solvers._lasso import Lasso, LassoResult
from unroll.solvers._loop import iterate

__all__ = ["admm"]


class _ADMMStep:
    """One ADMM iteration; remembers ``z`` and the scaled multiplier ``u``."""

    def __init__(self, lasso: Lasso, x: Tensor, rho: float) -> None:
        check_positive("rho", rho)
        self.rho, self.K = rho, lasso.penalty.analysis
        self.z = self._analysed(x)
        self.u = torch.zeros_like(self.z)

    def __call__(self, lasso: Lasso, x: Tensor, r: Tensor, g: Tensor) -> Tensor:
        """Return the next iterate: ``x``, or ``z`` where the penalty is simple.

        The linear system is solved for the change of ``x``, which is small in the end.
        """
        off = self.z - self.u - self._analysed(x)
        change = conjugate_gradients(
            lambda d: lasso.gram(d) + self.rho * self._back(self._analysed(d)),
            g + self.rho * self._back(off),
            tol=1e-8,
        )
        x = x + change
        Kx, simple = self._analysed(x), lasso.penalty.outer or lasso.penalty
        weight = (lasso.lam / self.rho).reshape(-1, *[1] * (Kx.ndim - 1))
        self.z = simple.prox(Kx + self.u, weight)
        self.u = self.u + Kx - self.z
        return self.z if self.K is None else x

    def _analysed(self, x: Tensor) -> Tensor:
        return x if self.K is None else self.K(x)

    def _back(self, p: Tensor) -> Tensor:
        return p if self.K is None else self.K.adjoint(p)

    def keep(self, rows: Tensor) -> None:
        """Forget the other samples."""
        self.z, self.u = self.z[rows], self.u[rows]

    def reason(self, lasso: Lasso) -> str:
        """Blame ``rho``, the only number there is."""
        return f"with rho {self.rho:.4g}: expected one nearer to ||A||_2^2"


def admm(  # noqa: PLR0913 - one list of options for all solvers
    A: Tensor | Operator,
    b: Tensor,
    lam: float | Tensor,
    *,
    penalty: Penalty | None = None,
    iterations: int | None = None,
    tol: float | None = None,
    rho: float = 1.0,
    x0: Tensor | None = None,
    keep_iterates: bool = False,
) -> LassoResult:
    r"""Minimise by the alternating direction method of multipliers.

    .. math:: F(x) &= \tfrac12 \|b - A x\|^2 + \lambda R(K x), \\
              x_{k+1} &= (A^* A + \rho K^* K)^{-1} (A^* b + \rho K^* (z_k - u_k)), \\
              z_{k+1} &= \mathrm{prox}_{(\lambda / \rho) R}(K x_{k+1} + u_k), \qquad
              u_{k+1} = u_k + K x_{k+1} - z_{k+1}

    Boyd, Parikh, Chu, Peleato and Eckstein 2011, Found. Trends Mach. Learn. 3(1),
    sections 3.1.1 and 6.4, without over-relaxation. For total variation ``K`` is the
    gradient and ``R`` the summed lengths, and the iterates are ``x``; for a penalty
    whose proximal map is known ``K`` is the identity, and the iterates are ``z``, which
    is as sparse as the solution. The system is solved by conjugate gradients, to eight
    digits of the change: a few products with ``A`` for each iteration. It converges for
    every ``rho``, and fast for a good one, which depends on the problem. Runs without
    gradients.

    Args:
        A: Dictionary; or an operator, with ``b`` and ``x`` of its shapes, complex ones
            included. Shape ``(m, n)``.
        b: Measurements, one sample per row. Shape ``(batch, m)``.
        lam: Weight of the penalty, at least 0; a number, or one per sample. Shape
            ``()`` or ``(batch,)``.
        penalty: What ``lam`` weighs in place of the l1 norm; None is ``L1()``.
        iterations: At most; None is 1000, or 100 000 where ``tol`` ends them.
        tol: Stop when every sample's duality gap is at most this, absolutely; a sample
            rests from then on. None: do all iterations.
        rho: Weight of the agreement, positive.
        x0: Start; None is zero. Shape ``(batch, n)``.
        keep_iterates: Whether to keep every iterate.

    Returns:
        Solution, objective per iteration and duality gap, as :class:`LassoResult`.

    Raises:
        TypeError: If a tensor is not floating-point, dtypes differ, or ``penalty`` is
            none.
        ValueError: If shapes do not fit, the batch is empty, an entry is NaN or
            infinite, devices differ, ``lam``, ``tol`` or ``iterations`` is negative,
            ``rho`` is not positive, or ``tol`` is given with a penalty that has no
            duality gap.

    Example:
        >>> import torch
        >>> A, b = torch.eye(2), torch.tensor([[3.0, 0.5]])
        >>> admm(A, b, lam=1.0, iterations=50).x
        tensor([[2., 0.]])
    """
    lasso = Lasso.of(A, b, lam, penalty)
    x = lasso.start(x0)
    return iterate(
        lasso,
        x,
        _ADMMStep(lasso, x, rho),
        iterations=iterations,
        tol=tol,
        keep_iterates=keep_iterates,
    )
