"""Images behind an operator: inpainting, deblurring, tomography, compressed sensing."""

import math

import torch
from torch import Tensor

from unroll._checks import check_count
from unroll.operators import Blur, FourierSample, Mask, Operator, Ray
from unroll.problems.images import Images

__all__ = [
    "CompressedSensing",
    "Deblurring",
    "Imaging",
    "Inpainting",
    "Tomography",
]


class Imaging:
    r"""Noisy measurements of images, ``b = A x + noise``.

    The noise is Gaussian, its standard deviation set per sample as in
    :class:`~unroll.SparseCoding`,

    .. math:: \sigma = \operatorname{std}(A x) \, 10^{-\mathrm{snr\_db} / 20}

    with the convention of Chen, Liu, Wang and Yin 2018; of complex measurements the
    variance is that of real and imaginary part together. Every sample is a new draw:
    there is no end of them.

    Args:
        A: The operator.
        images: Where images come from, of the size that ``A`` takes.
        snr_db: Signal-to-noise ratio in dB; None is noiseless.

    Raises:
        TypeError: If ``A`` is no operator.
        ValueError: If ``snr_db`` is not finite.

    Example:
        >>> from unroll.operators import Blur
        >>> from unroll.problems import Ellipses
        >>> problem = Imaging(Blur.gaussian(1.0, (16, 16)), Ellipses((16, 16)))
        >>> b, x = problem.sample(3, torch.Generator().manual_seed(0))
        >>> b.shape, x.shape
        (torch.Size([3, 1, 16, 16]), torch.Size([3, 1, 16, 16]))
    """

    def __init__(
        self, A: Operator, images: Images, *, snr_db: float | None = 40.0
    ) -> None:
        if not isinstance(A, Operator):
            raise TypeError(f"A is of type {type(A).__name__}: expected an Operator")
        if snr_db is not None and not math.isfinite(snr_db):
            raise ValueError(f"snr_db is {snr_db}: expected dB, or None")
        self.A, self.images, self.snr_db = A, images, snr_db

    @torch.no_grad()
    def sample(
        self, batch: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw images and measure them.

        Args:
            batch: Samples.
            generator: Source of randomness, on the device of ``A``; None is torch's
                global one. The same seed gives the same batch.

        Returns:
            Measurements ``b``, shape ``(..., m)``, and images ``x``, shape
            ``(batch, 1, height, width)``.
        """
        check_count("batch", batch, least=1)
        x = self.images.sample(batch, generator)
        b = self.A(x)
        if self.snr_db is not None:
            noise = torch.empty_like(b).normal_(generator=generator)
            flat = b.flatten(1)
            sigma = flat.std(dim=1) if flat.shape[1] > 1 else flat[:, 0].abs()
            sigma = sigma.reshape(-1, *[1] * (b.ndim - 1))
            b = b + 10 ** (-self.snr_db / 20) * sigma * noise
        return b, x


class Inpainting(Imaging):
    """Some of the pixels are seen, the same ones in every image.

    :class:`~unroll.operators.Mask`. Bertalmio, Sapiro, Caselles and Ballester 2000,
    SIGGRAPH, gave it the name.

    Args:
        images: Where images come from.
        fraction: Of the pixels that are seen.
        snr_db: As in :class:`Imaging`.
        generator: Draws which; None is torch's global one.

    Raises:
        ValueError: If ``fraction`` is outside (0, 1] or ``snr_db`` is not finite.

    Example:
        >>> from unroll.problems import Digits
        >>> Inpainting(Digits(), fraction=0.5).sample(3)[0].shape
        torch.Size([3, 1, 32])
    """

    def __init__(
        self,
        images: Images,
        *,
        fraction: float = 0.5,
        snr_db: float | None = 40.0,
        generator: torch.Generator | None = None,
    ) -> None:
        A = Mask.random(images.size, fraction, generator)
        super().__init__(A, images, snr_db=snr_db)


class Deblurring(Imaging):
    """Images are blurred by a Gaussian kernel, and repeat at their borders.

    :class:`~unroll.operators.Blur`. Hansen, Nagy and O'Leary 2006, Deblurring Images.

    Args:
        images: Where images come from.
        std: Of the kernel, in pixels.
        snr_db: As in :class:`Imaging`.

    Raises:
        ValueError: If ``std`` is not positive or ``snr_db`` is not finite.

    Example:
        >>> from unroll.problems import Photographs
        >>> Deblurring(Photographs((16, 16)), std=1.0).sample(3)[0].shape
        torch.Size([3, 1, 16, 16])
    """

    def __init__(
        self, images: Images, *, std: float = 1.0, snr_db: float | None = 40.0
    ) -> None:
        fits = (min(images.size) - 1) // 2
        A = Blur.gaussian(std, images.size, radius=min(4, fits))
        super().__init__(A, images, snr_db=snr_db)


class Tomography(Imaging):
    """Integrals along parallel rays, at a few angles.

    :class:`~unroll.operators.Ray`. Siddon 1985; few angles and phantoms of ellipses as
    Adler and Oektem 2018, IEEE Trans. Med. Imaging 37(6).

    Args:
        images: Where images come from.
        angles: How many, evenly over half a turn.
        snr_db: As in :class:`Imaging`.

    Raises:
        TypeError: If ``angles`` is not an int.
        ValueError: If ``angles`` is not positive or ``snr_db`` is not finite.

    Example:
        >>> from unroll.problems import Ellipses
        >>> Tomography(Ellipses((32, 32)), angles=16).sample(3)[0].shape
        torch.Size([3, 1, 16, 46])
    """

    def __init__(
        self, images: Images, *, angles: int = 16, snr_db: float | None = 40.0
    ) -> None:
        super().__init__(Ray(images.size, angles), images, snr_db=snr_db)


class CompressedSensing(Imaging):
    """Some of the Fourier coefficients, low frequencies more likely; complex.

    :class:`~unroll.operators.FourierSample`. Lustig, Donoho and Pauly 2007, Magn.
    Reson. Med. 58(6). The images are real; what solvers recover is complex.

    Args:
        images: Where images come from.
        fraction: Of the coefficients that are measured.
        snr_db: As in :class:`Imaging`.
        generator: Draws which; None is torch's global one.

    Raises:
        ValueError: If ``fraction`` is outside (0, 1] or ``snr_db`` is not finite.

    Example:
        >>> from unroll.problems import Ellipses
        >>> b, x = CompressedSensing(Ellipses((16, 16)), fraction=0.25).sample(3)
        >>> b.shape, b.is_complex()
        (torch.Size([3, 1, 64]), True)
    """

    def __init__(
        self,
        images: Images,
        *,
        fraction: float = 0.25,
        snr_db: float | None = 40.0,
        generator: torch.Generator | None = None,
    ) -> None:
        A = FourierSample.random(images.size, fraction, generator)
        super().__init__(A, images, snr_db=snr_db)
