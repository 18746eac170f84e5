"""The primal-dual method of Chambolle and Pock: no system to solve, no inner loop."""

import torch
from torch import Tensor

from unroll._checks import check_positive
from unroll.operators.base import Operator
from unroll.penalties.base import Penalty
from unroll.solvers._lasso import Lasso, LassoResult, largest_eigenvalue
from unroll.solvers._loop import iterate

__all__ = ["primal_dual"]


class _PrimalDualStep:
    """One iteration; remembers the duals ``q`` of the data and ``p`` of the penalty."""

    def __init__(self, lasso: Lasso, x: Tensor, step_size: float | None) -> None:
        self.K = lasso.penalty.analysis
        L = largest_eigenvalue(lasso.A)
        if self.K is not None:
            L += self.K.norm() ** 2
            self.p = torch.zeros_like(self.K(x))
        self.tau = L**-0.5 if step_size is None else step_size
        check_positive("step_size", self.tau)
        self.sigma = 1 / (self.tau * L)
        self.q = torch.zeros_like(lasso.b)
        self.x_last: Tensor | None = None

    def __call__(self, lasso: Lasso, x: Tensor, r: Tensor, g: Tensor) -> Tensor:
        """Return the next iterate; ``A (2 x - x_last) - b`` is ``r_last - 2 r``."""
        if self.x_last is None:
            self.x_last, self.r_last = x, r
        ahead = self.r_last - 2 * r
        self.q = (self.q + self.sigma * ahead) / (1 + self.sigma)
        back = lasso.adjoint(self.q)
        if self.K is not None and lasso.penalty.outer is not None:
            ahead = self.K(2 * x - self.x_last)
            radius = lasso.lam.reshape(-1, *[1] * (ahead.ndim - 1))
            self.p = lasso.penalty.outer.project(self.p + self.sigma * ahead, radius)
            back = back + self.K.adjoint(self.p)
        self.x_last, self.r_last = x, r
        w = x - self.tau * back
        if self.K is not None:
            return w
        return lasso.penalty.prox(w, self.tau * lasso.lam)

    def keep(self, rows: Tensor) -> None:
        """Forget the other samples."""
        self.q = self.q[rows]
        if self.K is not None:
            self.p = self.p[rows]
        if self.x_last is not None:
            self.x_last, self.r_last = self.x_last[rows], self.r_last[rows]

    def reason(self, lasso: Lasso) -> str:
        """Blame the step."""
        return f"with step_size {self.tau:.4g}: expected about 1 / ||A||_2"


def primal_dual(  # noqa: PLR0913 - one list of options for all solvers
    A: Tensor | Operator,
    b: Tensor,
    lam: float | Tensor,
    *,
    penalty: Penalty | None = None,
    iterations: int | None = None,
    tol: float | None = None,
    step_size: float | None = None,
    x0: Tensor | None = None,
    keep_iterates: bool = False,
) -> LassoResult:
    r"""Minimise by the primal-dual method of Chambolle and Pock.

    .. math:: F(x) &= \tfrac12 \|b - A x\|^2 + \lambda R(x), \qquad
              \bar x_k = 2 x_k - x_{k-1}, \\
              q_{k+1} &= \frac{q_k + \sigma (A \bar x_k - b)}{1 + \sigma}, \qquad
              x_{k+1} = \mathrm{prox}_{\tau \lambda R}(x_k - \tau A^* q_{k+1})

    Chambolle and Pock 2011, J. Math. Imaging Vis. 40(1), algorithm 1 with theta = 1,
    which converges for ``tau sigma ||A||_2^2 <= 1``. Where the penalty is ``R(K x)``
    with only ``R`` simple, as total variation is, ``K`` joins ``A``: a second dual
    ``p`` is projected onto ``R^o(p) <= lam``, and ``x`` takes the step ``- tau (A* q +
    K* p)``, with no proximal map; then ``||A||^2 + ||K||^2`` takes the place of
    ``||A||^2``. Nothing is solved inside. Runs without gradients.

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
        step_size: Step ``tau``; None is the reciprocal norm. ``sigma`` is as large as
            it may be.
        x0: Start; None is zero. Shape ``(batch, n)``.
        keep_iterates: Whether to keep every iterate.

    Returns:
        Solution, objective per iteration and duality gap, as :class:`LassoResult`.

    Raises:
        TypeError: If a tensor is not floating-point, dtypes differ, or ``penalty`` is
            none.
        ValueError: If shapes do not fit, the batch is empty, an entry is NaN or
            infinite, devices differ, ``lam``, ``tol`` or ``iterations`` is negative,
            ``step_size`` is not positive, or ``tol`` is given with a penalty that has
            no duality gap.

    Example:
        >>> import torch
        >>> A, b = torch.eye(2), torch.tensor([[3.0, 0.5]])
        >>> primal_dual(A, b, lam=1.0, iterations=50).x
        tensor([[2., 0.]])
    """
    lasso = Lasso.of(A, b, lam, penalty)
    x = lasso.start(x0)
    return iterate(
        lasso,
        x,
        _PrimalDualStep(lasso, x, step_size),
        iterations=iterations,
        tol=tol,
        keep_iterates=keep_iterates,
    )
