import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso
from torch.autograd import gradcheck

from unroll import (
    BernoulliGaussian,
    SparseCoding,
    dct_dictionary,
    nmse_db,
    recovery_bounds,
    vamp,
)
from unroll.metrics import _amp, _bayes, _refit


def pair(generator, batch=6, n=20):
    x = torch.randn(batch, n, generator=generator)
    return x + 0.1 * torch.randn(batch, n, generator=generator), x


# NMSE


def test_ratio_is_the_ratio_of_sums(generator):
    x_hat, x = (tensor.numpy() for tensor in pair(generator))
    expected = 10 * np.log10(np.sum((x_hat - x) ** 2) / np.sum(x**2))
    got = nmse_db(torch.from_numpy(x_hat), torch.from_numpy(x))
    assert got.item() == pytest.approx(expected, rel=1e-12)


def test_sample_is_the_mean_of_db_with_a_guard(generator):
    x_hat, x = (tensor.numpy() for tensor in pair(generator))
    error = np.mean((x_hat - x) ** 2, axis=1) + 1e-10
    signal = np.mean(x**2, axis=1) + 1e-10
    expected = np.mean(10 * np.log10(error / signal))
    got = nmse_db(torch.from_numpy(x_hat), torch.from_numpy(x), reduction="sample")
    assert got.item() == pytest.approx(expected, rel=1e-12)


def test_the_definitions_part_when_samples_differ():
    """One sample wrong by all of itself, nine almost exact: -10 against -81 dB."""
    x = torch.ones(10, 4)
    x_hat = x * (1 + 1e-9)
    x_hat[0] = 0
    assert nmse_db(x_hat, x).item() == pytest.approx(-10, abs=1e-6)
    assert nmse_db(x_hat, x, reduction="sample").item() == pytest.approx(-90, abs=0.1)


@pytest.mark.parametrize("reduction", ["ratio", "sample"])
def test_a_tenth_too_small_is_minus_20_db_in_any_unit(generator, reduction):
    x = torch.randn(5, 7, generator=generator)
    for unit in (1.0, 1e3, -4.0):
        error = nmse_db(0.9 * unit * x, unit * x, reduction).item()
        assert error == pytest.approx(-20, abs=1e-6)
    assert nmse_db(torch.zeros_like(x), x, reduction).item() == pytest.approx(0)


@pytest.mark.parametrize("reduction", ["ratio", "sample"])
def test_leading_axes_are_kept(generator, reduction):
    x_hat, x = pair(generator)
    iterates = torch.stack([0 * x, x_hat, 0.99 * x])
    curve = nmse_db(iterates, x, reduction)
    assert curve.shape == (3,)
    for value, iterate in zip(curve, iterates, strict=True):
        assert value.item() == pytest.approx(nmse_db(iterate, x, reduction).item())


def test_exact_recovery():
    x = torch.ones(2, 3)
    assert nmse_db(x, x).item() == -math.inf
    assert nmse_db(x, x, "sample").item() == pytest.approx(-100, abs=1e-6)


def test_a_zero_sample_does_not_spoil_the_mean():
    x = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    assert nmse_db(0.9 * x, x, "sample").item() == pytest.approx(-10, abs=1e-6)


@pytest.mark.parametrize("reduction", ["ratio", "sample"])
def test_gradients(generator, reduction):
    x_hat, x = pair(generator, batch=2, n=3)
    assert gradcheck(lambda z: nmse_db(z, x, reduction), x_hat.requires_grad_())


@pytest.mark.parametrize(
    ("arguments", "error", "shown"),
    [
        ({"reduction": "mean"}, ValueError, "'mean': expected 'ratio' or 'sample'"),
        (
            {"x_hat": torch.ones(2, 4)},
            ValueError,
            r"x_hat has shape \(2, 4\): expected",
        ),
        ({"x": torch.zeros(2, 3)}, ValueError, "x is zero everywhere"),
        (
            {"x": torch.ones(3)},
            ValueError,
            r"x has shape \(3,\): expected \(batch, n\)",
        ),
        ({"x": torch.ones(0, 3)}, ValueError, r"x has shape \(0, 3\)"),
        ({"x": torch.ones(2, 3).half()}, TypeError, "float32 but x has torch.float16"),
        ({"x_hat": torch.ones(2, 3).int()}, TypeError, "x_hat has dtype torch.int32"),
    ],
)
def test_refuses_bad_input(arguments, error, shown):
    good = {"x_hat": torch.ones(2, 3).float(), "x": torch.ones(2, 3).float()}
    with pytest.raises(error, match=shown):
        nmse_db(**good | arguments)


# Recovery bounds


@pytest.mark.parametrize("snr_db", [20.0, 40.0])
def test_the_oracle_follows_its_closed_form(snr_db):
    """-SNR + 10 log10 of rho / (1 - rho), averaged over the supports that were drawn.

    rho = k / m with k the size of a sample's own support, weighted by its energy. With
    the mean k of 50 in its place the value would be 0.12 dB lower at 250 x 500.
    """
    generator = torch.Generator().manual_seed(0)
    problem = SparseCoding.gaussian(250, 500, generator, snr_db=snr_db)
    b, x = problem.sample(500, generator)
    energy, rho = x.square().sum(dim=1), (x != 0).sum(dim=1) / 250
    odds = (energy * rho / (1 - rho)).sum() / energy.sum()
    expected = -snr_db + 10 * torch.log10(odds).item()
    oracle = nmse_db(_refit(problem.A, b, x), x).item()
    assert abs(oracle - expected) < 0.1
    assert abs(oracle - (-snr_db + 10 * math.log10(0.2 / 0.8))) < 0.3


def test_the_oracle_is_exact_without_noise(generator):
    problem = SparseCoding.gaussian(30, 60, generator, snr_db=None)
    b, x = problem.sample(20, generator)
    torch.testing.assert_close(_refit(problem.A, b, x), x, rtol=0, atol=1e-12)


@pytest.fixture(scope="module")
def bounded():
    generator = torch.Generator().manual_seed(0)
    problem = SparseCoding.gaussian(60, 120, generator, density=0.05, snr_db=30)
    state = generator.get_state()
    bounds = recovery_bounds(problem, 40, generator)
    return problem, problem.sample(40, generator.set_state(state)), bounds


def test_the_lines_are_in_order(bounded):
    _, _, bounds = bounded
    assert bounds.oracle < bounds.bayes < bounds.refit - 1 < bounds.lasso - 3
    assert bounds.oracle < bounds.lasso - 2
    assert bounds.oracle < bounds.amp - 2
    assert abs(bounds.amp - bounds.lasso) < 1.5


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_lasso_is_exact_and_its_lam_the_best(bounded):
    """scikit-learn at the same lam agrees; 30 % to either side nobody does better."""
    problem, (b, x), bounds = bounded

    def lasso_db(lam):
        peer = Lasso(lam / 60, fit_intercept=False, tol=1e-14, max_iter=100_000)
        codes = [peer.fit(problem.A.numpy(), row.numpy()).coef_ for row in b]
        return nmse_db(torch.from_numpy(np.stack(codes)), x).item()

    assert abs(lasso_db(bounds.lam) - bounds.lasso) < 1e-3
    for factor in (0.7, 0.85, 1.2, 1.4):
        assert lasso_db(factor * bounds.lam) > bounds.lasso - 0.01


def test_the_refit_is_least_squares_on_the_lasso_s_support(bounded):
    """scikit-learn's support at the same lam; 30 % to either side it is no better."""
    problem, (b, x), bounds = bounded

    def refit_db(lam):
        peer = Lasso(lam / 60, fit_intercept=False, tol=1e-14, max_iter=100_000)
        codes = torch.zeros_like(x)
        for i, row in enumerate(b):
            on = torch.from_numpy(peer.fit(problem.A.numpy(), row.numpy()).coef_ != 0)
            gram = problem.A[:, on].T @ problem.A[:, on]
            codes[i, on] = torch.linalg.solve(gram, problem.A[:, on].T @ row)
        return nmse_db(codes, x).item()

    assert abs(refit_db(bounds.refit_lam) - bounds.refit) < 1e-6
    assert bounds.refit_lam > bounds.lam
    for factor in (0.7, 0.85, 1.2, 1.4):
        assert refit_db(factor * bounds.refit_lam) > bounds.refit - 0.15


def test_the_bayes_line_is_vamp_that_knows_the_problem(bounded):
    problem, (b, x), bounds = bounded
    noise = b.square().mean(dim=1) / 1001  # 30 dB
    prior = BernoulliGaussian(0.05)
    told = vamp(problem.A, b, prior, noise, iterations=60, damping=0.7)
    assert bounds.bayes == pytest.approx(nmse_db(told.x, x).item(), abs=1e-9)


def test_the_bayes_line_without_noise_is_almost_exact(generator):
    problem = SparseCoding.gaussian(60, 120, generator, density=0.05, snr_db=None)
    b, x = problem.sample(20, generator)
    assert nmse_db(_bayes(problem, problem.A, b), x) < -80


def test_the_path_holds_the_best(bounded):
    _, _, bounds = bounded
    lam, db = bounds.path_lam, bounds.path_db
    assert (lam[1:] < lam[:-1]).all()
    assert db.min().item() == bounds.lasso
    assert lam[db.argmin()].item() == bounds.lam
    assert db[0] > -1 and db[-1] > bounds.lasso + 0.1  # it reaches past both ends


def test_float32_problems_are_measured_in_float64():
    generator = torch.Generator().manual_seed(0)
    A = SparseCoding.gaussian(40, 80, generator, density=0.05).A
    bounds = recovery_bounds(SparseCoding(A.float(), 0.05, 20), 10, generator)
    assert bounds.path_db.dtype == torch.float64
    assert bounds.oracle < bounds.lasso < -10


def test_refuses_a_batch_without_any_code():
    problem = SparseCoding(torch.eye(3), density=1e-12)
    with pytest.raises(ValueError, match="x is zero everywhere"):
        recovery_bounds(problem, 2, torch.Generator().manual_seed(0))


def test_refuses_an_empty_batch():
    with pytest.raises(ValueError, match="batch is 0: expected at least 1"):
        recovery_bounds(SparseCoding(torch.eye(3)), 0)


def test_amp_is_measured_on_unit_columns_and_nan_where_it_diverges(generator):
    problem = SparseCoding.gaussian(40, 60, generator, density=0.05)
    bounds = recovery_bounds(problem, 20, torch.Generator().manual_seed(1))
    scaled = SparseCoding(8 * problem.A, 0.05)
    same = recovery_bounds(scaled, 20, torch.Generator().manual_seed(1))
    assert same.amp == pytest.approx(bounds.amp, abs=1e-6) and bounds.amp < -30
    cosines = SparseCoding(dct_dictionary(8, 256), 0.03)
    b, x = cosines.sample(5, generator)
    with pytest.warns(UserWarning, match="AMP diverges"):
        assert nmse_db(_amp(cosines.A, b), x).isnan()
