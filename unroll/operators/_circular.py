"""Circular convolution of images, by the Fourier transform."""

import torch
from torch import Tensor
from torch.nn import functional

from unroll.operators._given import check_constant_numbers, checked_size


def transfer(kernel: Tensor, size: tuple[int, int], full: bool) -> Tensor:
    """Return the Fourier transform of kernels ``(..., k, l)`` on an image's grid.

    The centre of a kernel is its entry ``[k // 2, l // 2]``. Of a real kernel half of
    the frequencies say all: ``full`` asks for the others, too.
    """
    (height, width), (rows, columns) = size, kernel.shape[-2:]
    padded = functional.pad(kernel, (0, width - columns, 0, height - rows))
    padded = padded.roll((-(rows // 2), -(columns // 2)), dims=(-2, -1))
    return torch.fft.fft2(padded) if full else torch.fft.rfft2(padded)


def spectrum(image: Tensor) -> Tensor:
    """Return the Fourier transform of images, half of it where they are real."""
    return torch.fft.fft2(image) if image.is_complex() else torch.fft.rfft2(image)


def image_of(spectrum: Tensor, size: tuple[int, int], full: bool) -> Tensor:
    """Return the images with such a spectrum."""
    if full:
        return torch.fft.ifft2(spectrum)
    return torch.fft.irfft2(spectrum, s=size)


def check_kernels(name: str, kernel: Tensor, size: tuple[int, int], axes: int) -> None:
    """Refuse kernels that are not real, not finite, or larger than the images."""
    height, width = checked_size(size)
    check_constant_numbers(name, kernel)
    if kernel.is_complex():
        raise TypeError(f"{name} has dtype {kernel.dtype}: expected a real one")
    if kernel.ndim != axes or kernel.numel() == 0:
        wanted = "(k, l)" if axes == 2 else "(atoms, k, l)"
        raise ValueError(f"{name} has shape {tuple(kernel.shape)}: expected {wanted}")
    if kernel.shape[-2] > height or kernel.shape[-1] > width:
        raise ValueError(
            f"{name} has shape {tuple(kernel.shape)} but size is {size}: expected it "
            "to be no larger than the images"
        )
