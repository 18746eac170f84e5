"""ALISTA-AT: thresholds that spare the entries that are large already."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from unroll._checks import check_positive
from unroll.networks.analytic import Analytic
from unroll.networks.positive import Positive
from unroll.prox import support_select

__all__ = ["ALISTAAT"]


class _Layer(nn.Module):
    """One layer: ``gamma``, ``theta``."""

    def __init__(self, gamma: Tensor, theta: Tensor) -> None:
        super().__init__()
        self.gamma = Positive(gamma)
        self.theta = Positive(theta)

    def forward(
        self, x: Tensor, b: Tensor, A: Tensor, W: Tensor, keep: int, epsilon: float
    ) -> Tensor:
        """Return the next code."""
        r = torch.addmm(b, x, A.T, alpha=-1)  # (batch, m)
        theta = self.theta() / (x.abs() / epsilon + 1)  # (batch, n)
        return support_select(x + self.gamma() * (r @ W), theta, keep)


class ALISTAAT(Analytic):
    r"""ALISTA with adaptive thresholds, one per entry.

    .. math:: x_{k+1} = \eta^{\mathrm{keep}_k}_{\theta_k g(x_k)}
              \left( x_k + \gamma_k W^T (b - A x_k) \right), \qquad
              g(x)_i = \frac{1}{|x_i| / \epsilon + 1}

    Kim and Park 2020, IEEE Access 8 (element-wise adaptive thresholds); ``g`` with
    ``epsilon = 0.1`` is the form in which Behrens, Sauder and Jung 2021 (NA-ALISTA)
    compare with it, and was taken from there. Parent: ISTA for the Lasso reweighted in
    every iteration (Candes et al. 2008), whose l1 weights are the same ``g``;
    ALISTA for ``epsilon`` to infinity.

    Args:
        A: Dictionary. Shape ``(m, n)``.
        depth: Layers.
        lam: Weight of the Lasso whose ISTA the network starts at; None is 0.1.
        keep: As in :class:`ALISTA`.
        weight: The matrix ``W``; None is the analytic one. Shape ``(m, n)``.
        epsilon: Size of an entry whose threshold is halved.

    Raises:
        TypeError: As :class:`ALISTA`.
        ValueError: As :class:`ALISTA`, or if ``epsilon`` is not positive.

    Example:
        >>> net = ALISTAAT(torch.eye(1), depth=2, lam=1.0, keep=0, epsilon=1.0)
        >>> net(torch.tensor([[3.0]]))  # 3 - 1 = 2, then 3 - 1 / (2 + 1)
        tensor([[2.6667]], grad_fn=<SubBackward0>)
    """

    settings: ClassVar[tuple[str, ...]] = ("lam", "keep", "epsilon")

    def __init__(
        self,
        A: Tensor,
        depth: int = 16,
        *,
        lam: float | None = None,
        keep: int | Sequence[int] | None = None,
        weight: Tensor | None = None,
        epsilon: float = 0.1,
    ) -> None:
        check_positive("epsilon", epsilon)
        super().__init__(A, depth, _Layer, lam=lam, keep=keep, weight=weight)
        self.epsilon = epsilon

    def given(self, b: Tensor, k: int) -> tuple:
        """Return what :class:`ALISTA`'s layers see, and the size ``epsilon``."""
        return *super().given(b, k), self.epsilon
