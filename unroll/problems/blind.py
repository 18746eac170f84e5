"""Images behind a blur that nobody knows."""

import math

import torch
from torch import Tensor

from unroll._checks import check_count
from unroll.operators._circular import image_of, spectrum, transfer
from unroll.problems.images import Images

__all__ = ["BlindDeblurring"]


class BlindDeblurring:
    r"""Images, each blurred by a kernel of its own, as by a hand that moves.

    .. math:: b = k * x + \text{noise}, \qquad k \ge 0, \quad \textstyle\sum k = 1

    A kernel is the trace of a point that wanders for as long as the picture is taken: a
    path of steps that change their direction smoothly, about its centre of mass, cut at
    the box. Circular convolution; the noise is set as in
    :class:`~unroll.problems.Imaging`. Motion kernels to train with: Chakrabarti 2016,
    ECCV, whose paths are splines.

    Args:
        images: Where images come from.
        kernel: Height and width of the kernel's box.
        snr_db: Signal-to-noise ratio in dB; None is noiseless.

    Raises:
        TypeError: If a side of ``kernel`` is not an int.
        ValueError: If one is not positive or exceeds the images, or ``snr_db`` is not
            finite.

    Example:
        >>> from unroll.problems import Ellipses
        >>> problem = BlindDeblurring(Ellipses((16, 16)), kernel=(5, 5))
        >>> b, x, k = problem.sample(3, torch.Generator().manual_seed(0))
        >>> b.shape, x.shape, k.shape
        (torch.Size([3, 1, 16, 16]), torch.Size([3, 1, 16, 16]), torch.Size([3, 5, 5]))
    """

    def __init__(
        self, images: Images, kernel: tuple[int, int], *, snr_db: float | None = 40.0
    ) -> None:
        for name, length, most in zip(
            ("height", "width"), kernel, images.size, strict=True
        ):
            check_count(f"{name} of kernel", length, least=1)
            if length > most:
                raise ValueError(f"{name} of kernel is {length}: expected <= {most}")
        if snr_db is not None and not math.isfinite(snr_db):
            raise ValueError(f"snr_db is {snr_db}: expected dB, or None")
        self.images, self.kernel, self.snr_db = images, kernel, snr_db

    def sample(
        self, batch: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw images and blur them.

        Args:
            batch: Samples.
            generator: Source of randomness; None is torch's global one. The same seed
                gives the same batch.

        Returns:
            Blurred images, shape ``(batch, 1, height, width)``, sharp ones, shape
            ``(batch, 1, height, width)``, and kernels, shape ``(batch, k, l)``.
        """
        check_count("batch", batch, least=1)
        x = self.images.sample(batch, generator)
        k = self._kernels(batch, generator).to(x)
        K = transfer(k, self.images.size, full=False)[:, None]
        b = image_of(K * spectrum(x), self.images.size, full=False)
        if self.snr_db is not None:
            noise = torch.empty_like(b).normal_(generator=generator)
            sigma = b.std(dim=(1, 2, 3), keepdim=True)
            b = b + 10 ** (-self.snr_db / 20) * sigma * noise
        return b, x, k

    def _kernels(self, batch: int, generator: torch.Generator | None) -> Tensor:
        """Draw traces of a point, 40 places each, and spread each place a little."""
        device = None if generator is None else generator.device
        turns = torch.randn(batch, 40, generator=generator, device=device)
        first = torch.rand(batch, 1, generator=generator, device=device)
        length = torch.rand(batch, 1, 1, generator=generator, device=device)
        angle = 2 * math.pi * first + 0.25 * turns.cumsum(dim=1)
        path = torch.stack([angle.sin(), angle.cos()], dim=-1).cumsum(dim=1)
        path = path - path.mean(dim=1, keepdim=True)
        reach = path.abs().amax(dim=(1, 2), keepdim=True)
        path = path / reach * (0.3 + 0.7 * length) * (min(self.kernel) - 1) / 2
        spread = [
            torch.exp(-2 * (_centred(n, device) - path[:, :, axis, None]).square())
            for axis, n in enumerate(self.kernel)
        ]
        k = torch.einsum("bpi,bpj->bij", *spread)
        return k / k.sum(dim=(1, 2), keepdim=True)


def _centred(n: int, device: torch.device | None) -> Tensor:
    """Return the places of a box, 0 at its centre ``[n // 2]``."""
    return torch.arange(n, device=device) - n // 2
