"""Conjugate gradients: solve with an operator that is only applied."""

from collections.abc import Callable

import torch
from torch import Tensor

from unroll._checks import check_count, check_positive

__all__ = ["conjugate_gradients"]


def conjugate_gradients(
    M: Callable,
    rhs: Tensor,
    *,
    tol: float = 1e-10,
    iterations: int = 1000,
) -> Tensor:
    r"""Solve ``M x = rhs`` for every sample, ``M`` self-adjoint and positive definite.

    .. math:: x_{k+1} = x_k + \alpha_k p_k, \quad r_{k+1} = r_k - \alpha_k M p_k, \quad
              p_{k+1} = r_{k+1} + \frac{\|r_{k+1}\|^2}{\|r_k\|^2} p_k, \quad
              \alpha_k = \frac{\|r_k\|^2}{\langle p_k, M p_k \rangle}

    Hestenes and Stiefel 1952, J. Res. Natl. Bur. Stand. 49(6). As many iterations as
    ``M`` has different eigenvalues, but for rounding.

    Args:
        M: The operator, applied to a batch.
        rhs: Right-hand sides, real or complex. Shape ``(..., n)``.
        tol: A sample rests when ``||M x - rhs|| <= tol ||rhs||``; counts as no less
            than the dtype resolves.
        iterations: At most.

    Returns:
        The solutions. Shape ``(..., n)``.

    Raises:
        TypeError: If ``iterations`` is not an int.
        ValueError: If ``tol`` or ``iterations`` is not positive.

    Example:
        >>> M = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
        >>> conjugate_gradients(lambda x: x @ M, torch.tensor([[3.0, 3.0]]))
        tensor([[1., 1.]])
    """
    check_positive("tol", tol)
    check_count("iterations", iterations, least=1)
    x, r, p = torch.zeros_like(rhs), rhs, rhs
    square = _squares(r)
    enough = max(tol, torch.finfo(rhs.dtype).eps) ** 2 * square
    for _ in range(iterations):
        work = square > enough
        if not work.any():
            break
        q = M(p)
        bend = (p.conj() * q).real.flatten(1).sum(dim=1).reshape(square.shape)
        alpha = (square / bend).where(work, 0.0)  # who rests stays
        x, r = x + alpha * p, r - alpha * q
        square, last = _squares(r), square
        p = r + (square / last).where(work, 0.0) * p
    return x


def _squares(r: Tensor) -> Tensor:
    """Return squared norms of the samples, in the shape of a column."""
    squares = torch.linalg.vector_norm(r.flatten(1), dim=1) ** 2
    return squares.reshape(-1, *[1] * (r.ndim - 1))
