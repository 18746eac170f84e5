import math

import pytest
import torch

from unroll import BernoulliGaussian, SparseCoding, amp, bayes_amp, nmse_db, vamp

PRIOR = BernoulliGaussian(0.1, 1.0)


@pytest.fixture(scope="module")
def benchmark():
    """250 x 500, density 0.1, 40 dB: where the oracle reaches -46 dB."""
    generator = torch.Generator().manual_seed(1)
    problem = SparseCoding.gaussian(250, 500, generator)
    return problem.A, *problem.sample(200, generator)


@pytest.fixture
def small(generator):
    problem = SparseCoding.gaussian(60, 100, generator, density=0.05, snr_db=30)
    return problem.A, *problem.sample(8, generator)


def normal(x, variance):
    return torch.exp(-x.square() / (2 * variance)) / (2 * math.pi * variance) ** 0.5


def eta(r, tau):
    """The posterior mean from its definition, with density 0.1 and variance 1."""
    slab, spike = 0.1 * normal(r, 1 + tau), 0.9 * normal(r, tau)
    return slab / (slab + spike) * r / (1 + tau)


def test_follows_its_equations(small):
    """Onsager's term is the mean derivative, here by autograd."""
    A, b, _ = small
    result = bayes_amp(A, b, PRIOR, iterations=5, keep_iterates=True)
    for i in range(len(b)):
        x, v = torch.zeros(100), b[i]
        for k in range(5):
            tau = v.square().sum() / 60
            r = (x + A.T @ v).requires_grad_()
            x = eta(r, tau)
            (slope,) = torch.autograd.grad(x.sum(), r)
            x = x.detach()
            v = b[i] - A @ x + v * slope.sum() / 60
            torch.testing.assert_close(result.iterates[k + 1, i], x, rtol=0, atol=1e-12)
        unsure = result.variance[i].mean() * A.square().sum() / 60
        expected = (v.square().sum() / 60 - unsure).clamp(min=0)
        torch.testing.assert_close(result.noise_variance[i], expected)
    assert torch.equal(result.iterates[-1], result.x) and result.iterations == 5
    assert not result.iterates[0].any() and result.prior is PRIOR


def test_reaches_the_bayes_line_in_16_iterations_and_the_lasso_does_not(benchmark):
    A, b, x = benchmark
    told = nmse_db(bayes_amp(A, b, PRIOR, iterations=16).x, x).item()
    assert told < -45 and told < nmse_db(amp(A, b).x, x).item() - 7


def test_what_it_is_not_told_it_learns_without_loss(benchmark):
    A, b, x = benchmark
    told, learned = bayes_amp(A, b, PRIOR), bayes_amp(A, b)
    difference = nmse_db(learned.x, x) - nmse_db(told.x, x)
    assert difference.abs().item() < 0.1
    assert learned.prior.density.shape == (200, 1)
    # the mean over 200 samples of 500 entries: three standard errors are 0.003
    assert learned.prior.density.mean().item() == pytest.approx(0.1, abs=0.003)
    assert learned.prior.variance.mean().item() == pytest.approx(1.0, abs=0.04)
    shares = (x != 0).double().mean(dim=1, keepdim=True)
    assert (learned.prior.density - shares).abs().max() < 0.01


@pytest.mark.parametrize("prior", [PRIOR, None])
def test_it_says_how_wrong_it_is_and_how_much_noise_there_is(benchmark, prior):
    A, b, x = benchmark
    result = bayes_amp(A, b, prior)
    error = (result.x - x).square().mean().item()
    assert result.variance.mean().item() == pytest.approx(error, rel=0.1)
    true = (b - x @ A.T).square().mean().item()
    assert result.noise_variance.mean().item() == pytest.approx(true, rel=0.05)


@pytest.mark.parametrize("prior", [PRIOR, None])
def test_a_batch_is_a_loop(small, prior):
    A, b, _ = small
    whole = bayes_amp(A, b, prior, iterations=12)
    for i in (0, 5, 7):
        one = bayes_amp(A, b[i : i + 1], prior, iterations=12)
        torch.testing.assert_close(whole.x[i], one.x[0], rtol=0, atol=1e-12)
        noise = whole.noise_variance[i], one.noise_variance[0]
        torch.testing.assert_close(*noise, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("solve", [bayes_amp, vamp])
def test_learning_does_not_mind_the_units(small, solve):
    A, b, _ = small
    x = solve(A, b, iterations=12).x
    torch.testing.assert_close(solve(A, 7 * b, iterations=12).x, 7 * x)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(solve(A[:, order], b, iterations=12).x, x[:, order])


@pytest.mark.parametrize("prior", [PRIOR, None])
@pytest.mark.parametrize("solve", [bayes_amp, vamp])
def test_dtype_follows_and_zeros_are_zeros(small, solve, prior):
    A, b, _ = small
    b = torch.cat([b, torch.zeros_like(b[:1])]).float()
    result = solve(A.float(), b, prior, keep_iterates=True)
    for part in (result.x, result.variance, result.noise_variance, result.iterates):
        assert part.dtype == torch.float32 and part.isfinite().all()
    assert not result.x[-1].any()
    close = solve(A, b.double(), prior).x
    torch.testing.assert_close(result.x.double(), close, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "error", "shown"),
    [
        ({"iterations": 0}, ValueError, "iterations is 0: expected at least 1"),
        ({"prior": 0.1}, TypeError, "prior is of type float: expected a BernoulliG"),
        (
            {"prior": BernoulliGaussian(torch.full((3, 1), 0.1))},
            ValueError,
            r"prior\.density has shape \(3, 1\) but b has 2 rows",
        ),
        (
            {"prior": BernoulliGaussian(0.1, torch.ones(4, 1))},
            ValueError,
            r"prior\.variance has shape \(4, 1\) but b has 2 rows: expected one number",
        ),
        ({"b": torch.ones(2, 5)}, ValueError, "b has 5 columns but A has 3 rows"),
        ({"b": torch.ones(0, 3)}, ValueError, r"b has shape \(0, 3\)"),
        ({"A": torch.eye(3).long()}, TypeError, r"A has dtype torch\.int64"),
    ],
)
@pytest.mark.parametrize("solve", [bayes_amp, vamp])
def test_refuses_bad_input_by_name(solve, arguments, error, shown):
    good = {"A": torch.eye(3).float(), "b": torch.ones(2, 3).float()}
    arguments = {k: v.float() if k == "b" else v for k, v in arguments.items()}
    with pytest.raises(error, match=shown):
        solve(**good | arguments)


def test_refuses_columns_of_another_scale(small):
    A, b, _ = small
    with pytest.raises(ValueError, match="A has columns of mean squared norm 4,"):
        bayes_amp(2 * A, b, PRIOR)


def test_a_divergence_is_nan_and_said():
    generator = torch.Generator().manual_seed(2)
    U, _, V = torch.linalg.svd(
        torch.randn(100, 200, generator=generator), full_matrices=False
    )
    A = (U * torch.logspace(0, -2, 100)) @ V
    A = A / A.norm(dim=0)
    b, _ = SparseCoding(A, 0.1).sample(20, generator)
    with pytest.warns(
        UserWarning, match=r"Bayes-AMP diverges on \d+ of 20 .* use vamp"
    ):
        result = bayes_amp(A, b, PRIOR)
    lost = result.x.isnan().all(dim=1)
    assert lost.any() and torch.equal(lost, result.noise_variance.isnan())
    assert torch.equal(lost, result.variance.isnan().all(dim=1))
    assert not result.x[~lost].isnan().any()
