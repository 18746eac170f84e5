"""Images, and the problems that measure them."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_sample_image

from unroll.operators import Blur, FourierSample, Mask, Ray
from unroll.problems import (
    CompressedSensing,
    Deblurring,
    Digits,
    Ellipses,
    Imaging,
    Inpainting,
    Photographs,
    Tomography,
)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


# Images

SOURCES = {
    "Photographs": lambda: Photographs((6, 8)),
    "Digits": Digits,
    "Ellipses": lambda: Ellipses((12, 10)),
}
every_source = pytest.mark.parametrize("name", SOURCES)


@every_source
def test_images_have_their_size_and_are_between_black_and_white(name):
    source = SOURCES[name]()
    x = source.sample(50, seeded(0))
    assert x.shape == (50, 1, *source.size) and x.dtype == torch.float64
    assert x.min() >= 0 and x.max() <= 1 and x.std() > 0.05


@every_source
def test_the_seed_decides_and_the_global_generator_is_left_alone(name):
    source, state = SOURCES[name](), torch.get_rng_state()
    first, again, other = (source.sample(4, seeded(s)) for s in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(ValueError, match="batch is 0"):
        source.sample(0)


def test_photographs_are_cut_from_both_and_from_one_if_asked():
    windows = {
        name: np.lib.stride_tricks.sliding_window_view(
            load_sample_image(f"{name}.jpg").mean(axis=2) / 255, (6, 8)
        )
        for name in ("china", "flower")
    }
    found = Counter()
    for image in Photographs((6, 8)).sample(4, seeded(0)):
        for name, view in windows.items():
            found[name] += np.abs(view - image[0].numpy()).max(axis=(2, 3)).min() < 1e-9
    assert found["china"] > 0 and found["flower"] > 0
    assert found["china"] + found["flower"] == 4
    (one,) = Photographs((6, 8), names=("flower",)).sample(1, seeded(0))
    nearest = np.abs(windows["flower"] - one[0].numpy()).max(axis=(2, 3)).min()
    assert nearest < 1e-9


def test_digits_are_those_of_the_data_set():
    known = {image.tobytes() for image in load_digits().images}
    drawn = (16 * Digits().sample(30, seeded(0))).numpy()
    assert all(image[0].tobytes() in known for image in drawn)


def test_an_ellipse_is_the_points_inside():
    """Redrawn point by point from the same random numbers."""
    height, width = 9, 11
    found = Ellipses((height, width), count=2).sample(3, seeded(4))
    drawn = torch.rand((6, 3, 2), generator=seeded(4))
    for k in range(3):
        for i in range(height):
            for j in range(width):
                total = 0.0
                for e in range(2):
                    cx, cy, a, b, turn, g = drawn[:, k, e].tolist()
                    u = (j + 0.5) * 2 / width - 1 - (1.2 * cx - 0.6)
                    v = (i + 0.5) * 2 / height - 1 - (1.2 * cy - 0.6)
                    c, s = math.cos(math.pi * turn), math.sin(math.pi * turn)
                    along = (u * c + v * s) / (0.1 + 0.4 * a)
                    beside = (v * c - u * s) / (0.1 + 0.4 * b)
                    if along**2 + beside**2 <= 1:
                        total += 1.4 * g - 0.4
                total = min(1.0, max(0.0, total))
                assert found[k, 0, i, j].item() == pytest.approx(total, abs=1e-12)


# Problems

IMAGES = Ellipses((8, 9))
PROBLEMS = {
    "Inpainting": (Inpainting, Mask, {"fraction": 0.4}),
    "Deblurring": (Deblurring, Blur, {"std": 0.7}),
    "Tomography": (Tomography, Ray, {"angles": 5}),
    "CompressedSensing": (CompressedSensing, FourierSample, {"fraction": 0.3}),
}
every_problem = pytest.mark.parametrize("name", PROBLEMS)


@every_problem
def test_without_noise_b_is_what_the_operator_says(name):
    make, operator, options = PROBLEMS[name]
    problem = make(IMAGES, **options, snr_db=None)
    assert type(problem.A) is operator
    b, x = problem.sample(5, seeded(0))
    assert torch.equal(x, IMAGES.sample(5, seeded(0)))
    assert torch.equal(b, problem.A(x))


@every_problem
def test_noise_has_the_stated_ratio_to_the_std_of_each_sample(name):
    make, _, options = PROBLEMS[name]
    problem = make(IMAGES, **options, snr_db=14.0)
    b, x = problem.sample(600, seeded(0))
    clean = problem.A(x).flatten(1)
    lit = clean.abs().sum(dim=1) > 0
    scale = clean.numpy().std(axis=1, ddof=1, keepdims=True)[lit]
    unit = (b.flatten(1) - clean)[lit] / torch.from_numpy(scale) * 10 ** (14 / 20)
    power = unit.abs().square().mean().item()
    assert abs(power - 1) < 5 * math.sqrt(2 / unit.numel())
    assert abs(unit.mean().item()) < 5 / math.sqrt(unit.numel())


@every_problem
def test_the_same_seeds_give_the_same_problem_and_samples(name):
    make, _, options = PROBLEMS[name]
    chance = {"generator": seeded(3)} if "fraction" in options else {}
    again = {"generator": seeded(3)} if "fraction" in options else {}
    one, two = make(IMAGES, **options, **chance), make(IMAGES, **options, **again)
    for first, second in zip(
        one.sample(4, seeded(1)), two.sample(4, seeded(1)), strict=True
    ):
        assert torch.equal(first, second)
    if chance:
        other = make(IMAGES, **options, generator=seeded(4))
        assert not torch.equal(one.A.index, other.A.index)


def test_images_of_ones_own_will_do():
    class Flat:
        size = (4, 4)

        def sample(self, batch, generator=None):
            return torch.ones(batch, 1, 4, 4)

    b, x = Tomography(Flat(), angles=2, snr_db=None).sample(2)
    assert x.shape == (2, 1, 4, 4) and b.shape == (2, 1, 2, 6)


def test_a_single_measurement_is_not_lost_in_nan():
    one = Imaging(Mask(torch.tensor([[True, False]])), Ellipses((1, 2)))
    assert one.sample(20, seeded(0))[0].isfinite().all()


@pytest.mark.parametrize(
    ("call", "error", "shown"),
    [
        (lambda: Imaging(torch.eye(2), IMAGES), TypeError, "A is of type Tensor: expe"),
        (
            lambda: Deblurring(IMAGES, snr_db=float("nan")),
            ValueError,
            "snr_db is nan: expected dB, or None",
        ),
        (lambda: Inpainting(IMAGES, fraction=0.0), ValueError, r"fraction is 0\.0"),
        (lambda: Deblurring(IMAGES, std=-1.0), ValueError, r"std is -1\.0"),
        (lambda: Tomography(IMAGES, angles=0), ValueError, "angles is 0"),
        (lambda: Tomography(IMAGES).sample(0), ValueError, "batch is 0"),
        (lambda: Ellipses((0, 3)), ValueError, "height is 0"),
        (lambda: Ellipses((3, 3), count=0), ValueError, "count is 0"),
        (lambda: Photographs((428, 3)), ValueError, r"expected at most \(427, 640\)"),
        (lambda: Photographs((3, 3), names=("lena",)), ValueError, "'lena': expected"),
        (lambda: Photographs((3, 3), names=()), ValueError, "names is empty"),
    ],
)
def test_refuses_by_name(call, error, shown):
    with pytest.raises(error, match=shown):
        call()
