"""Two ways to divide a gradient by a Kronecker product with damping."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from modular._checks import check_positive

__all__ = ["Eigen", "PiSplit", "Solve"]


@dataclass(frozen=True)
class Solve(ABC):
    """What is prepared of two factors now and then, and used at every step."""

    damping: float = 1e-2

    def __post_init__(self) -> None:
        check_positive("damping", self.damping)

    @abstractmethod
    def prepare(self, A: Tensor, G: Tensor) -> tuple[Tensor, ...]:
        """Return what dividing needs.

        Args:
            A: Factor of the inputs. Shape ``(n, n)``, or its diagonal, ``(n,)``.
            G: Factor of the gradients. Shape ``(m, m)``.

        Returns:
            Tensors for :meth:`divide`.
        """

    @abstractmethod
    def blank(self, A: Tensor, G: Tensor) -> tuple[Tensor, ...]:
        """Return room for what another worker prepares.

        Args:
            A: Factor of the inputs. Shape ``(n, n)``, or its diagonal, ``(n,)``.
            G: Factor of the gradients. Shape ``(m, m)``.

        Returns:
            Tensors of the shapes that :meth:`prepare` returns.
        """

    @abstractmethod
    def divide(self, W: Tensor, prepared: tuple[Tensor, ...]) -> Tensor:
        """Return a gradient divided by the curvature.

        Args:
            W: Gradient of the weights, those of the bias as last column. Shape
                ``(m, n)``.
            prepared: From :meth:`prepare`.

        Returns:
            The preconditioned gradient. Shape ``(m, n)``.
        """


class Eigen(Solve):
    r"""Divide in the eigenbases of the factors, where the damping is exact.

    .. math:: (G \otimes A + \lambda I)^{-1} \operatorname{vec} W, \qquad
              P = Q_G \frac{Q_G^T W Q_A}{d_G d_A^T + \lambda} Q_A^T

    Grosse and Martens 2016 (ICML), section 4.2.

    Args:
        damping: ``lambda``, positive.

    Raises:
        ValueError: If it is not positive.

    Example:
        >>> import torch
        >>> half, one = torch.eye(2) / 2, torch.eye(1)
        >>> solve = Eigen(damping=0.5)
        >>> solve.divide(torch.ones(1, 2), solve.prepare(half, one))
        tensor([[1., 1.]])
    """

    def prepare(self, A: Tensor, G: Tensor) -> tuple[Tensor, ...]:
        """Return eigenvalues and eigenvectors of both."""
        d_G, Q_G = torch.linalg.eigh(G)
        d_A, Q_A = (A, A.new_empty(0)) if A.ndim == 1 else torch.linalg.eigh(A)
        return d_A.clamp(min=0), Q_A, d_G.clamp(min=0), Q_G

    def blank(self, A: Tensor, G: Tensor) -> tuple[Tensor, ...]:
        """Return room for eigenvalues and eigenvectors."""
        empty = torch.empty_like
        basis = A.new_empty(0) if A.ndim == 1 else empty(A)
        return A.new_empty(len(A)), basis, empty(G[0]), empty(G)

    def divide(self, W: Tensor, prepared: tuple[Tensor, ...]) -> Tensor:
        """Return the gradient divided, in the eigenbases."""
        d_A, Q_A, d_G, Q_G = prepared
        scale = d_G[:, None] * d_A + self.damping
        if Q_A.ndim == 1:  # a diagonal is its own eigenbasis
            return Q_G @ ((Q_G.T @ W) / scale)
        return Q_G @ ((Q_G.T @ W @ Q_A) / scale) @ Q_A.T


class PiSplit(Solve):
    r"""Damp each factor by its share, and divide by both.

    .. math:: P = \Big(G + \tfrac{\sqrt\lambda}{\pi} I\Big)^{-1} W
              \big(A + \pi \sqrt\lambda\, I\big)^{-1}, \qquad
              \pi^2 = \frac{\operatorname{tr} A / n}{\operatorname{tr} G / m}

    Two solves in place of two eigenvalue problems. It is not the same as
    :class:`Eigen`: the damping has mixed terms, ``A (x) I`` and ``I (x) G``. Martens
    and Grosse 2015 (ICML), section 6.3. Where a trace is 0, ``pi`` is 1.

    Args:
        damping: ``lambda``, positive.

    Raises:
        ValueError: If it is not positive.

    Example:
        >>> import torch
        >>> one = torch.eye(1)
        >>> solve = PiSplit(damping=1.0)
        >>> solve.divide(torch.ones(1, 1), solve.prepare(one, one))
        tensor([[0.2500]])
    """

    def prepare(self, A: Tensor, G: Tensor) -> tuple[Tensor, ...]:
        """Return Cholesky's factors of both; of a diagonal, what to divide by."""
        diagonal = A if A.ndim == 1 else A.diagonal()
        a, g = diagonal.mean(), G.diagonal().mean()
        pi = torch.where((a > 0) & (g > 0), (a / g).sqrt(), 1.0)
        root = self.damping**0.5
        L_G = torch.linalg.cholesky(G + root / pi * torch.eye(len(G)).to(G))
        if A.ndim == 1:
            return A + pi * root, L_G
        return torch.linalg.cholesky(A + pi * root * torch.eye(len(A)).to(A)), L_G

    def blank(self, A: Tensor, G: Tensor) -> tuple[Tensor, ...]:
        """Return room for Cholesky's factors."""
        return torch.empty_like(A), torch.empty_like(G)

    def divide(self, W: Tensor, prepared: tuple[Tensor, ...]) -> Tensor:
        """Return the gradient divided by both factors."""
        L_A, L_G = prepared
        left = torch.cholesky_solve(W, L_G)
        return left / L_A if L_A.ndim == 1 else torch.cholesky_solve(left.T, L_A).T
