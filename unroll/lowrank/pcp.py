"""Principal component pursuit: the convex way, with its duality gap."""

from dataclasses import dataclass

import torch
from torch import Tensor

from unroll._checks import check_count, check_positive
from unroll.lowrank._checks import check_matrices
from unroll.lowrank.singular import singular_value_threshold
from unroll.prox import soft_threshold

__all__ = ["PCPResult", "pcp"]


@dataclass(frozen=True)
class PCPResult:
    r"""What :func:`pcp` returns: two matrices, and how near they are to the minimum.

    Args:
        low_rank: ``L``. Shape ``(batch, n1, n2)``.
        sparse: ``S``; ``L + S`` is ``Y`` but for the last residual. Shape
            ``(batch, n1, n2)``.
        gap: How far the objective of ``(L, Y - L)``, which is admissible, can be above
            its minimum: the difference to the dual value ``<Z, Y>`` of the multiplier
            ``Z``, scaled into ``||Z||_2 <= 1`` and ``max |Z| <= lam``. Shape
            ``(batch,)``.
        iterations: Iterations of each sample. Shape ``(batch,)``.
        converged: Whether the residual reached ``tol``. Shape ``(batch,)``.
    """

    low_rank: Tensor
    sparse: Tensor
    gap: Tensor
    iterations: Tensor
    converged: Tensor


@torch.no_grad()
def pcp(
    Y: Tensor,
    lam: float | None = None,
    *,
    iterations: int = 1000,
    tol: float = 1e-7,
    growth: float = 1.0,
) -> PCPResult:
    r"""Split a matrix into one of low rank and a sparse one, by convex optimisation.

    .. math:: \min_{L, S} \; \|L\|_* + \lambda \|S\|_1 \quad \text{s.t. } L + S = Y

    by the alternating direction method of multipliers,

    .. math:: L &\leftarrow \mathrm{SVT}_{1/\mu}(Y - S + Z / \mu), \\
              S &\leftarrow \eta_{\lambda / \mu}(Y - L + Z / \mu), \qquad
              Z \leftarrow Z + \mu (Y - L - S)

    Candes, Li, Ma and Wright 2011, J. ACM 58(3), algorithm 1, with its
    ``mu = n1 n2 / (4 ||Y||_1)``, its ``lam = 1 / sqrt(max(n1, n2))`` and its end,
    ``||Y - L - S||_F <= tol ||Y||_F``. Their theorem 1.1: with that ``lam`` an
    incoherent matrix of low rank is found exactly, with high probability, if not too
    many entries are wrong. One singular value decomposition an iteration. A sample that
    is at its end rests: what is found does not depend on the others of its batch.

    With ``growth`` above 1, ``mu`` grows by that factor at every iteration: Lin, Chen
    and Ma 2010, arXiv 1009.5055, who take 1.5. It ends after far fewer iterations,
    but need not end at the minimum if ``mu`` grows too fast: the gap tells.

    Args:
        Y: Matrices. Shape ``(batch, n1, n2)``.
        lam: Weight of the l1 norm, positive; None is that of the theorem.
        iterations: At most.
        tol: Residual to end at, relative, positive.
        growth: Factor of ``mu`` from one iteration to the next, at least 1.

    Returns:
        The two matrices and the duality gap, as :class:`PCPResult`.

    Raises:
        TypeError: If ``Y`` is not a real floating-point tensor, of too few digits, or
            ``iterations`` not an int.
        ValueError: If ``Y`` is not a batch of finite matrices, or ``lam``,
            ``iterations`` or ``tol`` is not positive, or ``growth`` is less than 1.

    Example:
        >>> Y = torch.ones(1, 20, 20)
        >>> Y[0, 3, 5] = 9.0
        >>> found = pcp(Y)
        >>> found.low_rank[0, 3, 5].round(decimals=3), found.sparse.abs().gt(0.1).sum()
        (tensor(1.), tensor(1))
    """
    check_matrices("Y", Y)
    check_count("iterations", iterations, least=1)
    check_positive("tol", tol)
    if not 1 <= growth < float("inf"):
        raise ValueError(f"growth is {growth}: expected a finite number >= 1")
    weight = max(Y.shape[1:]) ** -0.5 if lam is None else lam
    check_positive("lam", weight)
    L, S, Z = torch.zeros_like(Y), torch.zeros_like(Y), torch.zeros_like(Y)
    done = torch.full(Y.shape[:1], iterations, device=Y.device)
    size = torch.linalg.matrix_norm(Y)
    total = Y.abs().sum(dim=(1, 2)).clamp(min=torch.finfo(Y.dtype).eps)
    mu = Y[0].numel() / (4 * total)
    rows = torch.arange(len(Y), device=Y.device)  # those that are not at their end
    for k in range(1, iterations + 1):
        y, z, m = Y[rows], Z[rows], mu[rows, None, None]
        low = singular_value_threshold(y - S[rows] + z / m, 1 / mu[rows])
        sparse = soft_threshold(y - low + z / m, weight / m)
        rest = y - low - sparse
        L[rows], S[rows], Z[rows] = low, sparse, z + m * rest
        met = torch.linalg.matrix_norm(rest) <= tol * size[rows]
        done[rows[met]] = k
        rows, mu = rows[~met], mu * growth
        if not len(rows):
            break
    converged = torch.ones_like(size, dtype=torch.bool)
    converged[rows] = False
    return PCPResult(L, S, _gap(Y, L, Z, weight), done, converged)


def _gap(Y: Tensor, L: Tensor, Z: Tensor, lam: float) -> Tensor:
    """Return the objective of ``(L, Y - L)`` minus the value of the scaled dual."""
    primal = torch.linalg.matrix_norm(L, "nuc") + lam * (Y - L).abs().sum(dim=(1, 2))
    excess = torch.maximum(
        torch.linalg.matrix_norm(Z, 2), Z.abs().amax(dim=(1, 2)) / lam
    )
    return primal - (Z * Y).sum(dim=(1, 2)) / excess.clamp(min=1)
