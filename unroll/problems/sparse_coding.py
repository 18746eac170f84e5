"""Sparse codes behind a dictionary: the field's standard problem."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unroll._checks import check_constant, check_count, check_dictionary

__all__ = ["SparseCoding"]


@dataclass(frozen=True, eq=False)
class SparseCoding:
    r"""Noisy measurements of sparse codes, ``b = A x + noise``.

    The code is Bernoulli-Gaussian: every entry is, independently, standard normal with
    probability ``density`` and 0 otherwise. The noise is Gaussian, and its standard
    deviation is set per sample,

    .. math:: \sigma = \operatorname{std}(A x) \, 10^{-\mathrm{snr\_db} / 20},

    where std takes the ``m`` entries of that sample, subtracts their mean and divides
    by ``m - 1``. This is the convention of the field: Chen, Liu, Wang and Yin 2018
    (LISTA-CPSS); Liu, Chen, Wang and Yin 2019 (ALISTA). Some code divides by
    ``m``: 0.02 dB at m = 250. A sample whose code is all zero is measured as zero.

    Args:
        A: Dictionary. Shape ``(m, n)``.
        density: Probability that an entry of the code is not zero, in (0, 1].
        snr_db: Signal-to-noise ratio in dB; None is noiseless.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor.
        ValueError: If ``A`` is not a finite matrix or asks for gradients, ``density``
            is outside (0, 1] or ``snr_db`` is not finite.

    Example:
        >>> import torch
        >>> problem = SparseCoding(torch.eye(4), density=0.5, snr_db=None)
        >>> b, x = problem.sample(3, torch.Generator().manual_seed(0))
        >>> torch.equal(b, x)
        True
    """

    A: Tensor
    density: float = 0.1
    snr_db: float | None = 40.0

    def __post_init__(self) -> None:
        check_dictionary(self.A)
        check_constant("A", self.A)
        if not 0 < self.density <= 1:
            raise ValueError(f"density is {self.density}: expected 0 < density <= 1")
        if self.snr_db is not None and not math.isfinite(self.snr_db):
            raise ValueError(f"snr_db is {self.snr_db}: expected dB, or None")

    @classmethod
    def gaussian(
        cls,
        m: int,
        n: int,
        generator: torch.Generator | None = None,
        *,
        density: float = 0.1,
        snr_db: float | None = 40.0,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> "SparseCoding":
        """Draw a dictionary of independent normal entries, columns scaled to norm 1.

        The standard benchmark is ``m=250, n=500, density=0.1`` (Chen et al. 2018).

        Args:
            m: Measurements.
            n: Atoms.
            generator: Source of randomness; None is torch's global one.
            density: As in the class.
            snr_db: As in the class.
            dtype: None is torch's default.
            device: None is the generator's.

        Returns:
            The problem.

        Raises:
            TypeError: If ``m`` or ``n`` is not an int.
            ValueError: If ``m`` or ``n`` is not positive; and as the class.

        Example:
            >>> import torch
            >>> SparseCoding.gaussian(250, 500).A.shape
            torch.Size([250, 500])
        """
        check_count("m", m, least=1)
        check_count("n", n, least=1)
        if device is None and generator is not None:
            device = generator.device
        A = torch.randn(m, n, generator=generator, dtype=dtype, device=device)
        return cls(A / torch.linalg.vector_norm(A, dim=0), density, snr_db)

    def sample(
        self, batch: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw a batch of measurements and the codes behind them.

        Args:
            batch: Samples.
            generator: Source of randomness, on the device of ``A``; None is torch's
                global one. The same seed gives the same batch.

        Returns:
            Measurements ``b``, shape ``(batch, m)``, and codes ``x``, shape
            ``(batch, n)``.

        Raises:
            TypeError: If ``batch`` is not an int.
            ValueError: If ``batch`` is not positive.

        Example:
            >>> import torch
            >>> b, x = SparseCoding(torch.eye(4)).sample(3)
            >>> b.shape, x.shape
            (torch.Size([3, 4]), torch.Size([3, 4]))
        """
        check_count("batch", batch, least=1)
        m, n = self.A.shape
        x = self.A.new_empty(batch, n).normal_(generator=generator)
        x *= torch.empty_like(x).uniform_(generator=generator) < self.density
        b = x @ self.A.T
        if self.snr_db is not None:
            noise = torch.empty_like(b).normal_(generator=generator)
            sigma = b.std(dim=1, keepdim=True) if m > 1 else b.abs()
            b = b + 10 ** (-self.snr_db / 20) * sigma * noise
        return b, x
