import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from unroll import BernoulliGaussian

PRIORS = [(0.1, 1.0), (0.01, 4.0), (0.7, 0.3), (1.0, 2.0)]
each_prior = pytest.mark.parametrize(("rho", "s"), PRIORS)


def normal(x, variance):
    return math.exp(-(x**2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


def moment(power, r, v, rho, s):
    """The integral of x^power p(x) N(r; x, v), with the spike's mass at 0."""
    middle, wide = r * s / (s + v), math.sqrt(s * v / (s + v))
    slab, _ = quad(
        lambda x: x**power * normal(x, s) * normal(r - x, v),
        middle - 12 * wide,
        middle + 12 * wide,
        epsabs=1e-16,
        epsrel=1e-12,
        limit=400,
        points=[middle],
    )
    spike = (1 - rho) * normal(r, v) if power == 0 else 0.0
    return rho * slab + spike


@each_prior
@pytest.mark.parametrize("v", [1.0, 0.04, 1e-4])
def test_mean_and_variance_are_the_integrals_that_define_them(rho, s, v):
    points = [0.0, 0.3, -0.05, 1.7, 2.5 * math.sqrt(v), -4 * math.sqrt(v)]
    mean, variance = BernoulliGaussian(rho, s).posterior(torch.tensor([points]), v)
    for i, r in enumerate(points):
        mass = moment(0, r, v, rho, s)
        expected = moment(1, r, v, rho, s) / mass
        second = moment(2, r, v, rho, s) / mass
        assert abs(mean[0, i].item() - expected) < 1e-10
        assert abs(variance[0, i].item() - (second - expected**2)) < 1e-10


@each_prior
@pytest.mark.parametrize("v", [1.0, 0.04, 1e-3])
def test_the_slope_of_the_mean_is_the_variance_over_that_of_the_noise(rho, s, v):
    r = torch.linspace(-6, 6, 241)[None] * math.sqrt(v)
    prior, h = BernoulliGaussian(rho, s), 1e-3 * math.sqrt(v)
    values = [prior.posterior(r + k * h, v)[0] for k in (-2, -1, 1, 2)]
    slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
    _, variance = prior.posterior(r, v)
    torch.testing.assert_close(slope, variance / v, rtol=0, atol=1e-8)


def test_a_density_of_1_is_linear():
    r = torch.tensor([[-3.0, 0.0, 0.2, 5.0]])
    mean, variance = BernoulliGaussian(1.0, 3.0).posterior(r, 0.5)
    torch.testing.assert_close(mean, r * 3 / 3.5, rtol=1e-14, atol=0)
    torch.testing.assert_close(variance, torch.full_like(r, 1.5 / 3.5))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("v", [1e-12, 1e-30, 1e30])
def test_nothing_overflows_and_no_digit_is_lost(dtype, v):
    """Large entries are kept, zeros stay; far below the noise nothing is seen."""
    r = torch.tensor([[0.0, 1.0, -7.0, 1e6]], dtype=dtype)
    mean, variance = BernoulliGaussian(0.1, 1.0).posterior(r, v)
    assert mean.isfinite().all() and variance.isfinite().all()
    assert mean.dtype == variance.dtype == dtype and (variance >= 0).all()
    if v < 1:
        torch.testing.assert_close(mean, r, rtol=1e-6, atol=0)
        torch.testing.assert_close(variance[0, 1:], torch.full_like(r[0, 1:], v))
    else:
        assert mean.abs().max() < 1e-20
        torch.testing.assert_close(variance, torch.full_like(r, 0.1))


def test_every_sample_may_have_its_own_prior_and_noise():
    r = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    rho, s, v = (
        torch.tensor([[a], [b], [c]])
        for a, b, c in ((0.1, 0.5, 1.0), (1.0, 2.0, 0.3), (0.1, 1e-3, 2.0))
    )
    many = BernoulliGaussian(rho, s)
    for i in range(3):
        one = BernoulliGaussian(rho[i].item(), s[i].item())
        for got, wanted in zip(
            many.posterior(r, v), one.posterior(r[i : i + 1], v[i].item()), strict=True
        ):
            torch.testing.assert_close(got[i], wanted[0], rtol=1e-13, atol=0)


def test_learning_recovers_the_prior_of_a_large_draw(generator):
    """50 000 entries: three standard errors are 3 sqrt(.1 * .9 / n) = 0.004."""
    x, noise = torch.randn(2, 2, 50_000, generator=generator)
    x *= torch.rand(x.shape, generator=generator) < 0.1
    r = math.sqrt(2.0) * x + 0.1 * noise
    prior = BernoulliGaussian(0.3, 0.5)
    for _ in range(200):
        prior = prior.learned(r, 0.01)
    assert prior.density.shape == prior.variance.shape == (2, 1)
    assert (prior.density - 0.1).abs().max() < 0.006
    assert (prior.variance - 2.0).abs().max() < 0.15


def test_no_step_of_learning_lowers_the_likelihood(generator):
    r = torch.randn(4, 60, generator=generator)
    v, prior, last = 0.2, BernoulliGaussian(0.9, 0.1), -math.inf
    for _ in range(20):
        prior = prior.learned(r, v)
        slab = torch.exp(-(r**2) / (2 * (prior.variance + v)))
        slab = slab / (2 * math.pi * (prior.variance + v)).sqrt()
        spike = torch.exp(-(r**2) / (2 * v)) / math.sqrt(2 * math.pi * v)
        law = prior.density * slab + (1 - prior.density) * spike
        likelihood = law.log().sum(dim=1)
        assert (likelihood >= torch.as_tensor(last) - 1e-12).all()
        last = likelihood


def test_learning_survives_zeros():
    prior = BernoulliGaussian(0.1, 1.0)
    for _ in range(30):
        prior = prior.learned(torch.zeros(2, 9), 1e-3)
    mean, variance = prior.posterior(torch.zeros(2, 9), 1e-3)
    assert not mean.any() and variance.isfinite().all()


@each_prior
@pytest.mark.parametrize("v", [0.1, 1e-6])
def test_mmse_is_the_integral_of_the_variance(rho, s, v):
    prior = BernoulliGaussian(rho, s)

    def integrand(r):
        law = rho * normal(r, s + v) + (1 - rho) * normal(r, v)
        return law * prior.posterior(torch.tensor([[r]]), v)[1].item()

    edges = [0.0, *np.geomspace(0.5 * math.sqrt(v), 14 * math.sqrt(s + v), 25)]
    total = sum(
        quad(integrand, a, b, epsabs=0, epsrel=1e-11)[0]
        for a, b in zip(edges, edges[1:], strict=False)
    )
    got = prior.mmse(v)
    assert got.dtype == torch.float64 and got.shape == ()
    assert got.item() == pytest.approx(2 * total, rel=1e-10)
    if rho == 1:
        assert got.item() == pytest.approx(s * v / (s + v), rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "shown"),
    [
        ({"density": 0.0}, ValueError, "density is 0: expected 0 < density <= 1"),
        ({"density": 1.5}, ValueError, r"density is 1\.5: expected 0 < density <= 1"),
        ({"density": "few"}, TypeError, "density is 'few': expected a number"),
        ({"variance": -1.0}, ValueError, "variance is -1: expected a positive number"),
        ({"variance": math.inf}, ValueError, "variance is inf"),
        ({"density": math.nan}, ValueError, "density is nan"),
        (
            {"density": torch.full((3,), 0.1)},
            ValueError,
            r"density has shape \(3,\): e",
        ),
        (
            {"variance": torch.ones(2, 3)},
            ValueError,
            r"variance has shape \(2, 3\): expected",
        ),
        ({"density": torch.tensor([[0.2], [2.0]])}, ValueError, "density is 2"),
    ],
)
def test_refuses_what_is_no_prior(arguments, error, shown):
    with pytest.raises(error, match=shown):
        BernoulliGaussian(**arguments)


def test_refuses_what_was_seen_without_noise():
    with pytest.raises(ValueError, match="noise is 0: expected > 0"):
        BernoulliGaussian().posterior(torch.ones(1, 2), 0.0)
    with pytest.raises(
        ValueError, match=r"noise has shape \(2,\): expected one number"
    ):
        BernoulliGaussian().posterior(torch.ones(2, 2), torch.ones(2))
    with pytest.raises(TypeError, match=r"r has dtype torch\.int64"):
        BernoulliGaussian().posterior(torch.ones(1, 2).long(), 1.0)
    with pytest.raises(ValueError, match=r"density has shape \(2, 1\): expected one"):
        BernoulliGaussian(torch.tensor([[0.1], [0.2]])).mmse(1.0)
    with pytest.raises(ValueError, match=r"noise is 0\.0: expected a positive number"):
        BernoulliGaussian().mmse(0.0)
