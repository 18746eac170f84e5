"""Sums of parts, none of them negative."""

import torch
from torch import Tensor

from unroll._checks import check_constant, check_count, check_dictionary

__all__ = ["Mixtures"]


class Mixtures:
    r"""Samples that are sums of known parts, ``b = A x`` with ``x >= 0``, and noise.

    An entry of a code is, independently, exponential of mean 1 with probability
    ``density`` and 0 otherwise. The noise is the absolute value of a normal number, so
    that samples are not negative, either, ``noise`` times the mean of ``A x``. The
    model of Lee and Seung 1999, Nature 401, with codes of known distribution.

    Args:
        A: Parts, not negative, one a column. Shape ``(m, n)``.
        density: Probability that an entry of a code is not 0, in (0, 1].
        noise: Standard deviation before the absolute value, in means, at least 0.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor.
        ValueError: If ``A`` is not a finite, non-zero matrix or has a negative entry,
            ``density`` is outside (0, 1] or ``noise`` is negative.

    Example:
        >>> problem = Mixtures(torch.eye(4), density=0.5)
        >>> b, x = problem.sample(3, torch.Generator().manual_seed(0))
        >>> torch.equal(b, x), bool((x >= 0).all())
        (True, True)
    """

    def __init__(self, A: Tensor, *, density: float = 0.5, noise: float = 0.0) -> None:
        check_dictionary(A)
        check_constant("A", A)
        if (A < 0).any():
            raise ValueError(f"A has an entry of {A.min().item()}: expected >= 0")
        if not 0 < density <= 1:
            raise ValueError(f"density is {density}: expected 0 < density <= 1")
        if not 0 <= noise < float("inf"):
            raise ValueError(f"noise is {noise}: expected a finite number >= 0")
        self.A, self.density, self.noise = A, density, noise

    @classmethod
    def random(
        cls,
        m: int,
        n: int,
        generator: torch.Generator | None = None,
        *,
        density: float = 0.5,
        noise: float = 0.0,
    ) -> "Mixtures":
        """Draw parts with uniform entries, in torch's default dtype.

        Args:
            m: Entries of a sample.
            n: Parts.
            generator: Source of randomness; None is torch's global one.
            density: As in the class.
            noise: As in the class.

        Returns:
            The problem.

        Raises:
            TypeError: If ``m`` or ``n`` is not an int.
            ValueError: If ``m`` or ``n`` is not positive; and as the class.

        Example:
            >>> Mixtures.random(40, 6).A.shape
            torch.Size([40, 6])
        """
        check_count("m", m, least=1)
        check_count("n", n, least=1)
        device = None if generator is None else generator.device
        A = torch.rand(m, n, generator=generator, device=device)
        return cls(A, density=density, noise=noise)

    def sample(
        self, batch: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw a batch of samples and the codes behind them.

        Args:
            batch: Samples.
            generator: Source of randomness, on the device of ``A``; None is torch's
                global one. The same seed gives the same batch.

        Returns:
            Samples ``b``, shape ``(batch, m)``, and codes ``x``, shape ``(batch, n)``.

        Raises:
            TypeError: If ``batch`` is not an int.
            ValueError: If ``batch`` is not positive.

        Example:
            >>> b, x = Mixtures(torch.eye(4)).sample(3)
            >>> b.shape, x.shape
            (torch.Size([3, 4]), torch.Size([3, 4]))
        """
        check_count("batch", batch, least=1)
        x = self.A.new_empty(batch, self.A.shape[1]).exponential_(generator=generator)
        x = x * (torch.empty_like(x).uniform_(generator=generator) < self.density)
        b = x @ self.A.T
        if self.noise:
            off = torch.empty_like(b).normal_(generator=generator).abs()
            b = b + self.noise * b.mean() * off
        return b, x
