"""AMP: ISTA whose residual remembers, so that its noise stays Gaussian."""

import torch
from torch import Tensor

from unroll._checks import check_count, check_positive
from unroll.prox import soft_threshold
from unroll.solvers._lasso import Lasso, LassoResult

__all__ = ["amp"]


@torch.no_grad()
def amp(
    A: Tensor,
    b: Tensor,
    *,
    iterations: int = 100,
    alpha: float = 1.1402,
    keep_iterates: bool = False,
) -> LassoResult:
    r"""Recover sparse codes by approximate message passing with soft thresholds.

    .. math:: x_{k+1} &= \eta_{\theta_k}(x_k + A^T v_k), \qquad
              \theta_k = \alpha \|v_k\| / \sqrt{m}, \\
              v_{k+1} &= b - A x_{k+1} + v_k \|x_{k+1}\|_0 / m

    The last term is the Onsager correction. For a large ``A`` with independent entries
    and columns of unit norm, ``x_k + A^T v_k`` is the true code plus Gaussian noise of
    standard deviation ``||v_k|| / sqrt(m)``: Donoho, Maleki and Montanari 2009, PNAS
    106(45), eqs. (1) and (2). For other matrices AMP may diverge, to NaN in the end.

    AMP is given no ``lam``. Its fixed points solve the Lasso with
    ``lam = theta (1 - ||x||_0 / m)`` (same authors 2011, IEEE Trans. Inf. Theory 57(10),
    on the noise-sensitivity phase transition, proposition 5.1): the result speaks of that
    Lasso, with ``lam`` taken at the last iterate, and its gap says how near it is.

    Args:
        A: Dictionary with columns of unit norm. Shape ``(m, n)``.
        b: Measurements, one sample per row. Shape ``(batch, m)``.
        iterations: Iterations.
        alpha: Threshold in units of the estimated noise. 1.1402 is the minimax value for
            density 0.1 at m = n / 2 (Borgerding, Schniter and Rangan 2017).
        keep_iterates: Whether to keep every iterate.

    Returns:
        Code, and the objective and gap of the Lasso it solves, as :class:`LassoResult`.

    Raises:
        TypeError: If a tensor is not floating-point, or dtypes differ.
        ValueError: If shapes do not fit, the batch is empty, an entry is NaN or infinite,
            devices differ, ``iterations`` is negative or ``alpha`` is not positive.

    Example:
        >>> result = amp(torch.eye(2), torch.tensor([[4.0, 0.0]]), iterations=1, alpha=0.5)
        >>> result.x  # theta = 0.5 * 4 / sqrt(2)
        tensor([[2.5858, 0.0000]])
    """
    check_count("iterations", iterations, least=0)
    check_positive("alpha", alpha)
    lasso = Lasso.checked(A, b, 0.0)
    m = A.shape[0]

    def threshold(v: Tensor) -> Tensor:
        return alpha * torch.linalg.vector_norm(v, dim=1, keepdim=True) / m**0.5

    x = lasso.start(None)
    r = v = b
    data_terms, l1_norms, iterates = [], [], []
    for k in range(iterations + 1):
        if k > 0:
            x = soft_threshold(torch.addmm(x, v, A), threshold(v))
            density = torch.count_nonzero(x, dim=1)[:, None] / m
            r = torch.addmm(b, x, A.T, alpha=-1)
            v = r + v * density  # the Onsager correction
        data_terms.append(0.5 * torch.linalg.vecdot(r, r))
        l1_norms.append(torch.linalg.vector_norm(x, 1, dim=1))
        if keep_iterates:
            iterates.append(x)
    lam = threshold(v) * (1 - torch.count_nonzero(x, dim=1)[:, None] / m).clamp(min=0)
    lasso = Lasso(A, b, lam)
    gap = lasso.gap(x, r, r @ A)
    return LassoResult(
        x=x,
        objective=torch.stack(data_terms) + lam[:, 0] * torch.stack(l1_norms),
        gap=gap,
        lam=lam[:, 0],
        converged=torch.zeros_like(gap, dtype=torch.bool),
        iterations=iterations,
        iterates=torch.stack(iterates) if keep_iterates else None,
    )
