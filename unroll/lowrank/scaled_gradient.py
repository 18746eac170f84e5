"""Scaled gradient descent on two factors: one decomposition, then products."""

import torch
from torch import Tensor

from unroll._checks import check_count, check_positive
from unroll.lowrank._checks import check_matrices, check_rank
from unroll.lowrank.singular import balanced_factors
from unroll.prox import soft_threshold

__all__ = ["scaled_gradient"]

Factors = tuple[Tensor, Tensor]


@torch.no_grad()
def scaled_gradient(
    Y: Tensor,
    rank: int,
    *,
    threshold: float = 1.0,
    decay: float = 0.7,
    step: float = 0.5,
    iterations: int = 100,
) -> tuple[Tensor, Tensor]:
    r"""Split a matrix by gradient descent on the factors of its part of low rank.

    .. math:: S_k &= \eta_{\zeta_k}(Y - L_k R_k^T), \qquad E_k = L_k R_k^T + S_k - Y, \\
              L_{k+1} &= L_k - \eta E_k R_k (R_k^T R_k)^{-1}, \qquad
              R_{k+1} = R_k - \eta E_k^T L_k (L_k^T L_k)^{-1}

    both from the old factors, from the best factors of that rank of
    ``Y - soft(Y, zeta_0)``, of equal size. The inverses make the rate independent of
    how unlike the singular values are: Tong, Ma and Chi 2021, J. Mach. Learn. Res. 22;
    with the soft threshold, Cai, Liu and Yin 2021, NeurIPS. Thresholds fall
    geometrically, ``zeta_k = threshold * decay^k`` times the mean of ``|Y|``: in the
    unit of the data, so that another unit or size changes nothing. The start takes
    ``zeta_0``, iteration ``k`` takes ``zeta_k``, from 1.

    Args:
        Y: Matrices. Shape ``(batch, n1, n2)``.
        rank: Rank of the part that is low in rank.
        threshold: First threshold, in means of ``|Y|``, positive.
        decay: Factor from one threshold to the next, positive, at most 1.
        step: Step ``eta``, positive.
        iterations: Iterations; 0 returns the start.

    Returns:
        The part of low rank, shape ``(batch, n1, n2)``, and the sparse one of the last
        iteration, shape ``(batch, n1, n2)``.

    Raises:
        TypeError: If ``Y`` is not a real floating-point tensor, of too few digits, or
            ``rank`` or ``iterations`` not an int.
        ValueError: If ``Y`` is not a batch of finite matrices, ``rank`` is not between
            1 and their smaller side, ``threshold`` or ``step`` is not positive, or
            ``decay`` is outside (0, 1].

    Example:
        >>> Y = torch.ones(1, 20, 20)
        >>> Y[0, 3, 5] = 9.0
        >>> L, S = scaled_gradient(Y, rank=1, threshold=2.0, decay=0.5)
        >>> L[0, 3, 5].round(decimals=2), S[0, 3, 5].round(decimals=2)
        (tensor(1.), tensor(8.))
    """
    check_matrices("Y", Y)
    check_count("rank", rank, least=1)
    check_rank(rank, Y.shape)
    check_count("iterations", iterations, least=0)
    check_positive("threshold", threshold)
    check_positive("step", step)
    check_decay(decay)
    zeta = threshold * unit(Y)
    S = soft_threshold(Y, zeta)
    factors = balanced_factors(Y - S, rank)
    for k in range(1, iterations + 1):
        factors, S = scaled_step(Y, factors, decay**k * zeta, step)
    return product(factors), S


def check_decay(decay: float) -> None:
    """Refuse a factor that makes thresholds grow, or none."""
    if not 0 < decay <= 1:
        raise ValueError(f"decay is {decay}: expected 0 < decay <= 1")


def unit(Y: Tensor) -> Tensor:
    """Return the mean magnitude of the entries of every matrix, ``(batch, 1, 1)``."""
    return Y.abs().mean(dim=(1, 2), keepdim=True)


def product(factors: Factors) -> Tensor:
    """Return the matrices whose factors these are."""
    L, R = factors
    return L @ R.mT


def scaled_step(
    Y: Tensor, factors: Factors, zeta: Tensor, step: float | Tensor
) -> tuple[Factors, Tensor]:
    """Return the next factors, and what was taken for the sparse part."""
    L, R = factors
    rest = Y - L @ R.mT
    S = soft_threshold(rest, zeta)
    E = rest - S  # minus the gradient's error
    return (L + step * E @ _scaled(R), R + step * E.mT @ _scaled(L)), S


def _scaled(F: Tensor) -> Tensor:
    """Return ``F (F^T F)^-1``; a direction that is zero stays zero."""
    gram = F.mT @ F
    size = torch.diagonal(gram, dim1=-2, dim2=-1).sum(dim=-1)[:, None, None]
    kind = torch.finfo(F.dtype)
    ridge = (kind.eps * size + kind.tiny) * torch.eye(
        F.shape[-1], dtype=F.dtype, device=F.device
    )
    return torch.linalg.solve(gram + ridge, F.mT).mT
