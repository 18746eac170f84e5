"""LISTA-CP: one matrix a layer, because the other follows from it."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from unroll.networks.base import Unrolled
from unroll.networks.initial import gradient_step, start_lam, support_counts
from unroll.networks.positive import Positive
from unroll.prox import support_select

__all__ = ["LISTACP", "LISTACPSS"]


class _Layer(nn.Module):
    """One layer: ``W``, ``theta``."""

    def __init__(self, A: Tensor, step: float, lam: float) -> None:
        super().__init__()
        self.W = nn.Parameter(step * A)  # (m, n)
        self.theta = Positive(A.new_tensor(step * lam))

    def forward(self, x: Tensor, b: Tensor, A: Tensor, keep: int) -> Tensor:
        """Return the next code."""
        r = torch.addmm(b, x, A.T, alpha=-1)  # (batch, m)
        return support_select(torch.addmm(x, r, self.W), self.theta(), keep)


class LISTACPSS(Unrolled):
    r"""LISTA with coupled weights and support selection.

    .. math:: x_{k+1} = \eta^{\mathrm{keep}_k}_{\theta_k}
              \left( x_k + W_k^T (b - A x_k) \right)

    Chen, Liu, Wang and Yin 2018, NeurIPS, who prove that it converges linearly to the
    true code, and faster than without the selection. Parent: ISTA with
    :func:`~unroll.prox.support_select` for its soft threshold; plain ISTA for
    ``keep=0``. Starts at ``W = t A``, ``theta = t lam``, ``t = 1 / ||A||_2^2``.

    Args:
        A: Dictionary. Shape ``(m, n)``.
        depth: Layers.
        lam: Weight of the Lasso whose ISTA the network starts at; None is 0.1 times the
            mean squared norm of the atoms.
        keep: How many entries may pass: an int, or one per layer; None is 1.2 %
            of ``2 m`` (of n, if less) more per layer, at most 13 %, and 12 % in the
            last of less than ten layers; of more than ``4 m`` atoms more slowly, by
            ``sqrt(4 m / n)``.
        tied: Whether all layers share one ``W`` and ``theta``.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor, or a count not an int.
        ValueError: If ``A`` is not a finite, non-zero matrix, ``depth`` or ``lam`` is
            not positive, or ``keep`` is negative or not of length ``depth``.

    Example:
        >>> net = LISTACPSS(torch.eye(2), depth=1, lam=1.0, keep=1)
        >>> net(torch.tensor([[3.0, 2.0]]))
        tensor([[3., 1.]], grad_fn=<WhereBackward0>)
    """

    settings: ClassVar[tuple[str, ...]] = ("lam", "keep")

    def __init__(
        self,
        A: Tensor,
        depth: int = 16,
        *,
        lam: float | None = None,
        keep: int | Sequence[int] | None = None,
        tied: bool = False,
    ) -> None:
        lam = start_lam(lam, A)
        step = gradient_step(A)
        super().__init__(A, depth, lambda: _Layer(A, step, lam), tied=tied)
        self.lam, self.keep = lam, support_counts(A, depth, keep)

    def given(self, b: Tensor, k: int) -> tuple:
        """Return the measurements, the dictionary and the count of layer ``k``."""
        return b, self.A, self.keep[k]


class LISTACP(LISTACPSS):
    r"""LISTA with coupled weights, ``W2 = I - W1 A``.

    .. math:: x_{k+1} = \eta_{\theta_k}\left( x_k + W_k^T (b - A x_k) \right)

    Chen, Liu, Wang and Yin 2018, NeurIPS, theorem 1: the weights of any LISTA that
    recovers sparse codes approach this coupling (``W1 = W^T``). Parent: ISTA, which it
    equals at every depth before training.

    Args:
        A: Dictionary. Shape ``(m, n)``.
        depth: Layers.
        lam: Weight of the Lasso whose ISTA the network starts at; None is 0.1 times the
            mean squared norm of the atoms.
        tied: Whether all layers share one ``W`` and ``theta``.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor or ``depth`` not an int.
        ValueError: If ``A`` is not a finite, non-zero matrix, or ``depth`` or ``lam``
            is not positive.

    Example:
        >>> net = LISTACP(torch.eye(2), depth=1, lam=1.0)
        >>> net(torch.tensor([[3.0, 0.5]]))
        tensor([[2., 0.]], grad_fn=<SubBackward0>)
    """

    def __init__(
        self,
        A: Tensor,
        depth: int = 16,
        *,
        lam: float | None = None,
        tied: bool = False,
    ) -> None:
        super().__init__(A, depth, lam=lam, keep=0, tied=tied)
