"""LVAMP: vector approximate message passing whose prior and noise are learned."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from unroll._checks import check_dictionary, check_positive
from unroll.networks._state import State
from unroll.networks.base import Unrolled
from unroll.networks.positive import Positive
from unroll.priors import spike_and_slab

__all__ = ["LVAMP"]


class _Layer(nn.Module):
    """One layer: ``log_odds``, ``variance``, ``noise``."""

    def __init__(
        self, like: Tensor, odds: float, variance: float, noise: float
    ) -> None:
        super().__init__()
        self.log_odds = nn.Parameter(like.new_tensor(math.log(odds)))
        self.variance = Positive(like.new_tensor(variance))
        self.noise = Positive(like.new_tensor(noise))

    def power(self) -> Tensor:
        """Return the mean square of an entry."""
        return torch.sigmoid(self.log_odds) * self.variance()

    def forward(self, state: State, SV: Tensor, squares: Tensor) -> State:
        """Return code, message and its variance; what was measured goes with them."""
        _, r2, v2, c, power = state
        tiny, n = torch.finfo(c.dtype).tiny, r2.shape[1]
        noise = (self.noise() * power).clamp(min=tiny)
        size = v2 * squares + noise  # (batch, k)
        known = (v2 * squares / size).sum(dim=1, keepdim=True) / n
        rest = ((noise / size).sum(dim=1, keepdim=True) + n - len(squares)) / n
        step = v2 / size * torch.addmm(c, r2, SV.T, alpha=-1)
        r1, v1 = r2 + step @ SV / known, v2 * rest / known
        s = self.variance()
        _, x, variance, _ = spike_and_slab(r1, v1, self.log_odds, s)
        alpha = (variance / v1).mean(dim=1, keepdim=True).clamp(0.5 / n, 1 - 0.5 / n)
        r2 = (x - alpha * r1) / (1 - alpha)
        v2 = (v1 * alpha / (1 - alpha)).clamp(min=tiny)
        return x, r2, v2, c, power


class LVAMP(Unrolled):
    r"""Learned VAMP: three numbers a layer, prior and noise, around a closed form.

    .. math:: r_1, v_1 &= \mathrm{LMMSE}(r_2, v_2; \sigma_k^2), \qquad
              x_{k+1} = E_{\rho_k, s_k}[x \mid r_1; v_1], \\
              r_2 &= \frac{x_{k+1} - \alpha r_1}{1 - \alpha}, \qquad
              v_2 = v_1 \frac{\alpha}{1 - \alpha}

    with the messages of :func:`~unroll.solvers.vamp`, which it equals at every depth
    before training, and a shrinkage of the shape of the Bernoulli-Gaussian posterior
    mean whose density ``rho_k`` (as ``log_odds``), variance ``s_k`` and noise are
    learned for every layer. The noise is a share of the power of the measurements,
    ``sigma_k^2 = noise_k ||b||^2 / m``, so that it follows the sample. The linear stage
    stays as it is: Borgerding, Schniter and Rangan 2017, IEEE Trans. Signal Process.
    65(16), learn one noise for all layers and a shrinkage for each, and report that
    what is learned is VAMP's matched choice. Any singular values of ``A`` will do.

    Args:
        A: Dictionary, of any shape and rank. Shape ``(m, n)``.
        depth: Layers.
        density: Probability that an entry of a code is not zero, in (0, 1), at the
            start.
        variance: Variance of such an entry at the start.
        snr_db: Signal-to-noise ratio in dB at the start: ``noise`` is
            ``1 / (1 + 10^(snr_db / 10))``.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor or ``depth`` not an int.
        ValueError: If ``A`` is not a finite, non-zero matrix, ``depth`` or ``variance``
            is not positive, ``density`` is outside (0, 1) or ``snr_db`` is not finite.

    Example:
        >>> net = LVAMP(torch.eye(2), depth=1, density=0.5, snr_db=20.0)
        >>> net(torch.tensor([[3.0, 0.0]])).round(decimals=2)  # 3 is signal, 0 is not
        tensor([[2.8..., 0.0000]], grad_fn=<RoundBackward1>)
    """

    SV: Tensor
    squares: Tensor
    U: Tensor

    def __init__(
        self,
        A: Tensor,
        depth: int = 16,
        *,
        density: float = 0.1,
        variance: float = 1.0,
        snr_db: float = 40.0,
    ) -> None:
        check_dictionary(A)
        check_positive("variance", variance)
        if not 0 < density < 1:
            raise ValueError(f"density is {density}: expected 0 < density < 1")
        if not math.isfinite(snr_db):
            raise ValueError(f"snr_db is {snr_db}: expected dB")
        odds, noise = density / (1 - density), 1 / (1 + 10 ** (snr_db / 10))
        super().__init__(A, depth, lambda: _Layer(A, odds, variance, noise))
        U, S, Vh = torch.linalg.svd(self.A, full_matrices=False)
        self.register_buffer("U", U)
        self.register_buffer("SV", S[:, None] * Vh)
        self.register_buffer("squares", S.square())

    def start(self, b: Tensor) -> State:
        """Return code, message, its variance, and the measurements in two forms."""
        power = b.square().mean(dim=1, keepdim=True)
        v2 = torch.ones_like(power) * cast(_Layer, self.layers[0]).power()
        return self._zero(b), self._zero(b), v2, b @ self.U, power

    def given(self, b: Tensor, k: int) -> tuple:
        """Return the dictionary in its singular basis, and its squared values."""
        return self.SV, self.squares
