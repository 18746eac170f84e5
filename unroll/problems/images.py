"""Where images come from: photographs and digits that are on the disk, and ellipses."""

import math
from typing import Protocol

import torch
from torch import Tensor

from unroll._checks import check_count
from unroll.problems.patches import grey_photograph

__all__ = ["Digits", "Ellipses", "Images", "Photographs"]


class Images(Protocol):
    """A source of images: one of those here, or your own."""

    size: tuple[int, int]
    """Height and width."""

    def sample(self, batch: int, generator: torch.Generator | None = None) -> Tensor:
        """Return images ``(batch, 1, height, width)``, 0 black and 1 white."""


class Photographs:
    """Windows at random places of the two photographs that scikit-learn ships.

    A temple and a dahlia, as :func:`~unroll.image_patches` has them: as many windows as
    are wanted, but of two photographs. To validate on another one than is trained on,
    make two sources. Patches of few photographs to learn from: Elad and Aharon 2006.

    Args:
        size: Height and width.
        names: Of ``"china"`` and ``"flower"``, those to cut from.

    Raises:
        ValueError: If ``size`` is not two positive ints, exceeds a photograph, or a
            name is unknown.

    Example:
        >>> source = Photographs((8, 9), names=("flower",))
        >>> source.sample(5, torch.Generator().manual_seed(0)).shape
        torch.Size([5, 1, 8, 9])
    """

    def __init__(
        self, size: tuple[int, int], *, names: tuple[str, ...] = ("china", "flower")
    ) -> None:
        self.size = _checked_size(size)
        self._pixels = [grey_photograph(name) for name in names]
        if not names:
            raise ValueError("names is empty: expected a photograph")
        height, width = self._pixels[0].shape
        if size[0] > height or size[1] > width:
            raise ValueError(f"size is {size}: expected at most {(height, width)}")

    def sample(self, batch: int, generator: torch.Generator | None = None) -> Tensor:
        """Cut windows.

        Args:
            batch: Images.
            generator: Source of randomness; None is torch's global one.

        Returns:
            Images, on the device of the generator. Shape ``(batch, 1, height, width)``.
        """
        check_count("batch", batch, least=1)
        (height, width), device = self.size, _device(generator)
        stack = torch.stack(self._pixels).to(device)
        windows = stack.unfold(1, height, 1).unfold(2, width, 1)  # a view, no copy
        which, top, left = (
            torch.randint(n, (batch,), generator=generator, device=device)
            for n in windows.shape[:3]
        )
        return windows[which, top, left][:, None]


class Digits:
    """The 1797 handwritten digits of 8 x 8 pixels that scikit-learn ships.

    Drawn with replacement, so that they never end. Alpaydin and Kaynak 1998, UCI
    Machine Learning Repository.

    Example:
        >>> Digits().sample(5, torch.Generator().manual_seed(0)).shape
        torch.Size([5, 1, 8, 8])
    """

    def __init__(self) -> None:
        from sklearn.datasets import load_digits  # type: ignore[import-untyped]

        self._pixels = (
            torch.tensor(load_digits().images).to(torch.get_default_dtype())[:, None]
            / 16
        )
        self.size = (8, 8)

    def sample(self, batch: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw digits.

        Args:
            batch: Images.
            generator: Source of randomness; None is torch's global one.

        Returns:
            Images, on the device of the generator. Shape ``(batch, 1, 8, 8)``.
        """
        check_count("batch", batch, least=1)
        device, known = _device(generator), len(self._pixels)
        rows = torch.randint(known, (batch,), generator=generator, device=device)
        return self._pixels.to(device)[rows]


class Ellipses:
    r"""Phantoms: flat ellipses of random place, size, angle and brightness, summed.

    .. math:: x = \min\Bigl(1, \max\Bigl(0, \sum_i g_i
              [\|D_i R_i (p - c_i)\| \le 1]\Bigr)\Bigr)

    On the square of side 2, centres are uniform in its inner six tenths each way, half
    axes in 0.1 to 0.5, angles in half a turn, and ``g`` in -0.4 to 1. Every image is a
    new one. Phantoms of ellipses: Shepp and Logan 1974, IEEE Trans. Nucl. Sci. 21(3);
    random ones to train with: Adler and Oektem 2018, IEEE Trans. Med. Imaging 37(6),
    whose numbers are others.

    Args:
        size: Height and width.
        count: Ellipses in an image.

    Raises:
        TypeError: If ``count`` is not an int.
        ValueError: If ``size`` is not two positive ints or ``count`` not positive.

    Example:
        >>> Ellipses((16, 16)).sample(5, torch.Generator().manual_seed(0)).shape
        torch.Size([5, 1, 16, 16])
    """

    def __init__(self, size: tuple[int, int], *, count: int = 6) -> None:
        check_count("count", count, least=1)
        self.size, self.count = _checked_size(size), count

    def sample(self, batch: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw phantoms.

        Args:
            batch: Images.
            generator: Source of randomness; None is torch's global one.

        Returns:
            Images, on the device of the generator. Shape ``(batch, 1, height, width)``.
        """
        check_count("batch", batch, least=1)
        (height, width), device = self.size, _device(generator)
        drawn = torch.rand(
            (6, batch, self.count, 1, 1), generator=generator, device=device
        )
        across, up = 1.2 * drawn[:2] - 0.6
        first, second = 0.1 + 0.4 * drawn[2:4]
        angle, brightness = math.pi * drawn[4], 1.4 * drawn[5] - 0.4
        v = ((torch.arange(height, device=device) + 0.5) * 2 / height - 1)[:, None] - up
        u = (torch.arange(width, device=device) + 0.5) * 2 / width - 1 - across
        along = (u * angle.cos() + v * angle.sin()) / first
        beside = (v * angle.cos() - u * angle.sin()) / second
        inside = along**2 + beside**2 <= 1
        return (brightness * inside).sum(dim=1, keepdim=True).clamp(0, 1)


def _device(generator: torch.Generator | None) -> torch.device:
    return torch.device("cpu") if generator is None else generator.device


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return height and width, or refuse them."""
    height, width = size
    check_count("height", height, least=1)
    check_count("width", width, least=1)
    return height, width
