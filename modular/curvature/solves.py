"""Two ways to divide a gradient by a Kronecker product with damping."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

__all__ = ["Eigen", "PiSplit", "Solve"]


class Solve(ABC):
    """What is prepared of two factors now and then, and used at every step."""

    @abstractmethod
    def prepare(self, A: Tensor, G: Tensor, damping: float) -> tuple[Tensor, ...]:
        """Return what dividing needs.

        Args:
            A: Factor of the inputs. Shape ``(n, n)``.
            G: Factor of the gradients. Shape ``(m, m)``.
            damping: Positive.

        Returns:
            Tensors for :meth:`divide`.
        """

    @abstractmethod
    def divide(self, W: Tensor, prepared: tuple[Tensor, ...], damping: float) -> Tensor:
        """Return a gradient divided by the curvature.

        Args:
            W: Gradient of the weights, those of the bias as last column. Shape
                ``(m, n)``.
            prepared: From :meth:`prepare`.
            damping: As given to it.

        Returns:
            The preconditioned gradient. Shape ``(m, n)``.
        """


class Eigen(Solve):
    r"""Divide in the eigenbases of the factors, where the damping is exact.

    .. math:: (G \otimes A + \lambda I)^{-1} \operatorname{vec} W, \qquad
              P = Q_G \frac{Q_G^T W Q_A}{d_G d_A^T + \lambda} Q_A^T

    Grosse and Martens 2016 (ICML), section 4.2; George, Laurent, Bouthillier, Ballas
    and Vincent 2018 (NeurIPS) start from it.

    Example:
        >>> import torch
        >>> half, one = torch.eye(2) / 2, torch.eye(1)
        >>> solve = Eigen()
        >>> solve.divide(torch.ones(1, 2), solve.prepare(half, one, 0.5), 0.5)
        tensor([[1., 1.]])
    """

    def prepare(self, A: Tensor, G: Tensor, damping: float) -> tuple[Tensor, ...]:
        """Return eigenvalues and eigenvectors. Shape of ``A``, ``G`` as there."""
        (d_A, Q_A), (d_G, Q_G) = torch.linalg.eigh(A), torch.linalg.eigh(G)
        return d_A.clamp(min=0), Q_A, d_G.clamp(min=0), Q_G

    def divide(self, W: Tensor, prepared: tuple[Tensor, ...], damping: float) -> Tensor:
        """Return the gradient divided, in the eigenbases. Shape ``(m, n)``."""
        d_A, Q_A, d_G, Q_G = prepared
        return Q_G @ ((Q_G.T @ W @ Q_A) / (d_G[:, None] * d_A + damping)) @ Q_A.T


class PiSplit(Solve):
    r"""Damp each factor by its share, and divide by both.

    .. math:: P = \Big(G + \tfrac{\sqrt\lambda}{\pi} I\Big)^{-1} W
              \big(A + \pi \sqrt\lambda\, I\big)^{-1}, \qquad
              \pi^2 = \frac{\operatorname{tr} A / n}{\operatorname{tr} G / m}

    Two solves in place of two eigenvalue problems. It is not the same as
    :class:`Eigen`: the damping has mixed terms, ``A (x) I`` and ``I (x) G``. Martens
    and Grosse 2015 (ICML), section 6.3. Where a trace is 0, ``pi`` is 1.

    Example:
        >>> import torch
        >>> one = torch.eye(1)
        >>> solve = PiSplit()
        >>> solve.divide(torch.ones(1, 1), solve.prepare(one, one, 1.0), 1.0)
        tensor([[0.2500]])
    """

    def prepare(self, A: Tensor, G: Tensor, damping: float) -> tuple[Tensor, ...]:
        """Return Cholesky's factors. Shape of ``A``, ``G`` as there."""
        a, g = A.trace() / len(A), G.trace() / len(G)
        pi = torch.where((a > 0) & (g > 0), (a / g).sqrt(), 1.0)
        root = damping**0.5
        L_A = torch.linalg.cholesky(A + pi * root * torch.eye(len(A)).to(A))
        L_G = torch.linalg.cholesky(G + root / pi * torch.eye(len(G)).to(G))
        return L_A, L_G

    def divide(self, W: Tensor, prepared: tuple[Tensor, ...], damping: float) -> Tensor:
        """Return the gradient divided by both factors. Shape ``(m, n)``."""
        L_A, L_G = prepared
        return torch.cholesky_solve(torch.cholesky_solve(W, L_G).T, L_A).T
