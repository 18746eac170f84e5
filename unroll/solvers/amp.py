"""AMP: ISTA whose residual remembers, so that its noise stays Gaussian."""

import torch
from torch import Tensor

from unroll._checks import check_count, check_positive, check_unit_columns
from unroll.prox import soft_threshold
from unroll.solvers._lasso import Lasso, LassoResult
from unroll.solvers._messages import diverged, likeness

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
    106(45), eqs. (1) and (2). For other matrices AMP may diverge. A sample whose ``v``
    ends more than twice as long as ``b`` has: its code and gap are NaN, and a warning
    says so.

    AMP is given no ``lam``, but each of its fixed points solves a Lasso: there
    ``b - A x = (1 - ||x||_0 / m) v``, so ``x = soft(x + A^T v, theta)`` is the
    optimality condition for ``lam = theta (1 - ||x||_0 / m)`` (Donoho, Maleki and
    Montanari 2011, IEEE Trans. Inf. Theory 57(10)). The result speaks of that Lasso,
    with ``lam`` taken at the last iterate; its gap says how near a solution it is.

    Args:
        A: Dictionary with columns of unit norm. Shape ``(m, n)``.
        b: Measurements, one sample per row. Shape ``(batch, m)``.
        iterations: Iterations.
        alpha: Threshold in units of the estimated noise. 1.1402 has the least risk on
            the worst code of density 0.1 (Donoho et al. 2009, supplement; Borgerding,
            Schniter and Rangan 2017 use it too).
        keep_iterates: Whether to keep every iterate.

    Returns:
        Code, and the objective and gap of the Lasso it solves, as :class:`LassoResult`.

    Raises:
        TypeError: If a tensor is not floating-point, or dtypes differ.
        ValueError: If shapes do not fit, the batch is empty, an entry is NaN or
            infinite, devices differ, the columns do not have about norm 1,
            ``iterations`` is negative or ``alpha`` is not positive.

    Example:
        >>> import torch
        >>> b = torch.tensor([[4.0, 0.0]])
        >>> amp(torch.eye(2), b, iterations=1, alpha=0.5).x  # theta = 0.5 * 4 / sqrt(2)
        tensor([[2.5858, 0.0000]])
    """
    check_count("iterations", iterations, least=0)
    check_positive("alpha", alpha)
    lasso = Lasso.checked(A, b, 0.0)
    check_unit_columns(A)
    m = A.shape[0]

    def threshold(v: Tensor) -> Tensor:
        return alpha * torch.linalg.vector_norm(v, dim=1, keepdim=True) / m**0.5

    def occupancy(x: Tensor) -> Tensor:
        return (x != 0).to(x).sum(dim=1, keepdim=True) / m

    x = lasso.start(None)
    r = v = b
    data_terms, l1_norms, iterates = [], [], []
    for k in range(iterations + 1):
        if k > 0:
            x = soft_threshold(torch.addmm(x, v, A), threshold(v))
            r = torch.addmm(b, x, A.T, alpha=-1)
            v = r + v * occupancy(x)  # the Onsager correction
        data_terms.append(0.5 * torch.linalg.vecdot(r, r))
        l1_norms.append(x.abs().sum(dim=1))
        if keep_iterates:
            iterates.append(x)
    lam = threshold(v) * (1 - occupancy(x)).clamp(min=0)
    lasso = Lasso(A, b, lam)
    lost = diverged("AMP", b, v, lambda: f"{likeness(A)}, use fista")[:, None]
    gap = lasso.gap(x, r, r @ A).masked_fill(lost[:, 0], float("nan"))
    return LassoResult(
        x=x.masked_fill(lost, float("nan")),
        objective=torch.stack(data_terms) + lam[:, 0] * torch.stack(l1_norms),
        gap=gap,
        lam=lam[:, 0],
        converged=torch.zeros_like(gap, dtype=torch.bool),
        stalled=torch.zeros_like(gap, dtype=torch.bool),
        iterations=iterations,
        iterates=torch.stack(iterates) if keep_iterates else None,
    )
