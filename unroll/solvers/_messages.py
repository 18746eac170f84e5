"""What the message passing solvers share: what they return, guess, and refuse."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unroll._checks import (
    check_batch,
    check_count,
    check_dictionary,
    check_like,
    check_number,
)
from unroll.priors import BernoulliGaussian

__all__ = [
    "BayesResult",
    "checked",
    "checked_noise",
    "diverged",
    "first_guess",
    "floor",
    "likeness",
]


@dataclass(frozen=True)
class BayesResult:
    """What a solver that knows or learns a prior returns: an estimate, and its doubt.

    Args:
        x: Posterior mean of every entry, the code. Shape ``(batch, n)``.
        variance: Posterior variance of every entry: the squared error that the method
            expects there. Shape ``(batch, n)``.
        prior: The prior that was given, or learned: then one of each sample.
        noise_variance: Variance of the noise of a measurement, given or learned.
            Shape ``(batch,)``.
        iterations: Iterations done.
        iterates: The code after every iteration, 0 first; None unless asked for. Shape
            ``(iterations + 1, batch, n)``.
    """

    x: Tensor
    variance: Tensor
    prior: BernoulliGaussian
    noise_variance: Tensor
    iterations: int
    iterates: Tensor | None = None


def checked(
    A: Tensor, b: Tensor, prior: BernoulliGaussian | None, iterations: int
) -> None:
    """Refuse what does not fit."""
    check_count("iterations", iterations, least=1)
    check_dictionary(A)
    check_batch("b", b, A, dim=0)
    if prior is None:
        return
    if not isinstance(prior, BernoulliGaussian):
        raise TypeError(
            f"prior is of type {type(prior).__name__}: expected a BernoulliGaussian, "
            "or None, which learns one"
        )
    for name in ("density", "variance"):
        value = torch.as_tensor(getattr(prior, name))
        if value.ndim > 0 and value.shape != (len(b), 1):
            raise ValueError(
                f"prior.{name} has shape {tuple(value.shape)} but b has {len(b)} rows: "
                f"expected one number, or shape ({len(b)}, 1)"
            )
        if value.ndim > 0:
            check_like(f"prior.{name}", value, "b", b)


def checked_noise(noise_variance: float | Tensor, b: Tensor) -> Tensor:
    """Return the variance of the noise as a column ``(batch, 1)``, or refuse it.

    It is at least what rounding does to ``b``.
    """
    if not isinstance(noise_variance, Tensor) or noise_variance.ndim == 0:
        check_number("noise_variance", noise_variance)
        noise_variance = torch.full_like(b[:, 0], float(noise_variance))
    check_like("noise_variance", noise_variance, "b", b)
    if noise_variance.shape not in ((len(b),), (len(b), 1)):
        raise ValueError(
            f"noise_variance has shape {tuple(noise_variance.shape)} but b has "
            f"{len(b)} rows: expected a number, or one per sample"
        )
    wrong = ~((noise_variance >= 0) & noise_variance.isfinite())
    if wrong.any():
        first = noise_variance[wrong][0].item()
        raise ValueError(f"noise_variance is {first}: expected a finite number >= 0")
    rounding = torch.finfo(b.dtype).eps ** 2 * b.square().mean(dim=1, keepdim=True)
    return noise_variance.reshape(-1, 1).maximum(rounding).clamp(min=floor(b))


def first_guess(A: Tensor, b: Tensor) -> tuple[BernoulliGaussian, Tensor]:
    r"""Return where the learning of prior and noise starts, from ``A`` and ``b`` alone.

    .. math:: \sigma^2 = \frac{\|b\|^2}{101 \, m}, \qquad
              \rho = \frac{m}{n} \max_{c > 0} \frac{1 - 2 (n / m) f(c)}
              {1 + c^2 - 2 f(c)}, \qquad
              s = \frac{\|b\|^2 - m \sigma^2}{\rho \, \|A\|_F^2}

    with ``f(c) = (1 + c^2) Phi(-c) - c phi(c)``: an SNR of 20 dB, and as many non-zeros
    as the Lasso can find at all (Vila and Schniter 2013).
    """
    m, n = A.shape
    ratio = min(m / n, 1.0)
    c = torch.linspace(0.01, 8, 2000, dtype=torch.float64)
    f = (1 + c**2) * torch.special.ndtr(-c) - c * torch.exp(-(c**2) / 2) / math.sqrt(
        2 * math.pi
    )
    most = ((1 - 2 / ratio * f) / (1 + c**2 - 2 * f)).max().item()
    density = min(ratio * most, 0.99)
    power = b.square().sum(dim=1, keepdim=True).clamp(min=floor(b))
    noise = power / (101 * m)
    variance = (power - m * noise) / (density * A.square().sum())
    return BernoulliGaussian(torch.full_like(noise, density), variance), noise


def floor(like: Tensor) -> float:
    """Return the smallest variance that is worked with: a sample of zeros has none."""
    limits = torch.finfo(like.dtype)
    return limits.tiny / limits.eps**2


def diverged(name: str, b: Tensor, r: Tensor, advice: Callable[[], str]) -> Tensor:
    """Return which samples are lost, as ``(batch,)``, and say so if any is.

    Lost is a sample whose last residual ``r`` is more than twice as long as ``b``.
    """
    before, after = (torch.linalg.vector_norm(part, dim=1) for part in (b, r))
    lost = ~(after <= 2 * before)
    if lost.any():
        first = int(lost.nonzero()[0])
        warnings.warn(
            f"{name} diverges on {int(lost.sum())} of {len(b)} samples: in sample "
            f"{first} the residual grew from {before[first].item():.3g} to "
            f"{after[first].item():.3g}. {advice()}",
            stacklevel=4,
        )
    return lost


def likeness(A: Tensor) -> str:
    """Say how far the norm of ``A`` is from that of independent entries."""
    (m, n), largest = A.shape, torch.linalg.matrix_norm(A, 2).item() ** 2
    return (
        f"||A||_2^2 is {largest:.3g}, of independent entries it is about "
        f"{(1 + (n / m) ** 0.5) ** 2:.3g}: if A is unlike those"
    )
