"""LISTA: both matrices of ISTA, and its thresholds, learned."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from unroll.networks.base import Unrolled
from unroll.networks.initial import gradient_step, start_lam, support_counts
from unroll.networks.positive import Positive
from unroll.prox import support_select

__all__ = ["LISTA", "LISTASS"]


class _Layer(nn.Module):
    """One layer: ``W1``, ``W2``, ``theta``."""

    def __init__(self, A: Tensor, step: float, lam: float) -> None:
        super().__init__()
        self.W1 = nn.Parameter(step * A.T)  # (n, m)
        identity = torch.eye(A.shape[1], dtype=A.dtype, device=A.device)
        self.W2 = nn.Parameter(identity - step * A.T @ A)  # (n, n)
        self.theta = Positive(A.new_tensor(step * lam))

    def forward(self, x: Tensor, b: Tensor, keep: int) -> Tensor:
        """Return the next code."""
        return support_select(b @ self.W1.T + x @ self.W2.T, self.theta(), keep)


class LISTASS(Unrolled):
    r"""LISTA with support selection: the largest entries pass the threshold unchanged.

    .. math:: x_{k+1} = \eta^{\mathrm{keep}_k}_{\theta_k}(W_1^k b + W_2^k x_k)

    Chen, Liu, Wang and Yin 2018 (LISTA-CPSS), where it is called LISTA-SS. Parent: ISTA
    with :func:`~unroll.prox.support_select` for its soft threshold; plain ISTA for
    ``keep=0``. Starts at ``W1 = t A^T``, ``W2 = I - t A^T A``, ``theta = t lam`` with
    ``t = 1 / ||A||_2^2``.

    Args:
        A: Dictionary. Shape ``(m, n)``.
        depth: Layers.
        lam: Weight of the Lasso whose ISTA the network starts at; None is 0.1 times the
            mean squared norm of the atoms.
        keep: How many entries may pass: an int, or one per layer; None is 1.2 %
            of ``2 m`` (of n, if less) more per layer, at most 13 %, and 12 % in the
            last of less than ten layers; of more than ``4 m`` atoms more slowly, by
            ``sqrt(4 m / n)``.
        tied: Whether all layers share one ``W1``, ``W2`` and ``theta``.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor, or a count not an int.
        ValueError: If ``A`` is not a finite, non-zero matrix, ``depth`` or ``lam`` is
            not positive, or ``keep`` is negative or not of length ``depth``.

    Example:
        >>> net = LISTASS(torch.eye(2), depth=1, lam=1.0, keep=1)
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
        """Return the measurements and the count of layer ``k``."""
        return b, self.keep[k]


class LISTA(LISTASS):
    r"""The learned iterative shrinkage-thresholding algorithm.

    .. math:: x_{k+1} = \eta_{\theta_k}(W_1^k b + W_2^k x_k)

    Gregor and LeCun 2010, ICML, section 3.1, who write ``W_e`` and ``S`` and tie the
    layers; the names ``W1``, ``W2`` are those of Chen, Liu, Wang and Yin 2018. Differs:
    one threshold per layer instead of one per atom. Parent: ISTA, which it equals at
    every depth before training: ``W1 = t A^T``, ``W2 = I - t A^T A``, ``theta = t
    lam``, ``t = 1 / ||A||_2^2``.

    Args:
        A: Dictionary. Shape ``(m, n)``.
        depth: Layers.
        lam: Weight of the Lasso whose ISTA the network starts at; None is 0.1 times the
            mean squared norm of the atoms.
        tied: Whether all layers share one ``W1``, ``W2`` and ``theta``.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor or ``depth`` not an int.
        ValueError: If ``A`` is not a finite, non-zero matrix, or ``depth`` or ``lam``
            is not positive.

    Example:
        >>> net = LISTA(torch.eye(2), depth=1, lam=1.0)
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
