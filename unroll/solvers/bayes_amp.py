"""Bayes-AMP: approximate message passing with the posterior mean of a prior."""

import torch
from torch import Tensor

from unroll._checks import check_unit_columns
from unroll.priors import BernoulliGaussian
from unroll.solvers._messages import (
    BayesResult,
    checked,
    diverged,
    first_guess,
    floor,
    likeness,
)

__all__ = ["bayes_amp"]


@torch.no_grad()
def bayes_amp(
    A: Tensor,
    b: Tensor,
    prior: BernoulliGaussian | None = None,
    *,
    iterations: int = 30,
    keep_iterates: bool = False,
) -> BayesResult:
    r"""Recover codes whose prior is known, or learned, by approximate message passing.

    .. math:: \tau_k &= \|v_k\|^2 / m, \qquad r_k = x_k + A^T v_k, \qquad
              x_{k+1} = E[x \mid r_k; \tau_k], \\
              v_{k+1} &= b - A x_{k+1} + v_k \frac{1}{m} \sum_i
              \frac{\operatorname{var}[x_i \mid r_k; \tau_k]}{\tau_k}

    AMP with the posterior mean in place of the soft threshold; the last term, Onsager's
    correction, holds the mean derivative of that mean. For a large ``A`` with
    independent entries and columns of unit norm, ``r_k`` is the true code plus Gaussian
    noise of variance ``tau_k``, of which the posterior mean is the best estimate:
    Donoho, Maleki and Montanari 2009, PNAS 106(45), and 2010, IEEE Inf. Theory
    Workshop. For other matrices it may diverge: samples that do are NaN, and a warning
    says so; :func:`~unroll.solvers.vamp` takes those matrices.

    The level of the noise need not be known, ``tau_k`` is measured:
    ``tau = sigma^2 + ||A||_F^2 / m`` times the mean posterior variance, of which the
    result tells ``sigma^2``. Without a prior, a Bernoulli-Gaussian one is learned for
    every sample by expectation-maximisation, a step an iteration: Vila and Schniter
    2013, IEEE Trans. Signal Process. 61(19), from their start.

    Args:
        A: Dictionary with columns of unit norm. Shape ``(m, n)``.
        b: Measurements, one sample per row. Shape ``(batch, m)``.
        prior: What is known of the codes; None learns it.
        iterations: Iterations.
        keep_iterates: Whether to keep every iterate.

    Returns:
        Codes, their variances, prior and noise, as :class:`BayesResult`.

    Raises:
        TypeError: If a tensor is not floating-point, dtypes differ, ``iterations`` is
            not an int or ``prior`` not a :class:`~unroll.priors.BernoulliGaussian`.
        ValueError: If shapes do not fit, the batch is empty, an entry is NaN or
            infinite, devices differ, the columns do not have about norm 1 or
            ``iterations`` is not positive.

    Example:
        >>> from unroll import BernoulliGaussian, SparseCoding, nmse_db
        >>> generator = torch.Generator().manual_seed(0)
        >>> problem = SparseCoding.gaussian(100, 200, generator, density=0.05)
        >>> b, x = problem.sample(32, generator)
        >>> told = bayes_amp(problem.A, b, BernoulliGaussian(0.05, 1.0)).x
        >>> learned = bayes_amp(problem.A, b).x
        >>> bool(nmse_db(told, x) < -40), bool(nmse_db(learned, x) < -40)
        (True, True)
    """
    checked(A, b, prior, iterations)
    check_unit_columns(A)
    m, n = A.shape
    learns = prior is None
    prior = first_guess(A, b)[0] if prior is None else prior
    x, v = b.new_zeros(len(b), n), b
    iterates = [x]
    for _ in range(iterations):
        tau = (v.square().sum(dim=1, keepdim=True) / m).clamp(min=floor(v))
        r = torch.addmm(x, v, A)
        if learns:
            prior = prior.learned(r, tau)
        x, variance = prior.posterior(r, tau)
        slope = (variance / tau).sum(dim=1, keepdim=True) / m
        v = torch.addmm(b, x, A.T, alpha=-1) + slope * v
        if keep_iterates:
            iterates.append(x)
    lost = diverged("Bayes-AMP", b, v, lambda: f"{likeness(A)}, use vamp")[:, None]
    unsure = variance.mean(dim=1) * A.square().sum() / m
    noise = (v.square().sum(dim=1) / m - unsure).clamp(min=0)
    return BayesResult(
        x=x.masked_fill(lost, float("nan")),
        variance=variance.masked_fill(lost, float("nan")),
        prior=prior,
        noise_variance=noise.masked_fill(lost[:, 0], float("nan")),
        iterations=iterations,
        iterates=torch.stack(iterates) if keep_iterates else None,
    )
