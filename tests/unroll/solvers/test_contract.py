"""What ISTA, FISTA and FISTA with restarts all promise."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Lasso

from unroll import SparseCoding, fista, ista

SOLVERS = {"ista": ista, "fista": fista, "restart": partial(fista, restart=True)}
every_solver = pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
EXACT = {"rtol": 0, "atol": 1e-12}


def problem(seed=0, batch=7, m=20, n=40, dtype=None):
    generator = torch.Generator().manual_seed(seed)
    coding = SparseCoding.gaussian(m, n, generator, snr_db=20, dtype=dtype)
    return coding.A, coding.sample(batch, generator)[0]


def objective(A, b, lam, x):
    return 0.5 * (b - x @ A.T).square().sum(dim=-1) + lam * x.abs().sum(dim=-1)


# Solutions


@every_solver
def test_optimality_conditions(solve):
    """A^T r = lam sign(x) on the support, |A^T r| <= lam off it."""
    A, b = problem()
    x = solve(A, b, 0.1, iterations=20_000, tol=1e-11).x
    correlation = (b - x @ A.T) @ A
    on = x != 0
    assert on.any() and not on.all()
    expected = 0.1 * x[on].sign()
    torch.testing.assert_close(correlation[on], expected, rtol=0, atol=2e-5)
    assert (correlation[~on].abs() <= 0.1 + 2e-5).all()


@every_solver
def test_one_step_solves_an_orthonormal_dictionary(solve):
    A = torch.linalg.qr(torch.randn(9, 9)).Q
    b = torch.randn(4, 9)
    result = solve(A, b, 0.3, iterations=1)
    closed = torch.nn.functional.softshrink(b @ A, 0.3)
    torch.testing.assert_close(result.x, closed, **EXACT)


def certified_against_sklearn(A, b, lam):
    """100 problems at once: within 1e-8 of scikit-learn's objective, and certified."""
    result = fista(A, b, lam, tol=1e-8)
    assert result.converged.all() and (result.gap <= 1e-8).all()
    for i in range(len(b)):
        alpha = (lam[i] / A.shape[0]).item()
        peer = Lasso(alpha, fit_intercept=False, tol=1e-15, max_iter=100_000)
        x = torch.from_numpy(peer.fit(A.numpy(), b[i].numpy()).coef_)
        theirs = objective(A, b[i], lam[i], x)
        assert abs(objective(A, b[i], lam[i], result.x[i]) - theirs) <= 1e-8
        assert abs(result.objective[-1, i] - theirs) <= 1e-8


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_agrees_with_sklearn_on_random_problems():
    A, b = problem(batch=100, m=40, n=80)
    largest = (b @ A).abs().amax(dim=1)
    certified_against_sklearn(A, b, largest * torch.linspace(0.02, 0.9, 100))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_agrees_with_sklearn_on_the_diabetes_data():
    """Raw units: objectives near 1e7, nearly collinear columns."""
    features, target = load_diabetes(return_X_y=True)
    A, y = torch.from_numpy(features), torch.from_numpy(target)
    generator = torch.Generator().manual_seed(0)
    picks = torch.randint(len(y), (100, len(y)), generator=generator)
    b = torch.cat([y[None], y[picks[1:]] * 0.5 + y * 0.5])  # y, then mixtures
    largest = (b @ A).abs().amax(dim=1)
    certified_against_sklearn(A, b, largest * torch.logspace(-3, -0.1, 100))


@every_solver
def test_solving_twice_as_many_problems_changes_none(solve):
    """A batch is a loop, also when samples finish at different times."""
    A, b = problem()
    lam = torch.linspace(0.1, 0.6, len(b))
    whole = solve(A, b, lam, tol=1e-8, iterations=20_000)
    finished = []
    for i in range(len(b)):
        one = solve(A, b[i : i + 1], lam[i].item(), tol=1e-8, iterations=20_000)
        finished.append(one.iterations)
        torch.testing.assert_close(whole.x[i], one.x[0], **EXACT)
        history = whole.objective[: one.iterations + 1, i]
        torch.testing.assert_close(history, one.objective[:, 0], **EXACT)
        rest = whole.objective[one.iterations :, i]
        assert (rest == rest[0]).all()
    assert len(set(finished)) > 3  # they did finish at different times
    assert whole.iterations == max(finished)


# Symmetries


@given(st.integers(0, 1000), st.permutations(range(12)), st.floats(0.1, 10))
@settings(max_examples=25)
def test_symmetries(seed, order, c):
    """Reordering atoms, flipping b and changing units commute with every solver."""
    A, b = problem(seed, batch=2, m=6, n=12)
    for solve in SOLVERS.values():
        x = solve(A, b, 0.1, iterations=8).x
        reordered = solve(A[:, list(order)], b, 0.1, iterations=8).x
        torch.testing.assert_close(reordered, x[:, list(order)], **EXACT)
        assert torch.equal(solve(A, -b, 0.1, iterations=8).x, -x)
        units = solve(A, c * b, c * 0.1, iterations=8).x
        torch.testing.assert_close(units / c, x, **EXACT)
        scaled = solve(c * A, b, c * 0.1, iterations=8).x
        torch.testing.assert_close(c * scaled, x, **EXACT)


# Histories and stopping


@every_solver
def test_histories_fit_together(solve):
    A, b = problem()
    x0 = torch.randn(7, 40, generator=torch.Generator().manual_seed(1))
    kept = x0.clone()
    result = solve(A, b, 0.1, iterations=12, x0=x0, keep_iterates=True)
    assert result.iterations == 12 and result.iterates.shape == (13, 7, 40)
    assert torch.equal(x0, kept)  # the caller's tensor is left alone
    assert torch.equal(result.iterates[0], x0)
    assert torch.equal(result.iterates[-1], result.x)
    every = objective(A, b, 0.1, result.iterates)
    torch.testing.assert_close(result.objective, every, rtol=1e-12, atol=0)
    assert torch.equal(result.lam, torch.full((7,), 0.1))
    plain = solve(A, b, 0.1, iterations=12, x0=x0)
    assert plain.iterates is None and torch.equal(plain.x, result.x)


@every_solver
def test_stops_at_the_first_iteration_whose_gap_is_small_enough(solve):
    A, b = problem()
    result = solve(A, b, 0.1, tol=1e-4, iterations=5000, keep_iterates=True)
    assert result.converged.all() and (result.gap <= 1e-4).all()
    assert result.iterations < 5000
    earlier = ista(A, b, 0.1, x0=result.iterates[-2], iterations=0)
    assert (earlier.gap > 1e-4).any()
    finished = ista(A, b, 0.1, x0=result.x, iterations=0)
    torch.testing.assert_close(finished.gap, result.gap, rtol=1e-9, atol=1e-13)


@every_solver
def test_says_when_it_has_not_converged(solve):
    A, b = problem()
    result = solve(A, b, 0.01, tol=1e-12, iterations=3)
    assert result.iterations == 3 and not result.converged.any()
    assert (result.gap > 1e-12).all()
    assert not solve(A, b, 0.01, iterations=3).converged.any()  # no tol, no claim
    lam = torch.tensor([0.01] * 6 + [100.0])  # the last one's solution is zero
    result = solve(A, b, lam, tol=1e-12, iterations=3)
    assert result.converged.tolist() == [False] * 6 + [True]
    assert result.gap[6] == 0 and (result.gap[:6] > 1e-12).all()


@every_solver
def test_a_start_at_the_solution_needs_no_iteration(solve):
    A, b = problem()
    x = fista(A, b, 0.1, tol=1e-12, iterations=20_000, restart=True).x
    result = solve(A, b, 0.1, tol=1e-10, x0=x)
    assert result.iterations == 0 and result.converged.all()
    assert torch.equal(result.x, x) and result.objective.shape == (1, 7)


@every_solver
def test_default_step_is_one_over_the_squared_spectral_norm(solve):
    for m, n in ((20, 40), (40, 20)):
        A, b = problem(m=m, n=n)
        step = 1 / torch.linalg.matrix_norm(A, 2).item() ** 2
        default = solve(A, b, 0.1, iterations=20).x
        given_step = solve(A, b, 0.1, iterations=20, step_size=step).x
        torch.testing.assert_close(default, given_step, **EXACT)
        other = solve(A, b, 0.1, iterations=20, step_size=step / 2).x
        assert (default - other).abs().max() > 1e-6


@every_solver
def test_dtype_follows_and_no_graph_is_kept(solve):
    A, b = problem(dtype=torch.float32)
    result = solve(A.requires_grad_(), b, 0.1, iterations=3, keep_iterates=True)
    for part in (result.x, result.objective, result.gap, result.iterates, result.lam):
        assert part.dtype == torch.float32 and not part.requires_grad
    assert result.converged.dtype == torch.bool


# Refusals

NAN = float("nan")
A = torch.eye(3, 4, dtype=torch.float64)
B = torch.ones(2, 3, dtype=torch.float64)


def ones(*shape):
    return torch.ones(shape, dtype=torch.float64)


REFUSALS = [
    ({"A": ones(3)}, ValueError, r"A has shape \(3,\): expected \(m, n\)"),
    ({"A": ones(0, 4)}, ValueError, r"A has shape \(0, 4\)"),
    ({"A": 0 * A}, ValueError, "A is zero everywhere"),
    ({"A": [[1.0]]}, TypeError, "A is of type list: expected a torch.Tensor"),
    ({"A": ones(3, 4).long()}, TypeError, "A has dtype torch.int64"),
    ({"A": A.index_fill(1, torch.tensor(2), NAN)}, ValueError, r"A\[0, 2\] is nan"),
    (
        {"b": ones(2, 5)},
        ValueError,
        r"b has 5 columns but A has 3 rows: expected",
    ),
    ({"b": ones(3)}, ValueError, r"b has shape \(3,\): expected \(batch, 3\)"),
    ({"b": ones(0, 3)}, ValueError, r"b has shape \(0, 3\): expected a batch"),
    ({"b": B.float()}, TypeError, "b has dtype torch.float32 but A has torch.float64"),
    ({"b": B.to("meta")}, ValueError, "b is on meta but A is on cpu"),
    ({"b": B * float("inf")}, ValueError, r"b\[0, 0\] is inf: expected finite"),
    ({"lam": -0.5}, ValueError, r"lam is -0\.5: expected a finite number >= 0"),
    ({"lam": NAN}, ValueError, "lam is nan"),
    ({"lam": torch.tensor(-0.25)}, ValueError, r"lam is -0\.25"),
    ({"lam": ones(2) - 3 * torch.eye(2)[1].double()}, ValueError, r"lam\[1\] is -2\.0"),
    (
        {"lam": ones(2).index_fill(0, torch.tensor(1), NAN)},
        ValueError,
        r"lam\[1\] is nan",
    ),
    ({"lam": ones(3)}, ValueError, r"lam has shape \(3,\) but b has 2 rows"),
    ({"lam": ones(2).float()}, TypeError, "lam has dtype torch.float32"),
    ({"iterations": -1}, ValueError, "iterations is -1: expected at least 0"),
    ({"iterations": 2.5}, TypeError, r"iterations is 2\.5: expected an int"),
    ({"tol": -1e-3}, ValueError, r"tol is -0\.001: expected a number >= 0"),
    ({"tol": NAN}, ValueError, "tol is nan"),
    ({"step_size": 0.0}, ValueError, r"step_size is 0\.0: expected a positive number"),
    ({"step_size": NAN}, ValueError, "step_size is nan"),
    ({"x0": ones(2, 3)}, ValueError, "x0 has 3 columns but A has 4 columns"),
    ({"x0": ones(1, 4)}, ValueError, "x0 has 1 rows but b has 2"),
    ({"x0": NAN * ones(2, 4)}, ValueError, r"x0\[0, 0\] is nan"),
]


@every_solver
@pytest.mark.parametrize(
    ("arguments", "error", "shown"), REFUSALS, ids=[shown for *_, shown in REFUSALS]
)
def test_refuses_bad_input_by_name(solve, arguments, error, shown):
    with pytest.raises(error, match=shown):
        solve(**{"A": A, "b": B, "lam": 0.1} | arguments)


@every_solver
def test_misspelt_options_are_refused(solve):
    with pytest.raises(TypeError, match="max_iter"):
        solve(A, B, 0.1, max_iter=3)
