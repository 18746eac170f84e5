"""What is predicted without data is what is measured on it."""

import math

import pytest
import torch

from unroll import (
    BernoulliGaussian,
    SparseCoding,
    amp,
    bayes_amp,
    nmse_db,
    state_evolution,
    vamp,
)

PRIOR, NOISE = BernoulliGaussian(0.1, 1.0), 1e-3


def codes(A, batch, generator):
    """As many non-zeros, and as much energy, in every code as a code has in the mean.

    What the theory averages over is then the same in every sample, and 100 of them are
    enough; 500 entries leave the steep middle of the curve 1 dB, its end 0.3 dB.
    """
    n = A.shape[1]
    x = torch.randn(batch, n, generator=generator)
    order = torch.rand(batch, n, generator=generator).argsort(dim=1)
    x = torch.where(order < n // 10, x, 0.0)
    x = x * (n / 10 / x.square().sum(dim=1, keepdim=True)).sqrt()
    noise = torch.randn(batch, A.shape[0], generator=generator)
    return x @ A.T + NOISE**0.5 * noise, x


def curve(solve, A, batch, generator):
    b, x = codes(A, batch, generator)
    told = {} if solve is bayes_amp else {"noise_variance": NOISE}
    result = solve(A, b, PRIOR, iterations=12, keep_iterates=True, **told)
    return nmse_db(result.iterates, x)


@pytest.mark.parametrize("solve", [bayes_amp, vamp])
def test_it_predicts_every_iteration_with_independent_entries(solve):
    generator = torch.Generator().manual_seed(0)
    A = SparseCoding.gaussian(400, 800, generator).A
    predicted = state_evolution(solve, A, PRIOR, NOISE, iterations=12)
    measured = curve(solve, A, 100, generator)
    assert (measured - predicted).abs().max() < 0.5
    assert abs(measured[-1] - predicted[-1]) < 0.3
    assert predicted[-1] < -27


@pytest.mark.parametrize("number", [3.0, 30.0])
def test_it_predicts_vamp_from_the_singular_values(number):
    generator = torch.Generator().manual_seed(1)
    A = torch.randn(400, 800, generator=generator)
    U, _, V = torch.linalg.svd(A, full_matrices=False)
    S = torch.logspace(0, -math.log10(number), 400)
    A = (U * S) @ V * (800 / S.square().sum()).sqrt()
    predicted = state_evolution(vamp, A, PRIOR, NOISE, iterations=12)
    measured = curve(vamp, A, 100, generator)
    assert (measured - predicted).abs().max() < 0.5


def test_the_two_end_at_the_same_error_and_vamp_sooner():
    """For independent entries both fixed points are the replica's."""
    generator = torch.Generator().manual_seed(0)
    A = torch.randn(600, 1200, generator=generator) / 600**0.5
    ends = [
        state_evolution(s, A, PRIOR, NOISE, iterations=30) for s in (bayes_amp, vamp)
    ]
    assert abs(ends[0][-1] - ends[1][-1]) < 0.02
    assert ends[1][4] < ends[0][4] - 3


@pytest.mark.parametrize("solve", [bayes_amp, vamp])
def test_normal_codes_have_a_closed_form(solve):
    """Fixed points of AMP: E = s tau / (s + tau); VAMP: the ridge's trace, at once."""
    generator = torch.Generator().manual_seed(0)
    A = torch.randn(30, 50, generator=generator) / 30**0.5
    found = state_evolution(solve, A, BernoulliGaussian(1.0, 2.0), 0.1, iterations=200)
    assert found[0] == 0 and found.shape == (201,)
    if solve is vamp:
        inverse = torch.linalg.inv(A.T @ A / 0.1 + torch.eye(50) / 2.0)
        ridge = 10 * torch.log10(torch.trace(inverse) / 50 / 2.0)
        torch.testing.assert_close(found[1:], ridge.expand(200), rtol=0, atol=1e-9)
    else:
        E = 2 * 10 ** (found[-1] / 10)
        tau = 0.1 + A.square().sum() / 30 * E
        torch.testing.assert_close(E, 2 * tau / (2 + tau), rtol=1e-9, atol=0)


def test_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="solver is <function amp.*expected bayes_amp"):
        state_evolution(amp, torch.eye(3), PRIOR, NOISE)
    with pytest.raises(ValueError, match=r"noise_variance is 0\.0: expected a posit"):
        state_evolution(vamp, torch.eye(3), PRIOR, 0.0)
    with pytest.raises(ValueError, match=r"density has shape \(2, 1\): expected one"):
        many = BernoulliGaussian(torch.tensor([[0.1], [0.2]]))
        state_evolution(vamp, torch.eye(3), many, NOISE)
    with pytest.raises(ValueError, match="iterations is 0"):
        state_evolution(vamp, torch.eye(3), PRIOR, NOISE, iterations=0)
