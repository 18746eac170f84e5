"""What one may know of codes before they are measured, and what that is worth."""

import math
from dataclasses import dataclass

import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor

from unroll._checks import check_float, traced

__all__ = ["BernoulliGaussian", "one_number", "spike_and_slab"]


@dataclass(frozen=True, eq=False)
class BernoulliGaussian:
    r"""Entries are 0, or normal with probability ``density``, all independent.

    .. math:: p(x) = (1 - \rho) \, \delta(x) + \rho \, N(x; 0, s)

    with ``rho`` the density and ``s`` the variance of what is not zero. The codes of
    :class:`~unroll.problems.SparseCoding` have ``s = 1``. An entry seen in Gaussian
    noise of variance ``v``, as ``r = x + noise``, is not zero with probability ``pi``,

    .. math:: \log \frac{\pi}{1 - \pi} = \log \frac{\rho}{1 - \rho}
              + \frac12 \log \frac{v}{s + v} + \frac{r^2}{2 v} \frac{s}{s + v},

    and is then normal with mean ``mu = r s / (s + v)`` and variance ``s v / (s + v)``.
    Vila and Schniter 2013, IEEE Trans. Signal Process. 61(19), with one component of
    mean 0.

    Args:
        density: Probability that an entry is not zero, in (0, 1], one for all or one
            per sample. Shape ``()`` or ``(batch, 1)``.
        variance: Variance of an entry that is not zero, positive, one for all or one
            per sample. Shape ``()`` or ``(batch, 1)``.

    Raises:
        TypeError: If one of them is no number.
        ValueError: If ``density`` is outside (0, 1], ``variance`` not positive and
            finite, or one of them of another shape.

    Example:
        >>> prior = BernoulliGaussian(density=0.5, variance=1.0)
        >>> mean, _ = prior.posterior(torch.tensor([[0.0, 0.1, 3.0]]), 0.01)
        >>> mean.round(decimals=2)  # shrunk towards 0 if small, left alone if large
        tensor([[0.0000, 0.0100, 2.9700]])
    """

    density: float | Tensor = 0.1
    variance: float | Tensor = 1.0

    def __post_init__(self) -> None:
        for name, most, wanted in (
            ("density", 1.0, "0 < density <= 1"),
            ("variance", torch.finfo(torch.float64).max, "a positive number"),
        ):
            value = getattr(self, name)
            if not isinstance(value, Tensor | float | int):
                raise TypeError(f"{name} is {value!r}: expected a number")
            _refuse_shape(name, value)
            if traced(value):
                continue
            wrong = ~((torch.as_tensor(value) > 0) & (torch.as_tensor(value) <= most))
            if wrong.any():
                first = torch.as_tensor(value)[wrong].flatten()[0].item()
                raise ValueError(f"{name} is {first:.6g}: expected {wanted}")

    def posterior(self, r: Tensor, noise: float | Tensor) -> tuple[Tensor, Tensor]:
        r"""Return mean and variance of every entry after it was seen in noise.

        .. math:: E[x | r] = \pi \mu, \qquad \operatorname{var}[x | r] =
                  \pi \frac{s v}{s + v} + \pi (1 - \pi) \mu^2

        The mean is the estimate of the least mean squared error, and its derivative in
        ``r`` is the variance divided by ``v``.

        Args:
            r: Entries in noise. Shape ``(batch, n)``.
            noise: Variance ``v`` of that noise, positive, one for all or one per
                sample. Shape ``()`` or ``(batch, 1)``.

        Returns:
            Mean, shape ``(batch, n)``, and variance, shape ``(batch, n)``.

        Raises:
            TypeError: If ``r`` is not a floating-point tensor.
            ValueError: If ``noise`` is not positive, or of another shape.
        """
        _, mean, variance, _ = self._seen(r, noise)
        return mean, variance

    def learned(self, r: Tensor, noise: float | Tensor) -> "BernoulliGaussian":
        r"""Return the prior after one step of expectation-maximisation, per sample.

        .. math:: \rho^+ = \frac{1}{n} \sum_i \pi_i, \qquad s^+ =
                  \frac{\sum_i \pi_i (\mu_i^2 + s v / (s + v))}{\sum_i \pi_i}

        No step lowers the likelihood of ``r`` (Vila and Schniter 2013).

        Args:
            r: Entries in noise. Shape ``(batch, n)``.
            noise: As in :meth:`posterior`. Shape ``()`` or ``(batch, 1)``.

        Returns:
            The prior of each sample.

        Raises:
            TypeError: As :meth:`posterior`.
            ValueError: As :meth:`posterior`.
        """
        active, _, _, second = self._seen(r, noise)
        limits = torch.finfo(r.dtype)
        total = active.sum(dim=1, keepdim=True).clamp(min=limits.tiny)
        variance = (active * second).sum(dim=1, keepdim=True) / total
        return BernoulliGaussian(
            (total / r.shape[1]).clamp(limits.tiny, 1 - limits.eps),
            variance.clamp(min=limits.tiny),
        )

    def mmse(self, noise: float | Tensor) -> Tensor:
        r"""Return the least mean squared error of an entry that is seen in noise.

        .. math:: \operatorname{mmse}(v) = \int \operatorname{var}[x | r] \,
                  \left( (1 - \rho) N(r; 0, v) + \rho N(r; 0, s + v) \right) dr

        By Gauss-Legendre quadrature on panels as wide as the noise where the spike is,
        and growing from there: ten digits.

        Args:
            noise: Variance ``v``, one number. Shape ``()``.

        Returns:
            Error of an entry, in float64. Shape ``()``.

        Raises:
            ValueError: If the prior or ``noise`` is not one positive number.

        Example:
            >>> BernoulliGaussian(1.0, 3.0).mmse(1.0)  # s v / (s + v)
            tensor(0.7500, dtype=torch.float64)
        """
        rho = one_number("density", self.density)
        s, v = one_number("variance", self.variance), one_number("noise", noise)
        if not 0 < v < math.inf:
            raise ValueError(f"noise is {v}: expected a positive number")
        r, weight = _panels(v**0.5, (s + v) ** 0.5)
        _, variance = BernoulliGaussian(rho, s).posterior(r[None], v)
        law = rho * _normal(r, s + v) + (1 - rho) * _normal(r, v)
        return 2 * (weight * law * variance[0]).sum()  # both signs

    def _seen(self, r: Tensor, noise: float | Tensor) -> tuple[Tensor, ...]:
        """Return what :func:`spike_and_slab` does, of checked input."""
        check_float("r", r)
        _refuse_shape("noise", noise)
        v = torch.as_tensor(noise, dtype=r.dtype, device=r.device)
        if not traced(v) and not (v > 0).all():
            raise ValueError(f"noise is {v.min().item():.4g}: expected > 0")
        rho, s = (
            torch.as_tensor(value, dtype=r.dtype, device=r.device)
            for value in (self.density, self.variance)
        )
        return spike_and_slab(r, v, torch.logit(rho), s)


def spike_and_slab(
    r: Tensor, v: Tensor, log_odds: Tensor, s: Tensor
) -> tuple[Tensor, ...]:
    """Return ``pi``, posterior mean, posterior variance and ``mu^2 + s v / (s + v)``.

    In logarithms, and without a difference of large numbers: small ``v`` cost nothing.
    """
    gain = s / (s + v)
    mu = gain * r
    evidence = (r / v.sqrt()).square() * gain + torch.log(v / (s + v))
    on = torch.sigmoid(log_odds + 0.5 * evidence)
    off = torch.sigmoid(-log_odds - 0.5 * evidence)
    second = mu.square() + gain * v
    return on, on * mu, on * (gain * v + off * mu.square()), second


def _refuse_shape(name: str, value: float | Tensor) -> None:
    """Refuse what is neither one number nor one per sample, which would be per atom."""
    if isinstance(value, Tensor) and value.ndim > 0 and value.shape[1:] != (1,):
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}: expected one number, or one per "
            "sample, of shape (batch, 1)"
        )


def one_number(name: str, value: float | Tensor) -> float:
    """Return the number that a value is, or refuse many."""
    if torch.as_tensor(value).numel() != 1:
        shape = tuple(torch.as_tensor(value).shape)
        raise ValueError(f"{name} has shape {shape}: expected one number")
    return float(value)


def _panels(narrow: float, wide: float) -> tuple[Tensor, Tensor]:
    """Return nodes and weights on [0, 14 wide]: steps of ``narrow``, then growing."""
    edges = [narrow * k for k in range(15)]
    while edges[-1] < 14 * wide:
        edges.append(min(1.3 * edges[-1], edges[-1] + wide, 14 * wide))
    node, weight = map(torch.from_numpy, leggauss(24))
    edge = torch.tensor(edges, dtype=torch.float64)
    half = (edge[1:] - edge[:-1])[:, None] / 2
    middle = (edge[1:] + edge[:-1])[:, None] / 2
    return (middle + half * node).flatten(), (half * weight).flatten()


def _normal(r: Tensor, variance: float) -> Tensor:
    """Return the density of a normal variable of mean 0."""
    return torch.exp(-0.5 * r.square() / variance) / math.sqrt(2 * math.pi * variance)
