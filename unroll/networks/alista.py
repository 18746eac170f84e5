"""ALISTA and TiLISTA: one matrix for all layers, derived or learned."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from unroll.networks.analytic import Analytic
from unroll.networks.positive import Positive
from unroll.prox import support_select

__all__ = ["ALISTA", "TiLISTA"]


class _Layer(nn.Module):
    """One layer: ``gamma``, ``theta``."""

    def __init__(self, gamma: Tensor, theta: Tensor) -> None:
        super().__init__()
        self.gamma = Positive(gamma)
        self.theta = Positive(theta)

    def forward(self, x: Tensor, b: Tensor, A: Tensor, W: Tensor, keep: int) -> Tensor:
        """Return the next code."""
        r = torch.addmm(b, x, A.T, alpha=-1)  # (batch, m)
        return support_select(x + self.gamma() * (r @ W), self.theta(), keep)


class ALISTA(Analytic):
    r"""Analytic LISTA: the matrix is derived, two numbers a layer are learned.

    .. math:: x_{k+1} = \eta^{\mathrm{keep}_k}_{\theta_k}
              \left( x_k + \gamma_k W^T (b - A x_k) \right)

    Liu, Chen, Wang and Yin 2019, ICLR. The weight comes in closed form
    (:func:`~unroll.weights.analytic_weight`), where the paper iterates. Parent: ISTA
    with support selection; with ``weight=A`` and ``keep=0`` plain ISTA, and with the
    analytic weight and ``keep=0`` ISTA on the whitened dictionary ``(A A^T)^{-1/2} A``,
    its atoms scaled to norm 1. Starts at ``gamma = 1 / rho(W^T A)``, ``theta = gamma
    lam``.

    Args:
        A: Dictionary. Shape ``(m, n)``.
        depth: Layers.
        lam: Weight of the Lasso whose ISTA the network starts at; None is 0.1 times the
            mean of ``w_i^T a_i``, 0.1 for the analytic weight.
        keep: How many entries may pass: an int, or one per layer; None is 1.2 %
            of ``2 m`` (of n, if less) more per layer, at most 13 %, and 12 % in the
            last of less than ten layers; of more than ``4 m`` atoms more slowly, by
            ``sqrt(4 m / n)``.
        weight: The matrix ``W``; None is the analytic one. Shape ``(m, n)``.

    Raises:
        TypeError: If a tensor is not floating-point, or a count not an int.
        ValueError: If ``A`` is not a finite matrix with non-zero columns, ``weight``
            does not fit it, ``depth`` or ``lam`` is not positive, or ``keep`` is
            negative or not of length ``depth``.

    Example:
        >>> net = ALISTA(torch.eye(2), depth=1, lam=1.0, keep=0)
        >>> net(torch.tensor([[3.0, 0.5]]))
        tensor([[2., 0.]], grad_fn=<SubBackward0>)
        >>> sum(p.numel() for p in ALISTA(torch.eye(2), depth=16).parameters())
        32
    """

    def __init__(
        self,
        A: Tensor,
        depth: int = 16,
        *,
        lam: float | None = None,
        keep: int | Sequence[int] | None = None,
        weight: Tensor | None = None,
    ) -> None:
        super().__init__(A, depth, _Layer, lam=lam, keep=keep, weight=weight)


class TiLISTA(Analytic):
    r"""Tied LISTA: one learned matrix for all layers, two numbers for each.

    .. math:: x_{k+1} = \eta^{\mathrm{keep}_k}_{\theta_k}
              \left( x_k + \gamma_k W^T (b - A x_k) \right), \qquad W \text{ learned}

    Liu, Chen, Wang and Yin 2019, ICLR, on the way from LISTA-CPSS to ALISTA. Parent:
    ISTA with support selection, plain ISTA for ``keep=0``: starts at ``W = A`` with
    ``gamma = 1 / ||A||_2^2``, ``theta = gamma lam``. Pass ``weight=analytic_weight(A)``
    to start where ALISTA does.

    Args:
        A: Dictionary. Shape ``(m, n)``.
        depth: Layers.
        lam: Weight of the Lasso whose ISTA the network starts at; None is 0.1 times the
            mean squared norm of the atoms.
        keep: As in :class:`ALISTA`.
        weight: Where ``W`` starts; None is ``A``. Shape ``(m, n)``.

    Raises:
        TypeError: As :class:`ALISTA`.
        ValueError: As :class:`ALISTA`.

    Example:
        >>> net = TiLISTA(torch.eye(2), depth=1, lam=1.0, keep=0)
        >>> net(torch.tensor([[3.0, 0.5]]))
        tensor([[2., 0.]], grad_fn=<SubBackward0>)
    """

    def __init__(
        self,
        A: Tensor,
        depth: int = 16,
        *,
        lam: float | None = None,
        keep: int | Sequence[int] | None = None,
        weight: Tensor | None = None,
    ) -> None:
        weight = A if weight is None else weight
        super().__init__(A, depth, _Layer, lam=lam, keep=keep, weight=weight)
        W = self.W
        del self.W  # a buffer
        self.W = nn.Parameter(W)
