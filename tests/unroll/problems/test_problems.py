import math

import numpy as np
import pytest
import torch
from scipy.fft import idctn
from sklearn.datasets import load_sample_image

from unroll import SparseCoding, dct_dictionary, image_patches


def seeded(seed):
    return torch.Generator().manual_seed(seed)


# Sparse codes


def test_atoms_have_unit_norm(generator):
    A = SparseCoding.gaussian(30, 70, generator).A
    assert A.shape == (30, 70)
    ones = torch.ones(70)
    torch.testing.assert_close(A.norm(dim=0), ones, rtol=0, atol=1e-12)


def test_atoms_point_in_every_direction(generator):
    """Independent directions on the sphere: A A^T is near (n / m) I, diagonal too."""
    A = SparseCoding.gaussian(10, 100_000, generator).A
    torch.testing.assert_close(A @ A.T / 1e4, torch.eye(10), rtol=0, atol=0.02)


def test_codes_are_bernoulli_gaussian(generator):
    problem = SparseCoding(torch.eye(50), density=0.2)
    _, x = problem.sample(20_000, generator)
    on = x != 0
    # One million draws: five standard deviations of each estimate.
    assert abs(on.double().mean().item() - 0.2) < 5 * math.sqrt(0.16 / 1e6)
    values = x[on]
    assert abs(values.mean().item()) < 5 / math.sqrt(2e5)
    assert abs(values.var().item() - 1) < 5 * math.sqrt(2 / 2e5)
    kurtosis = (values**4).mean().item()
    assert abs(kurtosis - 3) < 5 * math.sqrt(96 / 2e5)


def test_without_noise_b_is_the_code_times_the_dictionary(generator):
    problem = SparseCoding.gaussian(8, 16, generator, snr_db=None)
    b, x = problem.sample(5, generator)
    expected = torch.einsum("mn,bn->bm", problem.A, x)
    torch.testing.assert_close(b, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("snr_db", [-3.0, 20.0, 40.0])
def test_noise_follows_the_std_of_each_sample(generator, snr_db):
    """With 5 measurements: dividing by m for m - 1 would be wrong by a quarter."""
    problem = SparseCoding.gaussian(5, 80, generator, snr_db=snr_db)
    b, x = problem.sample(16_000, generator)
    clean = x @ problem.A.T
    scale = clean.numpy().std(axis=1, ddof=1, keepdims=True)
    unit = (b - clean) / torch.from_numpy(scale) * 10 ** (snr_db / 20)
    # 80 000 draws, standard normal if the convention is the stated one.
    assert abs(unit.var().item() - 1) < 5 * math.sqrt(2 / 80_000)
    per_sample = unit.var(dim=1)
    assert abs(per_sample.std().item() / math.sqrt(2 / 4) - 1) < 0.1


def test_same_seed_same_batch_other_seed_other_batch():
    first = SparseCoding.gaussian(6, 9, seeded(1))
    again = SparseCoding.gaussian(6, 9, seeded(1))
    assert torch.equal(first.A, again.A)
    assert not torch.equal(first.A, SparseCoding.gaussian(6, 9, seeded(2)).A)
    for one, other in zip(
        first.sample(4, seeded(3)), again.sample(4, seeded(3)), strict=True
    ):
        assert torch.equal(one, other)
    assert not torch.equal(first.sample(4, seeded(3))[0], first.sample(4, seeded(4))[0])


def test_the_noise_level_does_not_change_the_codes():
    A = SparseCoding.gaussian(6, 9, seeded(1)).A
    codes = [SparseCoding(A, snr_db=s).sample(4, seeded(2))[1] for s in (None, 0.0, 40)]
    assert torch.equal(codes[0], codes[1])
    assert torch.equal(codes[0], codes[2])


def test_a_generator_leaves_the_global_one_alone():
    state = torch.get_rng_state()
    SparseCoding.gaussian(6, 9, seeded(1)).sample(4, seeded(2))
    image_patches(4, seeded(3), count=2)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_follows(generator, dtype):
    problem = SparseCoding.gaussian(6, 9, generator, dtype=dtype)
    b, x = problem.sample(2, generator)
    assert problem.A.dtype == b.dtype == x.dtype == dtype
    assert dct_dictionary(2, 9, dtype=dtype).dtype == dtype


def test_a_single_measurement_is_not_lost_in_nan(generator):
    """One entry has no standard deviation: the noise follows its magnitude."""
    b, _ = SparseCoding(torch.ones(1, 4), density=0.5).sample(50, generator)
    assert b.isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({"density": 0.0}, r"density is 0\.0: expected 0 < density <= 1"),
        ({"density": 1.5}, r"density is 1\.5"),
        ({"density": float("nan")}, "density is nan"),
        ({"snr_db": float("inf")}, "snr_db is inf"),
        ({"A": torch.zeros(3)}, r"A has shape \(3,\)"),
        ({"A": torch.zeros(2, 2)}, "A is zero everywhere"),
        ({"A": torch.tensor([[1.0, float("nan")]])}, r"A\[0, 1\] is nan"),
    ],
)
def test_refuses_bad_problems(arguments, shown):
    with pytest.raises(ValueError, match=shown):
        SparseCoding(**{"A": torch.eye(2)} | arguments)


@pytest.mark.parametrize(
    ("call", "error", "shown"),
    [
        (lambda: SparseCoding([[1.0]]), TypeError, "A is of type list"),
        (lambda: SparseCoding(torch.eye(2).int()), TypeError, "A has dtype torch.int"),
        (lambda: SparseCoding.gaussian(0, 3), ValueError, "m is 0"),
        (lambda: SparseCoding.gaussian(3, -1), ValueError, "n is -1"),
        (lambda: SparseCoding.gaussian(3, 2.5), TypeError, r"n is 2\.5"),
        (lambda: SparseCoding(torch.eye(2)).sample(0), ValueError, "batch is 0"),
        (lambda: SparseCoding(torch.eye(2)).sample(True), TypeError, "batch is True"),
    ],
)
def test_refuses_bad_sizes(call, error, shown):
    with pytest.raises(error, match=shown):
        call()


# Photographs


@pytest.mark.parametrize("photograph", ["china", "flower"])
def test_every_patch_is_a_window_of_the_photograph(generator, photograph):
    grey = load_sample_image(f"{photograph}.jpg").mean(axis=2) / 255
    windows = np.lib.stride_tricks.sliding_window_view(grey, (5, 5))
    for patch in image_patches(5, generator, count=10, photograph=photograph):
        distance = np.abs(windows - patch.reshape(5, 5).numpy()).max(axis=(2, 3))
        assert distance.min() < 1e-12


def test_patches_come_from_all_over_the_photograph():
    """A corner of a uniform draw: 1-pixel patches reproduce the mean of the image."""
    grey = load_sample_image("china.jpg").mean(axis=2) / 255
    pixels = image_patches(1, seeded(0), count=100_000)
    assert abs(pixels.mean().item() - grey.mean()) < 5 * grey.std() / math.sqrt(1e5)
    assert pixels.min() >= 0 and pixels.max() <= 1


def test_patches_are_reproducible():
    first, again = (image_patches(3, seeded(5), count=7) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, image_patches(3, seeded(6), count=7))


def test_the_largest_patch_is_as_high_as_the_photograph(generator):
    assert image_patches(427, generator, count=1).shape == (1, 427 * 427)
    with pytest.raises(ValueError, match="size is 428: expected at most 427"):
        image_patches(428, generator)


@pytest.mark.parametrize(
    ("arguments", "error", "shown"),
    [
        ({"photograph": "lena"}, ValueError, "'lena': expected 'china' or 'flower'"),
        ({"count": 0}, ValueError, "count is 0"),
        ({"size": 0}, ValueError, "size is 0"),
        ({"size": 8.0}, TypeError, r"size is 8\.0"),
    ],
)
def test_refuses_bad_patches(arguments, error, shown):
    with pytest.raises(error, match=shown):
        image_patches(**{"size": 4} | arguments)


# The cosine dictionary


def test_the_complete_dictionary_is_the_orthonormal_dct():
    D = dct_dictionary(8, 64)
    torch.testing.assert_close(D.T @ D, torch.eye(64), rtol=0, atol=1e-12)
    for atom in (0, 1, 8, 37, 63):
        coefficients = np.zeros((8, 8))
        coefficients.flat[atom] = 1
        expected = torch.from_numpy(idctn(coefficients, norm="ortho")).flatten()
        torch.testing.assert_close(D[:, atom], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("size", "atoms"), [(4, 25), (8, 144), (8, 256)])
def test_the_overcomplete_dictionary(size, atoms):
    D = dct_dictionary(size, atoms)
    assert D.shape == (size * size, atoms)
    ones = torch.ones(atoms)
    torch.testing.assert_close(D.norm(dim=0), ones, rtol=0, atol=1e-12)
    torch.testing.assert_close(D[:, 0], D[:1, 0].expand(size * size))  # constant
    assert D[:, 1:].sum(dim=0).abs().max() < 1e-12  # the others have no mean
    assert torch.linalg.matrix_rank(D) == size * size
    overlap = (D.T @ D).abs().fill_diagonal_(0)
    assert overlap.max() < 1 - 1e-3  # no atom twice


@pytest.mark.parametrize(
    ("size", "atoms", "shown"),
    [
        (8, 200, "atoms is 200: expected a perfect square of at least 64"),
        (8, 49, "atoms is 49: expected a perfect square of at least 64"),
        (0, 49, "size is 0"),
        (2, 0, "atoms is 0"),
    ],
)
def test_refuses_bad_dictionaries(size, atoms, shown):
    with pytest.raises(ValueError, match=shown):
        dct_dictionary(size, atoms)


def test_refuses_a_dictionary_that_is_to_be_learned():
    A = torch.eye(4).requires_grad_()
    with pytest.raises(ValueError, match="A requires gradients but is kept as a const"):
        SparseCoding(A)
