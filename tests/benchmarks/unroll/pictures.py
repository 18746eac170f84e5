"""How images are measured, and what classical methods make of those measured here."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

import unroll as u
from unroll.operators import Matrix, Ray
from unroll.problems.patches import grey_photograph
from unroll.training import LastNMSE


class Zoomed:
    """Windows of one photograph at several zooms, half of them mirrored.

    Zoomed in, a photograph is as smooth as a close one: who has one photograph to train
    on has then seen more kinds of windows. With ``columns``, of a part of it.
    """

    def __init__(
        self,
        size: tuple[int, int],
        name: str,
        zooms: tuple[float, ...],
        columns: slice = slice(None),
    ) -> None:
        self.size = size
        grey = grey_photograph(name)[:, columns]
        self.pixels = [
            interpolate(
                grey[None, None], scale_factor=z, mode="bicubic", antialias=z < 1
            )[0, 0].clamp(0, 1)
            for z in zooms
        ]

    def sample(self, batch: int, generator: torch.Generator | None = None) -> Tensor:
        """Cut windows. Shape ``(batch, 1, height, width)``."""

        def drawn(n: int) -> int:
            return int(torch.randint(n, (), generator=generator))

        windows = []
        for _ in range(batch):
            pixels = self.pixels[drawn(len(self.pixels))]
            (height, width), (rows, columns) = self.size, pixels.shape
            top, left = drawn(rows - height + 1), drawn(columns - width + 1)
            window = pixels[top : top + height, left : left + width]
            windows.append(window.flip(1) if drawn(2) else window)
        return torch.stack(windows)[:, None]


def psnr(x_hat: Tensor, x: Tensor) -> float:
    """Mean over the images of 10 log10(1 / mean squared error), white being 1."""
    error = (real(x_hat) - x).square().flatten(1).mean(dim=1)
    return (-10 * torch.log10(error)).mean().item()


def ssim(x_hat: Tensor, x: Tensor) -> float:
    """Structural similarity, mean over places and images.

    Wang, Bovik, Sheikh and Simoncelli 2004, IEEE Trans. Image Process. 13(4): Gaussian
    windows of 11 x 11 and deviation 1.5, inside the image; constants 0.01 and 0.03.
    """
    places = torch.arange(11.0) - 5
    g = torch.exp(-(places**2) / (2 * 1.5**2))
    window = torch.outer(g, g)[None, None] / g.sum() ** 2

    def mean(image: Tensor) -> Tensor:
        return conv2d(image, window)

    a, b = real(x_hat), x
    ma, mb = mean(a), mean(b)
    va, vb = mean(a * a) - ma**2, mean(b * b) - mb**2
    both = mean(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    likeness = (2 * ma * mb + c1) * (2 * both + c2)
    return (likeness / ((ma**2 + mb**2 + c1) * (va + vb + c2))).mean().item()


def real(x: Tensor) -> Tensor:
    """The real part: all images here are real."""
    return x.real if x.is_complex() else x


class EachPSNR(LastNMSE):
    """Less the PSNR of every image, the mean of them: as it is measured here.

    The ratio of sums leaves smooth images, whose errors are small, to themselves.
    """

    def loss(self, net: Any, iterates: Tensor, b: Tensor, x: Tensor | None) -> Tensor:
        """Return the mean of the decibels of the last iterate."""
        error = (real(iterates[-1]) - x).square().flatten(1).mean(dim=1)
        return 10 * torch.log10(error + 1e-8).mean()


class MeanPSNR(EachPSNR):
    """The same, and the best weights are chosen by it, not by the ratio of sums."""

    def measure(
        self, net: Any, iterates: Tensor, b: Tensor, x: Tensor | None
    ) -> Tensor:
        """Return less the mean PSNR of every iterate. Shape ``(iterates,)``."""
        error = (real(iterates) - x).square().flatten(2).mean(dim=2)
        return 10 * torch.log10(error + 1e-8).mean(dim=1)


def haar(size: int) -> Tensor:
    """The orthonormal Haar transform of one axis, all its levels."""
    W = torch.eye(1)
    while len(W) < size:
        ones, ends = torch.ones(2), torch.tensor([1.0, -1.0])
        W = torch.cat(
            (torch.kron(W, ones[None]), torch.kron(torch.eye(len(W)), ends[None]))
        ) / math.sqrt(2)
    return W


def in_basis(A: Matrix, b: Tensor, W: Tensor, lam: float) -> Tensor:
    """ISTA, 100 iterations, on the coefficients of an orthonormal basis (rows of W)."""
    code = u.ista(A.A @ W.T, b.flatten(1), lam, iterations=100).x
    return (code @ W).reshape(-1, 1, *A.domain)


def filtered_back_projection(A: Ray, b: Tensor, power: float) -> Tensor:
    """Ramp filter times a power of a Hann window, then the adjoint."""
    detectors = b.shape[-1]
    padded = 2 * detectors
    f = torch.fft.rfftfreq(padded)
    ramp = f.abs() * (0.5 + 0.5 * torch.cos(2 * math.pi * f)) ** power
    ramp[0] = 1 / (4 * padded)  # the mean survives the discretisation
    spectrum = torch.fft.rfft(b, n=padded) * 2 * ramp
    rows = torch.fft.irfft(spectrum, n=padded)[..., :detectors]
    return A.adjoint(rows) * math.pi / (2 * b.shape[-2])


def best(
    solve: Callable[[float], Tensor], x: Tensor, start: float, factor: float = 2**0.5
) -> tuple[float, Tensor]:
    """The number from a geometric grid with the highest PSNR, searched both ways.

    On the test images themselves, which favours the classical method.
    """
    found = {start: solve(start)}

    def score(lam: float) -> float:
        return psnr(found[lam], x)

    for step in (factor, 1 / factor):
        lam = max(found, key=score)
        while True:
            ahead = lam * step
            if ahead in found:
                break
            found[ahead] = solve(ahead)
            if score(ahead) < score(lam):
                break
            lam = ahead
    lam = max(found, key=score)
    return lam, found[lam]
