import pytest
import torch

import unroll as u
from tests.unroll.networks.cases import problem


@pytest.mark.parametrize(("m", "n"), [(12, 30), (30, 12), (20, 20)])
def test_with_a_matched_prior_it_is_vamp_at_every_depth(m, n):
    generator = torch.Generator().manual_seed(0)
    A = torch.randn(m, n, generator=generator) / m**0.5
    b, _ = u.SparseCoding(A, 0.3, 25.0).sample(9, generator)
    net = u.LVAMP(A, 8, density=0.3, variance=0.7, snr_db=25.0)
    noise = b.square().mean(dim=1) / (1 + 10**2.5)
    prior = u.BernoulliGaussian(0.3, 0.7)
    for depth in range(1, 9):
        x = u.vamp(A, b, prior, noise, iterations=depth).x
        torch.testing.assert_close(net(b, depth=depth), x, rtol=0, atol=1e-12)


def test_training_learns_the_prior_and_the_noise_from_codes_alone():
    """From twice the density, half the variance and 20 dB, at 34 dB."""
    generator = torch.Generator().manual_seed(0)
    coding = u.SparseCoding.gaussian(60, 100, generator, density=0.05, snr_db=34.0)
    net = u.LVAMP(coding.A, 8, density=0.1, variance=0.5, snr_db=20.0)
    b, x = coding.sample(1000, torch.Generator().manual_seed(9))
    noise = b.square().mean(dim=1) / (1 + 10**3.4)
    told = u.vamp(coding.A, b, u.BernoulliGaussian(0.05), noise, iterations=8).x
    before = u.nmse_db(net(b), x)
    recipe = u.Recipe(steps=60, batch=64, lr=0.15, validation=200)
    u.train(net, coding, recipe, generator=generator)
    after = u.nmse_db(net(b), x)
    assert after < before - 3
    assert after < u.nmse_db(told, x) + 0.5


def test_the_noise_follows_the_sample():
    A, b, _ = problem()
    net = u.LVAMP(A, 3, density=0.2, variance=1e6, snr_db=30.0)
    units = u.LVAMP(A, 3, density=0.2, variance=1e8, snr_db=30.0)
    torch.testing.assert_close(units(10 * b), 10 * net(b), rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (dict(density=0.0), r"density is 0\.0: expected 0 < density < 1"),
        (dict(density=1.0), r"density is 1\.0"),
        (dict(variance=-1.0), r"variance is -1\.0: expected a positive number"),
        (dict(snr_db=float("nan")), "snr_db is nan: expected dB"),
    ],
)
def test_refuses_statistics(options, shown):
    with pytest.raises(ValueError, match=shown):
        u.LVAMP(problem()[0], **options)
