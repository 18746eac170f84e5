"""SLISTA: ISTA with learned steps and nothing else."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from unroll.networks.base import Unrolled
from unroll.networks.initial import gradient_step, start_lam
from unroll.networks.positive import Positive
from unroll.prox import soft_threshold

__all__ = ["StepLISTA"]


class _Layer(nn.Module):
    """One layer: ``alpha``."""

    def __init__(self, alpha: Tensor) -> None:
        super().__init__()
        self.alpha = Positive(alpha)

    def forward(self, x: Tensor, b: Tensor, A: Tensor, lam: float) -> Tensor:
        """Return the next code."""
        alpha = self.alpha()
        r = torch.addmm(b, x, A.T, alpha=-1)  # (batch, m)
        return soft_threshold(x + alpha * (r @ A), alpha * lam)


class StepLISTA(Unrolled):
    r"""Step-LISTA: one number a layer, the step.

    .. math:: x_{k+1} = \eta_{\alpha_k \lambda}
              \left( x_k + \alpha_k A^T (b - A x_k) \right)

    Ablin, Moreau, Massias and Gramfort 2019, NeurIPS (SLISTA), who show that a network
    that reaches the Lasso's solution for every ``b`` must become this one in its deep
    layers, and that sparse iterates allow steps above ``1 / ||A||_2^2``. Parent: ISTA,
    which it equals at every depth before training.

    Args:
        A: Dictionary. Shape ``(m, n)``.
        depth: Layers.
        lam: Weight of the Lasso; not learned. None is 0.1 times the mean squared norm
            of the atoms.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor or ``depth`` not an int.
        ValueError: If ``A`` is not a finite, non-zero matrix, or ``depth`` or ``lam``
            is not positive.

    Example:
        >>> net = StepLISTA(torch.eye(2), depth=1, lam=1.0)
        >>> net(torch.tensor([[3.0, 0.5]]))
        tensor([[2., 0.]], grad_fn=<SubBackward0>)
    """

    settings: ClassVar[tuple[str, ...]] = ("lam",)

    def __init__(self, A: Tensor, depth: int = 16, *, lam: float | None = None) -> None:
        lam = start_lam(lam, A)
        step = gradient_step(A)
        super().__init__(A, depth, lambda: _Layer(A.new_tensor(step)))
        self.lam = lam

    def given(self, b: Tensor, k: int) -> tuple:
        """Return the measurements, the dictionary and the Lasso's weight."""
        return b, self.A, self.lam
