"""Singular values shrunk, with a gradient that equal and zero values do not spoil."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["singular_value_threshold"]


def singular_value_threshold(X: Tensor, theta: float | Tensor) -> Tensor:
    r"""Shrink every singular value by ``theta``, and to zero if it is smaller.

    .. math:: U \, \mathrm{diag}(\max(\sigma - \theta, 0)) \, V^T
              = \arg\min_L \theta \|L\|_* + \tfrac12 \|L - X\|_F^2

    Cai, Candes and Shen 2010, SIAM J. Optim. 20(4), theorem 2.1. The gradient is that
    of a function of singular values by divided differences (Lewis and Sendov 2001, SIAM
    J. Matrix Anal. Appl. 23(2)): autograd through the decomposition divides by
    ``sigma_i^2 - sigma_j^2``, which is 0 where two values are equal, as those of a
    matrix of low rank are.

    Args:
        X: Matrices. Shape ``(batch, n1, n2)``.
        theta: Threshold, at least 0; a number, or one a matrix. Shape ``()`` or
            ``(batch,)``.

    Returns:
        The proximal points. Shape ``(batch, n1, n2)``.

    Example:
        >>> X = torch.tensor([[[3.0, 0.0], [0.0, 0.5]]])
        >>> singular_value_threshold(X, 1.0)
        tensor([[[2., 0.],
                 [0., 0.]]])
    """
    theta = torch.as_tensor(theta, dtype=X.dtype, device=X.device)
    return _SVT.apply(X, theta.expand(X.shape[0]))


def balanced_factors(X: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return the factors ``U s^1/2`` and ``V s^1/2`` of the nearest matrix of a rank.

    Their gradient is that of the nearest matrix, exactly: singular vectors are taken as
    constants, and what they miss is added to first order. It is meant for what is the
    same for ``(L Q, R Q^-T)``, as scaled gradient descent is.
    """
    P, U, s, V = _Nearest.apply(X, rank)
    inverse = torch.where(s > 0, 1 / s.masked_fill(s == 0, 1.0), 0.0)
    root, off = s.sqrt(), U.mT @ P @ V - torch.diag_embed(s)  # off is 0: its gradient
    inner = torch.diag_embed(inverse) - inverse[..., None] * off * inverse[..., None, :]
    return P @ V @ inner * root[..., None, :], P.mT @ U * (inverse * root)[..., None, :]


class _SVT(torch.autograd.Function):
    """Singular values through the soft threshold."""

    @staticmethod
    def forward(ctx: Any, X: Tensor, theta: Tensor) -> Tensor:
        U, s, Vh = torch.linalg.svd(X, full_matrices=False)
        kept = (s > theta[:, None]).to(s)
        f = (s - theta[:, None]) * kept
        ctx.save_for_backward(U, s, Vh, f, kept)
        return (U * f[:, None, :]) @ Vh

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, G: Tensor) -> tuple[Tensor, Tensor]:
        U, s, Vh, f, kept = ctx.saved_tensors
        shares = torch.diagonal(U.mT @ G @ Vh.mT, dim1=-2, dim2=-1) * kept
        return _differential(G, U, s, Vh, f, kept), -shares.sum(dim=-1)


class _Nearest(torch.autograd.Function):
    """The largest singular values as they are, the others to zero."""

    @staticmethod
    def forward(ctx: Any, X: Tensor, rank: int) -> tuple[Tensor, ...]:
        U, s, Vh = torch.linalg.svd(X, full_matrices=False)
        kept = torch.zeros_like(s)
        kept[:, :rank] = 1
        ctx.save_for_backward(U, s, Vh, s * kept, kept)
        U, s, V = U[:, :, :rank], s[:, :rank], Vh[:, :rank].mT
        first = U.contiguous(), s.contiguous(), V.contiguous()
        ctx.mark_non_differentiable(*first)
        return (U * s[:, None, :]) @ V.mT, *first

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, G: Tensor, *_: Tensor) -> tuple[Tensor, None]:
        return _differential(G, *ctx.saved_tensors), None


def _differential(
    G: Tensor, U: Tensor, s: Tensor, Vh: Tensor, f: Tensor, kept: Tensor
) -> Tensor:
    """Return the differential of ``U f(s) V^T`` at ``G``; it is its own adjoint."""
    P = U.mT @ G @ Vh.mT  # in the singular basis, (batch, k, k)
    slope = _divided(f[:, :, None] - f[:, None], s[:, :, None] - s[:, None], kept)
    mean = _divided(f[:, :, None] + f[:, None], s[:, :, None] + s[:, None], kept)
    ratio = _divided(f, s, kept)[:, None, :]
    inside = slope * (P + P.mT) / 2 + mean * (P - P.mT) / 2
    columns = ((G @ Vh.mT - U @ P) * ratio) @ Vh  # what U does not span
    rows = (U * ratio) @ (U.mT @ G - P @ Vh)  # what V does not span
    return U @ inside @ Vh + columns + rows


def _divided(top: Tensor, bottom: Tensor, kept: Tensor) -> Tensor:
    """Return the quotient; where the bottom is 0 its limit, 1 if kept and 0 if not."""
    zero = bottom == 0
    limit = kept if top.ndim == kept.ndim else kept[:, None].expand_as(top)
    return torch.where(zero, limit, top / bottom.masked_fill(zero, 1.0))
