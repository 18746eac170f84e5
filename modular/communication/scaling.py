"""How far a batch may grow, and what the rate does then."""

from dataclasses import dataclass

from modular._checks import check_count, check_not_negative, check_positive

__all__ = ["NoiseScale", "linear_rate", "noise_scale", "root_rate"]


@dataclass(frozen=True)
class NoiseScale:
    """What two batch sizes tell of the gradient.

    Args:
        noise: ``tr Sigma``, the variance of one sample's gradient, all entries added.
        signal: ``|G|^2``, the squared length of the true gradient.
    """

    noise: float
    signal: float

    @property
    def batch(self) -> float:
        """``tr Sigma / |G|^2``, in samples; infinite where no signal is seen."""
        return self.noise / self.signal if self.signal > 0 else float("inf")


def noise_scale(
    small_square: float, large_square: float, small: int, large: int
) -> NoiseScale:
    r"""Estimate the batch size above which more samples help little.

    .. math:: E\,|g_B|^2 = |G|^2 + \frac{\operatorname{tr} \Sigma}{B}
              \quad\Rightarrow\quad
              |G|^2 \approx \frac{B |g_B|^2 - b |g_b|^2}{B - b}, \qquad
              \operatorname{tr}\Sigma \approx \frac{|g_b|^2 - |g_B|^2}{1/b - 1/B}

    Both are unbiased, their ratio is not: average ``small_square`` and
    ``large_square`` over many steps first. Data-parallel workers have both for
    nothing: the square of a worker's gradient and that of the average.
    McCandlish et al. 2018, arXiv:1812.06162, appendix A.1.

    Args:
        small_square: ``|g_b|^2``, the mean square of gradients of ``b`` samples.
        large_square: ``|g_B|^2``, the same of ``B`` samples.
        small: ``b``.
        large: ``B``, more than ``b``.

    Returns:
        Noise, signal and their ratio, as :class:`NoiseScale`.

    Raises:
        TypeError: If a batch size is not an int.
        ValueError: If ``small`` is less than 1, ``large`` no more than ``small``, or a
            square is negative or not finite.

    Example:
        >>> noise_scale(small_square=5.0, large_square=2.0, small=1, large=4)
        NoiseScale(noise=4.0, signal=1.0)
    """
    check_count("small", small, least=1)
    check_count("large", large, least=small + 1)
    check_not_negative("small_square", small_square)
    check_not_negative("large_square", large_square)
    signal = (large * large_square - small * small_square) / (large - small)
    noise = (small_square - large_square) / (1 / small - 1 / large)
    return NoiseScale(noise, signal)


def linear_rate(rate: float, batch: int, base: int) -> float:
    """Return the rate for a larger batch: as many times larger as the batch.

    ``k`` steps of rate ``eta`` in one direction are one of rate ``k eta``, while the
    gradient stays what it was. Goyal et al. 2017, arXiv:1706.02677, section 2.1.

    Args:
        rate: That is good for batches of ``base`` samples, positive.
        batch: Samples in the larger batch.
        base: Samples in the one that the rate was found with.

    Returns:
        ``rate * batch / base``.

    Raises:
        TypeError: If a batch size is not an int.
        ValueError: If a number is not positive.

    Example:
        >>> linear_rate(0.1, batch=512, base=256)
        0.2
    """
    return rate * _times(rate, batch, base)


def root_rate(rate: float, batch: int, base: int) -> float:
    """Return the rate for a larger batch: times the root of how much larger it is.

    It keeps the noise of a step, whose variance falls as ``1 / batch``; the rule for
    Adam and LAMB. Krizhevsky 2014, arXiv:1404.5997, section 5.

    Args:
        rate: That is good for batches of ``base`` samples, positive.
        batch: Samples in the larger batch.
        base: Samples in the one that the rate was found with.

    Returns:
        ``rate * sqrt(batch / base)``.

    Raises:
        TypeError: If a batch size is not an int.
        ValueError: If a number is not positive.

    Example:
        >>> root_rate(0.1, batch=1024, base=256)
        0.2
    """
    return rate * _times(rate, batch, base) ** 0.5


def _times(rate: float, batch: int, base: int) -> float:
    check_positive("rate", rate)
    check_count("batch", batch, least=1)
    check_count("base", base, least=1)
    return batch / base
