"""FISTA: ISTA with momentum, and with restarts when the momentum points uphill."""

import torch
from torch import Tensor

from unroll.operators.base import Operator
from unroll.penalties.base import Penalty
from unroll.solvers._lasso import Lasso, LassoResult, dot
from unroll.solvers._loop import GradientStep, iterate

__all__ = ["fista"]


class _FISTAStep(GradientStep):
    """One FISTA iteration; remembers the last iterate and the momentum of each sample.

    The textbook extrapolates the iterate, z = x + beta (x - x_last), and takes the
    gradient there. The gradient of the data term is affine, so the gradient step at z
    is the same extrapolation of the gradient steps ``w`` at x and x_last: one product
    with ``A`` and one with ``A^T`` give the step at z *and* the exact gap at x.
    """

    def __init__(
        self, lasso: Lasso, x: Tensor, step_size: float | None, restart: bool
    ) -> None:
        super().__init__(lasso, step_size)
        self.restart = restart
        self.t, self.beta = torch.ones_like(lasso.lam), torch.zeros_like(lasso.lam)
        self.x_last, self.w_last = x, x  # not looked at while beta is 0

    def __call__(self, lasso: Lasso, x: Tensor, r: Tensor, g: Tensor) -> Tensor:
        """Return the next iterate; eqs. (4.1) to (4.3) of Beck and Teboulle 2009."""
        w, reach = self.descend(x, g), (1 + self.beta).to(x.dtype)
        x_next = self.shrink(lasso, torch.lerp(self.w_last, w, reach))
        t_next = (1 + (1 + 4 * self.t**2).sqrt()) / 2
        beta = (self.t - 1) / t_next
        if self.restart:
            z = torch.lerp(self.x_last, x, reach)
            uphill = (dot(z - x_next, x_next - x) > 0).reshape(self.t.shape)
            t_next, beta = t_next.masked_fill(uphill, 1), beta.masked_fill(uphill, 0)
        self.t, self.beta, self.x_last, self.w_last = t_next, beta, x, w
        return x_next

    def keep(self, rows: Tensor) -> None:
        """Forget the other samples."""
        self.t, self.beta = self.t[rows], self.beta[rows]
        self.x_last, self.w_last = self.x_last[rows], self.w_last[rows]


def fista(  # noqa: PLR0913 - one list of options for all solvers
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
    restart: bool = False,
) -> LassoResult:
    r"""Minimise the Lasso by the fast iterative shrinkage-thresholding algorithm.

    .. math:: F(x) &= \tfrac12 \|b - A x\|^2 + \lambda \|x\|_1, \\
              x_{k+1} &= \eta_{t \lambda}(z_k + t A^T (b - A z_k)), \qquad
              \theta_{k+1} = \tfrac12 (1 + \sqrt{1 + 4 \theta_k^2}), \\
              z_{k+1} &= x_{k+1} + \frac{\theta_k - 1}{\theta_{k+1}} (x_{k+1} - x_k)

    ``F(x_k) - min F <= 2 L ||x_0 - x*||^2 / (k + 1)^2`` for ``t <= 1/L``,
    ``L = ||A||_2^2``: Beck and Teboulle 2009, SIAM J. Imaging Sci. 2(1), eqs. (4.1) to
    (4.3) and theorem 4.4. The objective is not monotone. With ``restart`` a sample
    drops its momentum whenever ``(z_k - x_{k+1})^T (x_{k+1} - x_k) > 0``: the gradient
    scheme of O'Donoghue and Candes 2015, Found. Comput. Math. 15(3), section 3.2. Then
    it converges linearly near the solution: use it whenever ``tol`` is small.
    scikit-learn's ``Lasso(alpha, fit_intercept=False)`` is ``lam = m * alpha``. Runs
    without gradients: to learn through the iterations, use a network.

    Args:
        A: Dictionary; or an operator, with ``b`` and ``x`` of its shapes, complex ones
            included. Shape ``(m, n)``.
        b: Measurements, one sample per row. Shape ``(batch, m)``.
        lam: Weight of the l1 norm, at least 0; a number, or one per sample. Shape
            ``()`` or ``(batch,)``.
        penalty: What ``lam`` weighs in place of the l1 norm; None is ``L1()``.
        iterations: At most; None is 1000, or 100 000 where ``tol`` ends them.
        tol: Stop when every sample's duality gap is at most this, absolutely; a sample
            rests from then on. None: do all iterations.
        step_size: Step ``t``; None is ``1 / ||A||_2^2``. Larger steps may diverge.
        x0: Start; None is zero. Shape ``(batch, n)``.
        keep_iterates: Whether to keep every iterate.
        restart: Whether to restart the momentum, per sample.

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
        >>> A = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
        >>> b = torch.tensor([[2.0, 1.0]])
        >>> result = fista(A, b, lam=0.1, tol=1e-6, restart=True)
        >>> result.x, bool(result.converged)
        (tensor([[0.9000, 1.0000]]), True)
    """
    lasso = Lasso.of(A, b, lam, penalty)
    x = lasso.start(x0)
    return iterate(
        lasso,
        x,
        _FISTAStep(lasso, x, step_size, restart),
        iterations=iterations,
        tol=tol,
        keep_iterates=keep_iterates,
    )
