import math

import pytest
import torch

from unroll import BernoulliGaussian, SparseCoding, bayes_amp, nmse_db, vamp
from unroll.solvers._messages import first_guess
from unroll.solvers.vamp import _Linear

PRIOR = BernoulliGaussian(0.1, 1.0)
EXACT = {"rtol": 0, "atol": 1e-12}


def conditioned(m, n, number, generator):
    """Random singular vectors, geometric singular values, columns of mean norm 1."""
    U, _, V = torch.linalg.svd(
        torch.randn(m, n, generator=generator), full_matrices=False
    )
    A = (U * torch.logspace(0, -math.log10(number), min(m, n))) @ V
    return A * (n / A.square().sum()).sqrt()


def measured(A, noise, batch, generator, density=0.1):
    x = torch.randn(batch, A.shape[1], generator=generator)
    x = x * (torch.rand(x.shape, generator=generator) < density)
    b = x @ A.T
    return b + noise**0.5 * torch.randn(b.shape, generator=generator), x


@pytest.fixture(scope="module")
def benchmark():
    generator = torch.Generator().manual_seed(1)
    problem = SparseCoding.gaussian(250, 500, generator)
    b, x = problem.sample(200, generator)
    return problem.A, b, x, b.square().mean(dim=1) / (1 + 1e4)


SHAPES = pytest.mark.parametrize(("m", "n"), [(12, 30), (30, 12), (20, 20)])


@SHAPES
def test_follows_its_equations(generator, m, n):
    """With dense inverses, one sample at a time; the slope by autograd."""
    A = torch.randn(m, n, generator=generator) / m**0.5
    b, _ = measured(A, 0.01, 4, generator, density=0.3)
    prior = BernoulliGaussian(0.3, 1.0)
    result = vamp(A, b, prior, 0.01, iterations=4, keep_iterates=True)
    eye, least = torch.eye(n), 0.5 / n
    for i in range(4):
        r2, v2 = torch.zeros(n), torch.tensor(0.3)
        for k in range(4):
            inverse = torch.linalg.inv(A.T @ A / 0.01 + eye / v2)
            x2 = inverse @ (A.T @ b[i] / 0.01 + r2 / v2)
            a2 = torch.trace(inverse) / (n * v2)
            r1 = ((x2 - a2 * r2) / (1 - a2)).requires_grad_()
            v1 = v2 * a2 / (1 - a2)
            x1 = prior.posterior(r1[None], v1)[0][0]
            (slope,) = torch.autograd.grad(x1.sum(), r1)
            x1, r1 = x1.detach(), r1.detach()
            a1 = slope.mean().clamp(least, 1 - least)
            r2, v2 = (x1 - a1 * r1) / (1 - a1), v1 * a1 / (1 - a1)
            torch.testing.assert_close(
                result.iterates[k + 1, i], x1, rtol=0, atol=1e-10
            )
    assert torch.equal(result.iterates[-1], result.x) and result.iterations == 4
    assert torch.equal(result.noise_variance, torch.full((4,), 0.01))
    assert not result.iterates[0].any() and result.prior is prior


@SHAPES
def test_the_linear_stage_is_the_dense_solve(generator, m, n):
    A = torch.randn(m, n, generator=generator)
    b, r2 = (
        torch.randn(5, m, generator=generator),
        torch.randn(5, n, generator=generator),
    )
    v2, noise = torch.rand(2, 5, 1, generator=generator) + 0.1
    linear = _Linear(A, b)
    residual = linear.residual(r2)
    r1, v1 = linear.message(r2, residual, v2, noise)
    learned = linear.learned(residual, v2, noise)
    for i in range(5):
        inverse = torch.linalg.inv(A.T @ A / noise[i] + torch.eye(n) / v2[i])
        x2 = inverse @ (A.T @ b[i] / noise[i] + r2[i] / v2[i])
        a2 = torch.trace(inverse) / (n * v2[i])
        torch.testing.assert_close(r1[i], (x2 - a2 * r2[i]) / (1 - a2), **EXACT)
        torch.testing.assert_close(v1[i], v2[i] * a2 / (1 - a2), **EXACT)
        left = (b[i] - A @ x2).square().sum() + torch.trace(A @ inverse @ A.T)
        torch.testing.assert_close(learned[i, 0], left / m, **EXACT)


@SHAPES
@pytest.mark.parametrize("iterations", [1, 5])
def test_of_normal_codes_it_is_ridge_regression_after_one_iteration(
    generator, m, n, iterations
):
    A = torch.randn(m, n, generator=generator)
    b, _ = measured(A, 0.3, 4, generator, density=1)
    x = vamp(A, b, BernoulliGaussian(1.0, 2.0), 0.3, iterations=iterations).x
    ridge = torch.linalg.solve(A.T @ A + 0.3 / 2.0 * torch.eye(n), A.T @ b.T).T
    torch.testing.assert_close(x, ridge, **EXACT)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_on_an_orthogonal_matrix_one_iteration_is_exact(generator, scale):
    """Then every entry is seen by itself, in noise of variance sigma^2 / scale^2."""
    A = scale * torch.linalg.qr(torch.randn(15, 15, generator=generator)).Q
    b, _ = measured(A, 0.02, 6, generator)
    mean, variance = PRIOR.posterior(b @ A / scale**2, 0.02 / scale**2)
    result = vamp(A, b, PRIOR, 0.02, iterations=1)
    torch.testing.assert_close(result.x, mean, **EXACT)
    torch.testing.assert_close(result.variance, variance, **EXACT)


def test_it_is_where_bayes_amp_is_in_half_the_iterations(benchmark):
    A, b, x, noise = benchmark
    end = nmse_db(bayes_amp(A, b, PRIOR).x, x).item()
    assert nmse_db(vamp(A, b, PRIOR, noise, iterations=10).x, x).item() < end + 0.1
    assert nmse_db(bayes_amp(A, b, PRIOR, iterations=10).x, x).item() > end + 2


def test_what_it_is_not_told_it_learns_without_loss(benchmark):
    A, b, x, noise = benchmark
    told = nmse_db(vamp(A, b, PRIOR, noise).x, x).item()
    for prior, level in ((None, None), (PRIOR, None), (None, noise)):
        result = vamp(A, b, prior, level)
        assert abs(nmse_db(result.x, x).item() - told) < 0.1
        assert result.noise_variance.mean() == pytest.approx(
            (b - x @ A.T).square().mean().item(), rel=0.05
        )
    learned = vamp(A, b).prior
    # the mean over 200 samples of 500 entries: three standard errors are 0.003
    assert learned.density.mean().item() == pytest.approx(0.1, abs=0.003)
    assert learned.variance.mean().item() == pytest.approx(1.0, abs=0.04)


def test_it_takes_the_matrices_that_amp_does_not(generator):
    A = conditioned(150, 300, 100, generator)
    b, x = measured(A, 1e-4, 40, generator)
    with pytest.warns(UserWarning, match="Bayes-AMP diverges"):
        assert bayes_amp(A, b, PRIOR).x.isnan().any()
    assert nmse_db(vamp(A, b, PRIOR, 1e-4, iterations=30).x, x) < -28
    assert nmse_db(vamp(A, b, iterations=40).x, x) < -27


def test_it_says_how_wrong_it_is(benchmark):
    A, b, x, noise = benchmark
    result = vamp(A, b, PRIOR, noise)
    error = (result.x - x).square().mean().item()
    assert result.variance.mean().item() == pytest.approx(error, rel=0.1)


@pytest.mark.parametrize("told", [True, False])
def test_a_batch_is_a_loop(generator, told):
    A = torch.randn(60, 100, generator=generator) / 60**0.5
    b, _ = measured(A, 1e-3, 8, generator, density=0.05)
    prior = BernoulliGaussian(0.05) if told else None
    noise = torch.linspace(1e-3, 2e-3, 8) if told else None
    whole = vamp(A, b, prior, noise, iterations=10)
    for i in (0, 5, 7):
        level = noise[i : i + 1] if told else None
        one = vamp(A, b[i : i + 1], prior, level, iterations=10)
        torch.testing.assert_close(whole.x[i], one.x[0], rtol=0, atol=1e-11)
        assert whole.noise_variance[i].item() == pytest.approx(
            one.noise_variance.item(), rel=1e-9
        )
    if told:
        column = vamp(A, b, prior, noise[:, None], iterations=10)
        assert torch.equal(column.x, whole.x)


@pytest.mark.parametrize("told", [True, False])
def test_without_noise_codes_are_found_exactly(generator, told):
    A = torch.randn(100, 200, generator=generator) / 10
    b, x = measured(A, 0.0, 20, generator, density=0.05)
    noise = 0.0 if told else None
    prior = BernoulliGaussian(0.05) if told else None
    found = vamp(A, b, prior, noise, iterations=25).x
    assert nmse_db(found, x) < -100


def test_learning_starts_where_the_lasso_could_still_find_the_code():
    """The Lasso's limit at m = n / 2, 0.193 n non-zeros (Donoho 2009); 20 dB."""
    A = torch.randn(50, 100, generator=torch.Generator().manual_seed(0))
    b = torch.ones(2, 50)
    prior, noise = first_guess(A, b)
    assert prior.density[0].item() == pytest.approx(0.193, abs=5e-4)
    torch.testing.assert_close(noise, torch.full((2, 1), 1 / 101))
    power = prior.density * prior.variance * A.square().sum() + 50 * noise
    torch.testing.assert_close(power, torch.full((2, 1), 50.0))


def test_damping_leads_samples_home_that_circle():
    """One code in a thousand of 50 x 100; with damping every one is found."""
    generator = torch.Generator().manual_seed(0)
    coding = SparseCoding.gaussian(50, 100, generator)
    b, x = coding.sample(3000, torch.Generator().manual_seed(5))
    noise = b.square().mean(dim=1) / (1 + 1e4)
    dense = (x != 0).sum(dim=1) >= 15  # the hard ones
    b, x, noise = b[dense], x[dense], noise[dense]
    free = vamp(b=b, A=coding.A, prior=PRIOR, noise_variance=noise, iterations=60).x
    damped = vamp(coding.A, b, PRIOR, noise, iterations=60, damping=0.7).x
    assert nmse_db(free, x) > -35 and nmse_db(damped, x) < -42


@pytest.mark.parametrize("damping", [0.3, 0.8])
def test_damping_goes_part_of_the_way(generator, damping):
    A = torch.randn(20, 30, generator=generator) / 20**0.5
    b, _ = measured(A, 0.01, 4, generator)
    one, two = (
        vamp(A, b, PRIOR, 0.01, iterations=k, damping=damping).x for k in (1, 2)
    )
    assert torch.equal(one, vamp(A, b, PRIOR, 0.01, iterations=1).x)
    linear, v2 = _Linear(A, b), torch.full((4, 1), 0.1)
    noise = torch.full((4, 1), 0.01)
    r1, v1 = linear.message(torch.zeros(4, 30), linear.c, v2, noise)
    x, variance = PRIOR.posterior(r1, v1)
    alpha = (variance / v1).mean(dim=1, keepdim=True)
    r2 = damping * (x - alpha * r1) / (1 - alpha)
    v2 = damping * v1 * alpha / (1 - alpha) + (1 - damping) * v2
    r1, v1 = linear.message(r2, linear.residual(r2), v2, noise)
    torch.testing.assert_close(two, PRIOR.posterior(r1, v1)[0], **EXACT)


@pytest.mark.parametrize(
    ("damping", "shown"),
    [
        (0.0, r"damping is 0\.0: expected a positive"),
        (1.5, r"damping is 1\.5: expected"),
    ],
)
def test_refuses_a_damping(damping, shown):
    with pytest.raises(ValueError, match=shown):
        vamp(torch.eye(3), torch.ones(2, 3), PRIOR, 0.1, damping=damping)


def test_noise_that_cannot_be_is_said(generator):
    """Told a noise far too small on a small matrix, it may blow up: NaN, a warning."""
    A = torch.randn(6, 40, generator=generator) / 6**0.5
    b, _ = measured(A, 0.5, 60, generator, density=0.4)
    with pytest.warns(UserWarning, match=r"VAMP diverges on \d+ of 60.* use fista"):
        result = vamp(A, b, BernoulliGaussian(0.02, 400.0), 1e-9)
    lost = result.x.isnan().all(dim=1)
    assert lost.any() and torch.equal(lost, result.noise_variance.isnan())


@pytest.mark.parametrize(
    ("noise", "error", "shown"),
    [
        (-1.0, ValueError, r"noise_variance is -1\.0: expected a finite number >= 0"),
        (math.nan, ValueError, "noise_variance is nan"),
        (
            -torch.ones(2).double(),
            ValueError,
            r"noise_variance is -1\.0: expected a fi",
        ),
        (
            torch.ones(3).double(),
            ValueError,
            r"noise_variance has shape \(3,\) but b has 2",
        ),
        (torch.ones(2).float(), TypeError, r"noise_variance has dtype torch\.float32"),
        ("little", TypeError, "noise_variance is 'little'"),
    ],
)
def test_refuses_noise_by_name(noise, error, shown):
    with pytest.raises(error, match=shown):
        vamp(torch.eye(3), torch.ones(2, 3), PRIOR, noise)


@pytest.mark.parametrize("solve", [bayes_amp, vamp])
def test_refuses_a_prior_of_another_dtype(solve):
    prior = BernoulliGaussian(torch.full((2, 1), 0.1).float())
    with pytest.raises(TypeError, match=r"prior\.density has dtype torch\.float32 but"):
        solve(torch.eye(3), torch.ones(2, 3), prior)
