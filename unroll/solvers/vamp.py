"""VAMP: message passing for matrices that AMP cannot take, ill-conditioned ones too."""

import torch
from torch import Tensor

from unroll._checks import check_positive
from unroll.priors import BernoulliGaussian
from unroll.solvers._messages import (
    BayesResult,
    checked,
    checked_noise,
    diverged,
    first_guess,
    floor,
)

__all__ = ["vamp"]

_ADVICE = (
    "Prior and noise should be those of the codes, or None, and A not smaller than "
    "100 or so: else use fista"
)


@torch.no_grad()
def vamp(
    A: Tensor,
    b: Tensor,
    prior: BernoulliGaussian | None = None,
    noise_variance: float | Tensor | None = None,
    *,
    iterations: int = 20,
    damping: float = 1.0,
    keep_iterates: bool = False,
) -> BayesResult:
    r"""Recover codes by vector approximate message passing, any singular values of A.

    Two estimates of the code correct each other. The first knows the measurements and
    takes the code to be normal around ``r_2`` with variance ``v_2`` (the linear minimum
    mean squared error, LMMSE); the second knows the prior and sees the code in Gaussian
    noise, at ``r_1`` with variance ``v_1``:

    .. math:: \hat x_2 &= (A^T A / \sigma^2 + I / v_2)^{-1}
              (A^T b / \sigma^2 + r_2 / v_2), \qquad \alpha_2 = \frac{1}{n v_2}
              \operatorname{tr} (A^T A / \sigma^2 + I / v_2)^{-1}, \\
              r_1 &= \frac{\hat x_2 - \alpha_2 r_2}{1 - \alpha_2}, \qquad
              v_1 = v_2 \frac{\alpha_2}{1 - \alpha_2}, \\
              \hat x_1 &= E[x \mid r_1; v_1], \qquad \alpha_1 = \frac{1}{n v_1}
              \sum_i \operatorname{var}[x_i \mid r_1; v_1], \\
              r_2 &= \frac{\hat x_1 - \alpha_1 r_1}{1 - \alpha_1}, \qquad
              v_2 = v_1 \frac{\alpha_1}{1 - \alpha_1}

    from ``r_2 = 0`` and ``v_2`` the prior's variance; the code is ``x_1``. What one
    stage tells the other is its estimate without what the other had told it (the
    extrinsic message), so that errors stay Gaussian for every large ``A`` whose right
    singular vectors are random: Rangan, Schniter and Fletcher 2019, IEEE Trans. Inf.
    Theory 65(10). ``alpha_1`` is kept from 0 and 1 by ``1 / 2n``,
    as in the code of Borgerding, Schniter and Rangan 2017. One singular value
    decomposition, then two products with an ``m x n`` matrix an iteration.

    What is not told is learned, for every sample, by expectation-maximisation: the
    prior as in :func:`~unroll.solvers.bayes_amp`, the noise by

    .. math:: \sigma^2 \leftarrow \frac{1}{m} \left( \|b - A \hat x_2\|^2 +
              \operatorname{tr} A (A^T A / \sigma^2 + I / v_2)^{-1} A^T \right)

    (EM-VAMP: Fletcher and Schniter 2017, ISIT). A sample that diverges is NaN, and a
    warning says so. On small or ill-conditioned matrices some samples circle around
    their answer: ``damping=0.7`` and more iterations lead them there. It takes ``r_2``
    and ``v_2`` that far from the last ones to the new ones; Rangan, Schniter and
    Fletcher damp ``x_1`` and ``1 / v_2``.

    Args:
        A: Dictionary, of any shape and rank. Shape ``(m, n)``.
        b: Measurements, one sample per row. Shape ``(batch, m)``.
        prior: What is known of the codes; None learns it.
        noise_variance: Variance of the noise of a measurement, 0 for none, one for all
            or per sample; None learns it. Shape ``()``, ``(batch,)`` or ``(batch, 1)``.
        iterations: Iterations.
        damping: How far the messages go, in (0, 1]; 1 is all the way.
        keep_iterates: Whether to keep every iterate.

    Returns:
        Codes, their variances, prior and noise, as :class:`BayesResult`.

    Raises:
        TypeError: If a tensor is not floating-point, dtypes differ, ``iterations`` is
            not an int or ``prior`` not a :class:`~unroll.priors.BernoulliGaussian`.
        ValueError: If shapes do not fit, the batch is empty, an entry is NaN or
            infinite, devices differ, ``iterations`` is not positive,
            ``noise_variance`` negative or ``damping`` outside (0, 1].

    Example:
        >>> A = torch.tensor([[1.0, 0.0, 1.0], [0.0, 2.0, 0.0]])
        >>> b = torch.tensor([[2.0, 4.0]])
        >>> prior = BernoulliGaussian(density=1.0)  # all normal: one ridge regression
        >>> vamp(A, b, prior, 1.0, iterations=1).x
        tensor([[0.6667, 1.6000, 0.6667]])
    """
    checked(A, b, prior, iterations)
    check_positive("damping", damping)
    if damping > 1:
        raise ValueError(f"damping is {damping}: expected at most 1")
    guess, noise = first_guess(A, b)
    learns_prior, learns_noise = prior is None, noise_variance is None
    prior = guess if prior is None else prior
    if noise_variance is not None:
        noise = checked_noise(noise_variance, b)
    linear = _Linear(A, b)
    n = A.shape[1]
    r2 = b.new_zeros(len(b), n)
    v2 = torch.zeros_like(noise) + prior.density * prior.variance
    iterates = [r2]
    for _ in range(iterations):
        residual = linear.residual(r2)
        if learns_noise:
            noise = linear.learned(residual, v2, noise)
        r1, v1 = linear.message(r2, residual, v2, noise)
        if learns_prior:
            prior = prior.learned(r1, v1)
        x, variance = prior.posterior(r1, v1)
        alpha = (variance / v1).mean(dim=1, keepdim=True).clamp(0.5 / n, 1 - 0.5 / n)
        r2 = torch.lerp(r2, (x - alpha * r1) / (1 - alpha), damping)
        v2 = torch.lerp(v2, v1 * alpha / (1 - alpha), damping).clamp(min=floor(b))
        if keep_iterates:
            iterates.append(x)
    last = torch.addmm(b, x, A.T, alpha=-1)
    lost = diverged("VAMP", b, last, lambda: _ADVICE)[:, None]
    return BayesResult(
        x=x.masked_fill(lost, float("nan")),
        variance=variance.masked_fill(lost, float("nan")),
        prior=prior,
        noise_variance=noise[:, 0].masked_fill(lost[:, 0], float("nan")),
        iterations=iterations,
        iterates=torch.stack(iterates) if keep_iterates else None,
    )


class _Linear:
    """The stage that knows the measurements, in the singular basis ``A = U S V^T``."""

    def __init__(self, A: Tensor, b: Tensor) -> None:
        U, S, Vh = torch.linalg.svd(A, full_matrices=False)
        self.m, self.n = A.shape
        self.squares, self.SV = S.square(), S[:, None] * Vh  # (k,), (k, n)
        self.c = b @ U  # (batch, k)
        outside = b - self.c @ U.T  # of what A can reach
        self.outside = outside.square().sum(dim=1, keepdim=True)

    def residual(self, r2: Tensor) -> Tensor:
        """Return ``U^T (b - A r_2)`` as ``(batch, k)``."""
        return torch.addmm(self.c, r2, self.SV.T, alpha=-1)

    def message(
        self, r2: Tensor, residual: Tensor, v2: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return ``r_1`` and ``v_1``; ``1 - alpha_2`` is summed, not subtracted."""
        size = v2 * self.squares + noise  # (batch, k)
        known = (v2 * self.squares / size).sum(dim=1, keepdim=True) / self.n
        rest = (noise / size).sum(dim=1, keepdim=True) + self.n - len(self.squares)
        step = (v2 / size * residual) @ self.SV
        return r2 + step / known, v2 * (rest / self.n) / known

    def learned(self, residual: Tensor, v2: Tensor, noise: Tensor) -> Tensor:
        """Return the noise's variance after a step of expectation-maximisation."""
        share = noise / (v2 * self.squares + noise)
        left = (share * residual).square().sum(dim=1, keepdim=True) + self.outside
        unsure = (share * v2 * self.squares).sum(dim=1, keepdim=True)
        return ((left + unsure) / self.m).clamp(min=floor(noise))
