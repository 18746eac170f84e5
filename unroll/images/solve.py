"""The data step of splitting methods, and its gradient: one more solve."""

from typing import Any

import torch
from torch import Tensor

from unroll.operators import Operator, conjugate_gradients

__all__ = ["regularised_solve"]


def regularised_solve(
    A: Operator,
    rhs: Tensor,
    rho: Tensor,
    *,
    tol: float = 1e-6,
    iterations: int = 100,
) -> Tensor:
    r"""Solve ``(A^* A + rho) x = rhs`` by conjugate gradients, an implicit layer.

    .. math:: x = M^{-1} \mathrm{rhs}, \qquad
              \frac{\partial L}{\partial \mathrm{rhs}} = v = M^{-1}
              \frac{\partial L}{\partial x}, \qquad
              \frac{\partial L}{\partial \rho} = -\mathrm{Re} \langle v, x \rangle

    with ``M = A^* A + rho``, which is self-adjoint: the backward pass is one more solve
    with it and keeps nothing of the iterations. Aggarwal, Mani and Jacob 2019, IEEE
    Trans. Med. Imaging 38(2), section III. The gradient is that of the solution, not of
    the iterations: it is as exact as ``tol`` says. It may be differentiated again. When
    the iterations end depends on the data, which ``torch.export`` cannot follow.

    Args:
        A: The operator.
        rhs: Right-hand sides, in the domain of ``A``. Shape ``(batch, n)``.
        rho: Positive number. Shape ``()``.
        tol: Relative residual at which a sample rests.
        iterations: Of conjugate gradients at most.

    Returns:
        Solutions. Shape ``(batch, n)``.

    Raises:
        TypeError: If ``iterations`` is not an int.
        ValueError: If ``tol`` or ``iterations`` is not positive.

    Example:
        >>> from unroll.operators import Matrix
        >>> rho = torch.tensor(1.0, requires_grad=True)
        >>> x = regularised_solve(Matrix(torch.eye(2)), torch.ones(1, 2), rho)
        >>> x, torch.autograd.grad(x.sum(), rho)[0]  # 1 / (1 + rho), two of them
        (tensor([[0.5000, 0.5000]], grad_fn=<_SolveBackward>), tensor(-0.5000))
    """
    return _Solve.apply(rhs, rho, A, tol, iterations)


class _Solve(torch.autograd.Function):
    """The solution, with the gradient of the solution."""

    @staticmethod
    def forward(
        ctx: Any, rhs: Tensor, rho: Tensor, A: Operator, tol: float, iterations: int
    ) -> Tensor:
        """Return ``x``; iterations are not recorded here."""
        x = conjugate_gradients(
            lambda d: A.adjoint(A(d)) + rho * d, rhs, tol=tol, iterations=iterations
        )
        ctx.save_for_backward(x, rho)
        ctx.rest = A, tol, iterations
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        """Return ``v`` and ``- Re <v, x>``."""
        x, rho = ctx.saved_tensors
        v = _Solve.apply(grads[0], rho, *ctx.rest)
        return v, -(v.conj() * x).real.sum(), None, None, None
