"""LAMP: approximate message passing with learned matrix and thresholds."""

import torch
from torch import Tensor, nn

from unroll._checks import check_dictionary, check_positive
from unroll.networks._state import State
from unroll.networks.base import Unrolled
from unroll.networks.positive import Positive
from unroll.prox import soft_threshold

__all__ = ["LAMP"]


class _Layer(nn.Module):
    """One layer: ``W``, ``alpha``."""

    def __init__(self, A: Tensor, alpha: float) -> None:
        super().__init__()
        self.W = nn.Parameter(A.detach().clone())  # (m, n)
        self.alpha = Positive(A.new_tensor(alpha))

    def forward(self, state: State, b: Tensor, A: Tensor, norms: Tensor) -> State:
        """Return the next code and the residual it was computed from."""
        x, v = state
        m = A.shape[0]
        count = torch.count_nonzero(x, dim=1)[:, None].to(x)  # no gradient
        v = torch.addmm(b, x, A.T, alpha=-1) + v * count / m  # the Onsager correction
        noise = torch.linalg.vector_norm(v, dim=1, keepdim=True) / m**0.5
        theta = self.alpha() * noise / norms  # (batch, n)
        return soft_threshold(torch.addmm(x, v, self.W), theta), v


class LAMP(Unrolled):
    r"""Learned AMP: a residual that remembers, learned weights and threshold factors.

    .. math:: v_k &= b - A x_k + v_{k-1} \|x_k\|_0 / m, \\
              x_{k+1} &= \eta_{\alpha_k \|v_k\| / \sqrt m}(x_k + W_k^T v_k)

    Borgerding, Schniter and Rangan 2017, IEEE Trans. Signal Process. 65(16), section
    III, in the form without the overall gains ``beta_k``; ``W^T`` is their ``B``.
    Parent: :func:`~unroll.solvers.amp`, which it equals at every depth before training:
    ``W = A``, one ``alpha``. The threshold follows the noise of each sample. AMP needs
    columns of norm 1: others are scaled, which leaves ``w_i = a_i / |a_i|^2`` and a
    threshold divided by ``|a_i|``. For a small or structured ``A`` it may diverge: then
    train it with gradient clipping, or choose another method.

    Args:
        A: Dictionary. Shape ``(m, n)``.
        depth: Layers.
        alpha: Where the threshold factors start; as in :func:`~unroll.solvers.amp`.
        tied: Whether all layers share one ``W`` and ``alpha``.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor or ``depth`` not an int.
        ValueError: If ``A`` is not a finite, non-zero matrix, or ``depth`` or ``alpha``
            is not positive.

    Example:
        >>> net = LAMP(torch.eye(2), depth=1, alpha=0.5)
        >>> net(torch.tensor([[4.0, 0.0]]))  # theta = 0.5 * 4 / sqrt(2)
        tensor([[2.5858, 0.0000]], grad_fn=<SubBackward0>)
    """

    norms: Tensor

    def __init__(
        self,
        A: Tensor,
        depth: int = 16,
        *,
        alpha: float = 1.1402,
        tied: bool = False,
    ) -> None:
        check_positive("alpha", alpha)
        check_dictionary(A)
        norms = torch.linalg.vector_norm(A.detach(), dim=0)
        if (norms - 1).abs().max() < 1e-6:
            norms = torch.ones_like(norms)
        norms = norms.where(norms > 0, 1.0)
        super().__init__(A, depth, lambda: _Layer(A / norms**2, alpha), tied=tied)
        self.register_buffer("norms", norms)

    def given(self, b: Tensor, k: int) -> tuple:
        """Return measurements, dictionary and the norms of its columns."""
        return b, self.A, self.norms

    def start(self, b: Tensor) -> State:
        """Return code and residual before the first layer: both 0."""
        return self._zero(b), torch.zeros_like(b)
