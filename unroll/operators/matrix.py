"""A matrix as an operator, real or complex."""

import math

import torch
from torch import Tensor

from unroll.operators._given import check_constant_numbers, check_given, checked_size
from unroll.operators.base import Operator

__all__ = ["Matrix"]


class Matrix(Operator):
    r"""Multiply by a dense matrix.

    .. math:: b = A x, \qquad A^* b = \bar A^T b

    What the solvers do with ``A`` itself, for code that expects an operator, and for
    complex matrices, which they take in this form alone. With ``size`` the vectors are
    images, row by row: small blocks behind a random matrix, as compressed sensing
    measures them. The norm is exact: Golub and Van Loan 2013, Matrix Computations,
    section 2.3.3.

    Args:
        A: Matrix, real or complex. Shape ``(m, n)``.
        size: Height and width of the images, whose product is ``n``; None is vectors.

    Raises:
        TypeError: If ``A`` is not a floating-point or complex tensor.
        ValueError: If ``A`` is not a finite matrix, or requires gradients; if ``size``
            is not two positive ints with product ``n``.

    Example:
        >>> A = Matrix(torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
        >>> A(torch.tensor([[1.0, 1.0]])), A.adjoint(torch.tensor([[1.0, 1.0]]))
        (tensor([[3., 1.]]), tensor([[1., 3.]]))
    """

    A: Tensor

    def __init__(self, A: Tensor, size: tuple[int, int] | None = None) -> None:
        check_constant_numbers("A", A)
        if A.ndim != 2 or A.numel() == 0:
            raise ValueError(f"A has shape {tuple(A.shape)}: expected (m, n)")
        if size is not None and math.prod(checked_size(size)) != A.shape[1]:
            raise ValueError(
                f"size is {size} but A has {A.shape[1]} columns: expected "
                f"{A.shape[1]} pixels"
            )
        super().__init__((A.shape[1],) if size is None else tuple(size))
        self.register_buffer("A", A.clone())

    def forward(self, x: Tensor) -> Tensor:
        """Return ``A x``.

        Args:
            x: Vectors; or images, of two axes in place of one. Shape ``(..., n)``.

        Returns:
            Measurements. Shape ``(..., m)``.
        """
        check_given("x", x, self.domain, self.A)
        if len(self.domain) == 2:
            x = x.flatten(-2)
        return x @ self._as(x).T

    def adjoint(self, b: Tensor) -> Tensor:
        """Return ``A^* b``.

        Args:
            b: Measurements. Shape ``(..., m)``.

        Returns:
            Vectors; or images, of two axes in place of one. Shape ``(..., n)``.
        """
        check_given("b", b, (self.A.shape[0],), self.A)
        x = b @ self._as(b).conj()
        return x.unflatten(-1, self.domain) if len(self.domain) == 2 else x

    @torch.no_grad()
    def norm(
        self, *, tol: float = 1e-3, generator: torch.Generator | None = None
    ) -> float:
        """Return the largest singular value, from the smaller Gram matrix.

        Args:
            tol: Not needed.
            generator: Not needed.

        Returns:
            The norm.
        """
        A = self.A if self.A.shape[0] <= self.A.shape[1] else self.A.mH
        return torch.linalg.eigvalsh(A @ A.mH)[-1].sqrt().item()

    def _as(self, value: Tensor) -> Tensor:
        """Return the matrix, complex where the other factor is."""
        return self.A.to(value.dtype) if value.is_complex() else self.A
