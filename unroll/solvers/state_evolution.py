"""State evolution: what message passing reaches after every iteration, without data."""

from collections.abc import Callable

import torch
from torch import Tensor

from unroll._checks import check_count, check_dictionary, check_positive
from unroll.priors import BernoulliGaussian, one_number
from unroll.solvers.bayes_amp import bayes_amp
from unroll.solvers.vamp import vamp

__all__ = ["state_evolution"]


def state_evolution(
    solver: Callable,
    A: Tensor,
    prior: BernoulliGaussian,
    noise_variance: float,
    *,
    iterations: int = 20,
) -> Tensor:
    r"""Predict the error of :func:`bayes_amp` or :func:`vamp` after every iteration.

    In large systems the errors are Gaussian, and one number per iteration, their
    variance, follows from the last one. For AMP, and ``A`` with independent entries,

    .. math:: \tau_k = \sigma^2 + \frac{\|A\|_F^2}{m} E_k, \qquad
              E_{k+1} = \operatorname{mmse}(\tau_k), \qquad E_0 = \rho s,

    (Donoho, Maleki and Montanari 2009); for VAMP, and singular values ``s_i`` of
    ``A`` that may be any,

    .. math:: \alpha_2 = \frac{1}{n} \sum_{i=1}^{n}
              \frac{\sigma^2}{v_2 s_i^2 + \sigma^2}, \quad
              v_1 = v_2 \frac{\alpha_2}{1 - \alpha_2}, \quad
              E = \operatorname{mmse}(v_1), \quad
              v_2 \leftarrow \frac{v_1 E}{v_1 - E}, \quad v_2 = \rho s \text{ first}

    (Rangan, Schniter and Fletcher 2019, with a matched denoiser; the sum takes the
    singular values that are missing as 0). Solvers that know the prior, and VAMP the
    noise, are assumed. The prediction is of the "ratio" NMSE over many samples,
    ``10 log10(E / (rho s))``.

    Args:
        solver: Which of the two functions.
        A: Dictionary. Shape ``(m, n)``.
        prior: Of the codes, the same for all.
        noise_variance: Variance of the noise of a measurement.
        iterations: Iterations.

    Returns:
        Error in dB before the first iteration, which is 0, and after every one. Shape
        ``(iterations + 1,)``.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor or ``iterations`` not an int.
        ValueError: If ``solver`` is another, ``A`` is not a finite, non-zero matrix,
            ``noise_variance`` or ``iterations`` is not positive, or the prior not one
            number.

    Example:
        >>> A = torch.eye(4)  # measured directly: one iteration says all there is
        >>> state_evolution(vamp, A, BernoulliGaussian(1.0), 0.01, iterations=2)
        tensor([  0.0000, -20.0432, -20.0432])
    """
    if solver not in (bayes_amp, vamp):
        raise ValueError(f"solver is {solver!r}: expected bayes_amp or vamp")
    check_dictionary(A)
    check_positive("noise_variance", noise_variance)
    check_count("iterations", iterations, least=1)
    evolve = _amp if solver is bayes_amp else _vamp
    errors = torch.stack(evolve(A.double(), prior, float(noise_variance), iterations))
    return (10 * torch.log10(errors / errors[0])).to(A)


def _amp(
    A: Tensor, prior: BernoulliGaussian, noise: float, iterations: int
) -> list[Tensor]:
    """Return the error of an entry after 0, 1, ... iterations of AMP."""
    errors, power = [_energy(prior)], A.square().sum().item() / A.shape[0]
    for _ in range(iterations):
        errors.append(prior.mmse(noise + power * errors[-1].item()))
    return errors


def _vamp(
    A: Tensor, prior: BernoulliGaussian, noise: float, iterations: int
) -> list[Tensor]:
    """Return the error of an entry after 0, 1, ... iterations of VAMP."""
    n = A.shape[1]
    squares = torch.linalg.svdvals(A).square()
    errors = [_energy(prior)]
    v2 = errors[0]
    for _ in range(iterations):
        size = v2 * squares + noise
        rest = (noise / size).sum() + n - len(squares)  # n alpha_2
        v1 = v2 * rest / (v2 * squares / size).sum()
        errors.append(prior.mmse(v1.item()))
        v2 = v1 * errors[-1] / (v1 - errors[-1])
    return errors


def _energy(prior: BernoulliGaussian) -> Tensor:
    """Return the mean square of an entry, its error before anything is seen."""
    density = one_number("density", prior.density)
    variance = one_number("variance", prior.variance)
    return torch.tensor(density * variance, dtype=torch.float64)
