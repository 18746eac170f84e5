"""TISTA: learned steps around a denoiser that knows the statistics of the codes."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from unroll._checks import check_dictionary
from unroll.networks.base import Unrolled
from unroll.networks.positive import Positive

__all__ = ["TISTA"]


class _Layer(nn.Module):
    """One layer: ``gamma``."""

    def __init__(self, like: Tensor) -> None:
        super().__init__()
        self.gamma = Positive(like.new_tensor(1.0))

    def forward(
        self, x: Tensor, b: Tensor, A: Tensor, W: Tensor, noise: Tensor, known: tuple
    ) -> Tensor:
        """Return the next code; ``noise`` is the noise's variance, as (batch, 1)."""
        m, n = A.shape
        rank, odds = known
        gamma = self.gamma()
        r = torch.addmm(b, x, A.T, alpha=-1)  # (batch, m)
        # Variance of an entry of x, then that of an entry of x + gamma W^T r.
        energy = r.square().sum(dim=1, keepdim=True) - m * noise
        v2 = energy.clamp(min=1e-9) / A.square().sum()
        # W^T A projects on the rank dimensions that A can see: trace and squared norm.
        tau2 = v2 * (n + (gamma**2 - 2 * gamma) * rank) / n
        tau2 = tau2 + gamma**2 * noise * W.square().sum() / n
        # Tall and noiseless: nothing is left to denoise, and 0 has no logarithm.
        tau2 = tau2.clamp(min=torch.finfo(x.dtype).eps ** 2)
        return _posterior_mean(x + gamma * (r @ W), tau2, odds)


class TISTA(Unrolled):
    r"""Trainable ISTA: pseudo-inverse steps, and the posterior mean for a threshold.

    .. math:: v_k^2 &= \max\left( \frac{\|b - A x_k\|^2 - m \sigma^2}
              {\operatorname{tr}(A^T A)}, \epsilon \right), \\
              \tau_k^2 &= \frac{v_k^2}{n} (n + (\gamma_k^2 - 2 \gamma_k) r)
              + \frac{\gamma_k^2 \sigma^2}{n} \operatorname{tr}(W^T W), \\
              x_{k+1} &= \eta_{\mathrm{MMSE}}(x_k + \gamma_k W^T (b - A x_k); \tau_k^2)

    with ``W^T = A^+``, the pseudo-inverse, ``r`` the rank of ``A`` (m in the paper,
    whose ``A`` has full rank and is not tall), and ``eta_MMSE`` the mean of a
    Bernoulli-Gaussian entry, standard normal with probability ``density``, seen in
    noise of variance ``tau^2``. Ito, Takabe and Wadayama 2019, IEEE Trans. Signal
    Process. 67(12). Parent: orthogonal AMP (Ma and Ping 2017) in its pseudo-inverse
    form, without its corrections; ``gamma = 1`` before training. It is told what the
    others must learn, the density of the codes and the level of the noise; the variance
    ``sigma^2`` of the noise is per sample, ``||b||^2 / (m (1 + 10^(snr_db / 10)))``.

    Args:
        A: Dictionary, of any rank. Shape ``(m, n)``.
        depth: Layers.
        density: Probability that an entry of a code is not zero, in (0, 1).
        snr_db: Signal-to-noise ratio in dB; None is noiseless.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor or ``depth`` not an int.
        ValueError: If ``A`` is not a finite, non-zero matrix, ``depth`` is not
            positive, ``density`` is outside (0, 1) or ``snr_db`` is not finite.

    Example:
        >>> net = TISTA(torch.eye(2), depth=1, density=0.5, snr_db=20.0)
        >>> net(torch.tensor([[3.0, 0.0]])).round(decimals=2)  # 3 is signal, 0 is not
        tensor([[2.8..., 0.0000]], grad_fn=<RoundBackward1>)
    """

    settings: ClassVar[tuple[str, ...]] = ("rank", "log_odds", "noise")
    W: Tensor

    def __init__(
        self,
        A: Tensor,
        depth: int = 16,
        *,
        density: float = 0.1,
        snr_db: float | None = 40.0,
    ) -> None:
        check_dictionary(A)
        if not 0 < density < 1:
            raise ValueError(f"density is {density}: expected 0 < density < 1")
        if snr_db is not None and not math.isfinite(snr_db):
            raise ValueError(f"snr_db is {snr_db}: expected dB, or None")
        super().__init__(A, depth, lambda: _Layer(A))
        self.register_buffer("W", torch.linalg.pinv(A.detach()).T.contiguous())
        self.rank = int(torch.linalg.matrix_rank(A.detach()))
        self.log_odds = math.log(density / (1 - density))
        self.noise = 0.0 if snr_db is None else 1 / (1 + 10 ** (snr_db / 10))

    def given(self, b: Tensor, k: int) -> tuple:
        """Return measurements, matrices, noise variance, and rank and log-odds."""
        noise = self.noise * b.square().mean(dim=1, keepdim=True)
        return b, self.A, self.W, noise, (self.rank, self.log_odds)


def _posterior_mean(y: Tensor, tau2: Tensor, log_odds: float) -> Tensor:
    """Return E[x | y], y = x + noise of variance tau2, x Bernoulli-Gaussian.

    The odds of x != 0 after y, in logarithms, so that nothing overflows.
    """
    gain = 1 / (1 + tau2)
    evidence = 0.5 * (y.square() * gain / tau2 + torch.log(tau2 * gain))
    return torch.sigmoid(log_odds + evidence) * gain * y
