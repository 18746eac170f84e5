"""ISTA: a gradient step on the data term, then a soft threshold."""

from torch import Tensor

from unroll.operators.base import Operator
from unroll.penalties.base import Penalty
from unroll.solvers._lasso import Lasso, LassoResult
from unroll.solvers._loop import GradientStep, iterate

__all__ = ["ista"]


class _ISTAStep(GradientStep):
    """One ISTA iteration; nothing to remember."""

    def __call__(self, lasso: Lasso, x: Tensor, r: Tensor, g: Tensor) -> Tensor:
        """Return ``x_{k+1} = soft(w, theta)``, ``w = x + t A^T (b - A x)``."""
        return self.shrink(lasso, self.descend(x, g))

    def keep(self, rows: Tensor) -> None:
        """Forget nothing."""


def ista(  # noqa: PLR0913 - one list of options for all solvers
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
    r"""Minimise the Lasso by the iterative shrinkage-thresholding algorithm.

    .. math:: F(x) = \tfrac12 \|b - A x\|^2 + \lambda \|x\|_1, \qquad
              x_{k+1} = \eta_{t \lambda}(x_k + t A^T (b - A x_k))

    Daubechies, Defrise and De Mol 2004, Comm. Pure Appl. Math. 57(11). For
    ``t <= 1/L``, ``L = ||A||_2^2``, the objective never increases, and for ``t = 1/L``
    ``F(x_k) - min F <= L ||x_0 - x*||^2 / (2 k)``: Beck and Teboulle 2009, SIAM J.
    Imaging Sci. 2(1), theorem 3.1.
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
        step_size: Step ``t``; None is ``1 / ||A||_2^2``. Beyond
            ``2 / ||A||_2^2`` it may diverge.
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
        >>> result = ista(torch.eye(2), torch.tensor([[3.0, 0.5]]), lam=1.0, tol=1e-6)
        >>> result.x, result.iterations
        (tensor([[2., 0.]]), 1)
    """
    lasso = Lasso.of(A, b, lam, penalty)
    return iterate(
        lasso,
        lasso.start(x0),
        _ISTAStep(lasso, step_size),
        iterations=iterations,
        tol=tol,
        keep_iterates=keep_iterates,
    )
