"""Every operator against its definition, computed another way."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from unroll.operators import Blur, Convolution, FourierSample, Mask, Matrix, Ray

EXACT = {"rtol": 0, "atol": 1e-12}


def test_a_mask_lists_what_it_sees_and_fills_in_zeros(generator):
    seen = torch.rand(4, 5, generator=generator) < 0.5
    x = torch.randn(3, 2, 4, 5, generator=generator)
    A = Mask(seen)
    assert torch.equal(A(x), x[:, :, seen])
    assert torch.equal(A.adjoint(A(x)), x * seen)
    assert torch.equal(A(A.adjoint(A(x))), A(x))  # A A* is the identity


@pytest.mark.parametrize("fraction", [0.01, 0.2, 1.0])
def test_random_masks_have_the_fraction_that_was_asked_for(generator, fraction):
    count = max(1, round(fraction * 120))
    assert Mask.random((10, 12), fraction, generator).index.numel() == count
    sampled = FourierSample.random((10, 12), fraction, generator)
    assert sampled.index.numel() == count
    assert sampled.index[0] == 0  # the mean


def test_low_frequencies_are_measured_more_often(generator):
    hits = torch.zeros(16 * 16)
    for _ in range(200):
        hits[FourierSample.random((16, 16), 0.2, generator).index] += 1
    f = torch.fft.fftfreq(16)
    radius = (f[:, None] ** 2 + f**2).sqrt().flatten()
    near, far = hits[(radius > 0) & (radius < 0.15)].mean(), hits[radius > 0.4].mean()
    assert near > 3 * far > 0


def test_fourier_samples_are_those_of_numpy(generator):
    mask = torch.rand(4, 5, generator=generator) < 0.5
    x = torch.randn(2, 4, 5, generator=generator)
    expected = np.fft.fft2(x.numpy(), norm="ortho")[:, mask.numpy()]
    A = FourierSample(mask)
    torch.testing.assert_close(A(x), torch.from_numpy(expected), **EXACT)
    torch.testing.assert_close(A(A.adjoint(A(x))), A(x), **EXACT)
    full = FourierSample(mask | True)
    torch.testing.assert_close(full.adjoint(full(x)), x + 0j, **EXACT)


@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (4, 1), (6, 7)])
def test_a_blur_is_scipys_convolution(generator, shape):
    kernel = torch.randn(shape, generator=generator)
    x = torch.randn(2, 6, 7, generator=generator)
    origin = tuple(k // 2 - (k - 1) // 2 for k in shape)  # theirs is (k - 1) // 2
    blurred = Blur(kernel, (6, 7))(x)
    for one, image in zip(blurred, x, strict=True):
        theirs = np.zeros((6, 7))
        for p in range(shape[0]):
            for q in range(shape[1]):
                shift = (p - shape[0] // 2, q - shape[1] // 2)
                moved = np.roll(image.numpy(), shift, axis=(0, 1))
                theirs += kernel[p, q].item() * moved
        torch.testing.assert_close(one, torch.from_numpy(theirs), **EXACT)
        if origin == (0, 0):
            wrapped = ndimage.convolve(image.numpy(), kernel.numpy(), mode="wrap")
            torch.testing.assert_close(one, torch.from_numpy(wrapped), **EXACT)


def test_a_gaussian_blur_keeps_the_mean_and_spreads_by_its_std(generator):
    A = Blur.gaussian(1.2, (32, 32), radius=8)
    point = torch.zeros(1, 32, 32)
    point[0, 16, 16] = 1
    spread = A(point)[0]
    assert spread.sum().item() == pytest.approx(1, rel=1e-12)
    places = torch.arange(32.0, dtype=torch.float64) - 16
    variance = (spread.sum(dim=0) * places**2).sum().item()
    assert variance == pytest.approx(1.2**2, rel=1e-3)
    assert A.norm() == pytest.approx(1, rel=1e-12)


def test_a_convolution_is_a_sum_of_blurs(generator):
    atoms = torch.randn(3, 4, 2, generator=generator)
    x = torch.randn(2, 3, 6, 7, generator=generator)
    blurs = [Blur(atom, (6, 7)) for atom in atoms]
    expected = sum(blur(x[:, j : j + 1]) for j, blur in enumerate(blurs))
    A = Convolution(atoms, (6, 7))
    torch.testing.assert_close(A(x), expected, **EXACT)
    b = torch.randn(2, 1, 6, 7, generator=generator)
    expected = torch.cat([blur.adjoint(b) for blur in blurs], dim=1)
    torch.testing.assert_close(A.adjoint(b), expected, **EXACT)


def test_a_matrix_multiplies(generator):
    A, x = torch.randn(3, 4, generator=generator), torch.randn(2, 4)
    assert torch.equal(Matrix(A)(x), x @ A.T)
    b = torch.randn(2, 3, dtype=torch.complex128)
    expected = torch.einsum("mn,bm->bn", (A * (1 + 2j)).conj(), b)
    back = Matrix(A * (1 + 2j)).adjoint(b)
    torch.testing.assert_close(back, expected, **EXACT)


# Rays


def chord(low, high, theta, s):
    """Length of the line inside a box, by clipping it against the four half-planes."""
    point = np.array([s * math.cos(theta), s * math.sin(theta)])
    way = np.array([-math.sin(theta), math.cos(theta)])
    first, last = -np.inf, np.inf
    for axis in range(2):
        if abs(way[axis]) < 1e-14:
            if not low[axis] <= point[axis] <= high[axis]:
                return 0.0
            continue
        ends = (np.array([low[axis], high[axis]]) - point[axis]) / way[axis]
        first, last = max(first, ends.min()), min(last, ends.max())
    return max(0.0, last - first)


@pytest.mark.parametrize("size", [(5, 6), (4, 4)])
def test_lengths_are_those_of_a_line_clipped_by_every_pixel(generator, size):
    height, width = size
    angles = torch.rand(4, generator=generator) * 2 * math.pi
    A = Ray(size, angles, detectors=5)
    pixels = torch.eye(height * width).reshape(-1, *size)
    lengths = A(pixels)  # (pixels, angles, detectors)
    for i in range(height):
        for j in range(width):
            low = (j - width / 2, height / 2 - i - 1)
            high = (low[0] + 1, low[1] + 1)
            for a, theta in enumerate(angles.tolist()):
                for d in range(5):
                    expected = chord(low, high, theta, d - 2)
                    found = lengths[i * width + j, a, d].item()
                    assert found == pytest.approx(expected, abs=1e-12)


def test_rays_along_the_axes_are_sums_of_columns_and_rows(generator):
    x = torch.rand(2, 5, 5, generator=generator)
    A = Ray((5, 5), torch.tensor([0.0, math.pi / 2, math.pi]), detectors=5)
    down, across, back = A(x).unbind(1)
    torch.testing.assert_close(down, x.sum(dim=1), **EXACT)
    torch.testing.assert_close(across, x.sum(dim=2).flip(1), **EXACT)  # v is up
    torch.testing.assert_close(back, down.flip(1), **EXACT)


def test_a_border_counts_once():
    A = Ray((4, 4), torch.tensor([0.0, math.pi / 2]), detectors=1)  # through the centre
    torch.testing.assert_close(A(torch.ones(1, 4, 4)), torch.full((1, 2, 1), 4.0))


def test_integrals_of_a_disc(generator):
    """2 sqrt(R^2 - s^2), up to the disc's rough border; the mass is the same always."""
    n, radius = 65, 20.0
    places = torch.arange(n, dtype=torch.float64) - (n - 1) / 2
    disc = (places[:, None] ** 2 + places**2 <= radius**2).double()[None]
    A = Ray((n, n), angles=7)
    sinogram = A(disc)[0]
    s = torch.arange(A.range[1]) - (A.range[1] - 1) / 2
    expected = 2 * (radius**2 - s**2).clamp(min=0).sqrt()
    assert (sinogram - expected).abs().mean() < 0.02 * radius
    mass = sinogram.sum(dim=1) / disc.sum()
    assert (mass - 1).abs().max() < 0.01


def test_enough_detectors_cover_the_diagonal():
    A = Ray((6, 8), angles=32)
    assert A.range == (32, 10)
    assert (A.adjoint(torch.ones(1, 32, 10)) > 0).all()  # every pixel is seen
