import sys

import pytest
import torch

from unroll import SparseCoding, active_set, fista, soft_threshold
from unroll.solvers._lasso import Lasso
from unroll.solvers.active_set import _Gram, _Path


def problem(seed=0, batch=30, m=40, n=80, density=0.1):
    generator = torch.Generator().manual_seed(seed)
    coding = SparseCoding.gaussian(m, n, generator, density=density)
    return coding.A, coding.sample(batch, generator)[0]


def duality_gap(A, b, x, lam):
    """Primal minus dual objective at the scaled residual, from the textbook."""
    r = b - x @ A.T
    scale = (lam / (r @ A).abs().amax(dim=1)).clamp(max=1)[:, None]
    primal = 0.5 * r.square().sum(dim=1) + lam * x.abs().sum(dim=1)
    dual = 0.5 * (b.square().sum(dim=1) - (b - scale * r).square().sum(dim=1))
    return primal - dual


@pytest.mark.parametrize("lam", [0.5, 0.1, 0.02, 0.003])
@pytest.mark.parametrize("seed", [0, 1])
def test_solves_and_certifies(lam, seed):
    A, b = problem(seed)
    result = active_set(A, b, lam, tol=1e-10)
    assert result.converged.all() and (result.gap <= 1e-10).all()
    assert (duality_gap(A, b, result.x, lam) <= 1e-9).all()
    exact = fista(A, b, lam, tol=1e-11, restart=True)
    torch.testing.assert_close(result.x, exact.x, rtol=0, atol=2e-4)
    assert (result.objective[-1] - exact.objective[-1]).abs().max() <= 2e-10


def test_few_guesses_suffice():
    """A tenth of FISTA's iterations, and to a gap that rounding alone limits."""
    A, b = problem(m=100, n=200)
    result = active_set(A, b, 0.05, tol=1e-13)
    assert result.converged.all()
    assert (
        result.iterations < fista(A, b, 0.05, tol=1e-13, restart=True).iterations / 10
    )


def test_with_orthogonal_atoms_it_is_the_soft_threshold(monkeypatch):
    """By its own guesses: FISTA, which could mend wrong ones, is out of reach."""
    monkeypatch.delattr(sys.modules[active_set.__module__], "fista")
    generator = torch.Generator().manual_seed(3)
    A = torch.linalg.qr(torch.randn(12, 12, generator=generator)).Q
    b = torch.randn(20, 12, generator=generator)
    result = active_set(A, b, 0.3, tol=1e-12)
    expected = soft_threshold(b @ A, 0.3)
    torch.testing.assert_close(result.x, expected, rtol=0, atol=1e-12)


def test_a_batch_is_a_loop_and_each_sample_has_its_weight():
    A, b = problem()
    lam = torch.linspace(0.01, 3.0, 30)
    whole = active_set(A, b, lam, tol=1e-9)
    assert torch.equal(whole.lam, lam) and whole.converged.all()
    for i in (0, 13, 29):
        one = active_set(A, b[i : i + 1], lam[i].item(), tol=1e-9)
        torch.testing.assert_close(whole.x[i], one.x[0], rtol=0, atol=1e-7)


def test_a_zero_solution_takes_no_guess():
    A, b = problem()
    result = active_set(A, b, 100.0)
    assert result.iterations == 0 and not result.x.any() and result.converged.all()
    result = active_set(A, 0 * b, 0.1)
    assert not result.x.any() and not result.gap.any()


@pytest.mark.parametrize("kind", ["equal", "tall", "scaled", "zero column", "rank"])
def test_awkward_dictionaries_are_solved_all_the_same(kind):
    A, b = problem()
    if kind == "equal":
        A[:, 5] = A[:, 4]
        b[:, :] += A[:, 4]
    if kind == "tall":
        A, b = problem(m=60, n=25)
    if kind == "scaled":
        A = A * torch.linspace(0.3, 5.0, 80)
    if kind == "zero column":
        A[:, 3] = 0
    if kind == "rank":
        A[30:] = A[:10]
        b = torch.randn(30, 80, generator=torch.Generator().manual_seed(1)) @ A.T
    result = active_set(A, b, 0.05, tol=1e-7)
    assert result.converged.all()
    assert (duality_gap(A, b, result.x, 0.05) <= 2e-7).all()


def test_dense_codes_cycle_and_fista_finishes_them():
    A, b = problem(m=12, n=40, density=0.5, batch=30)
    result = active_set(A, b, 0.01, tol=1e-8, keep_iterates=True)
    assert torch.equal(result.iterates[-1], result.x)
    assert len(result.iterates) == result.iterations + 1
    assert result.converged.all() and result.iterations > 30
    assert result.objective.shape == (result.iterations + 1, 30)
    assert (duality_gap(A, b, result.x, 0.01) <= 1e-7).all()


def test_the_history_is_that_of_the_objective():
    A, b = problem()
    result = active_set(A, b, 0.1, keep_iterates=True)
    assert torch.equal(result.iterates[-1], result.x) and not result.iterates[0].any()
    assert len(result.iterates) == result.iterations + 1
    zero = 0.5 * b.square().sum(dim=1)
    r = b - result.x @ A.T
    last = 0.5 * r.square().sum(dim=1) + 0.1 * result.x.abs().sum(dim=1)
    torch.testing.assert_close(result.objective[0], zero, rtol=1e-12, atol=0)
    torch.testing.assert_close(result.objective[-1], last, rtol=1e-12, atol=0)


def test_on_the_way_the_history_has_the_accuracy_of_float32():
    A, b = problem()
    result = active_set(A, b, 0.003, keep_iterates=True)
    r = b - result.iterates @ A.T
    F = 0.5 * r.square().sum(dim=-1) + 0.003 * result.iterates.abs().sum(dim=-1)
    torch.testing.assert_close(result.objective, F, rtol=1e-4, atol=0)
    torch.testing.assert_close(result.objective[-1], F[-1], rtol=1e-12, atol=0)


@pytest.mark.parametrize("unit", [1e-30, 1e-9, 1e9, 1e30])
def test_units_that_float32_does_not_hold(unit):
    """The same guesses in other units, and to the same relative gap."""
    A, b = problem()
    one = active_set(A, b, 0.02, tol=1e-9)
    scaled = active_set(A, unit * b, 0.02 * unit, tol=1e-9 * unit**2)
    assert scaled.converged.all() and scaled.iterations <= one.iterations + 1
    torch.testing.assert_close(scaled.x / unit, one.x, rtol=0, atol=1e-6)


def test_what_cycles_goes_again_and_slower(monkeypatch):
    """A slower path ends where a fast one cycles: FISTA is out of reach."""
    monkeypatch.delattr(sys.modules[active_set.__module__], "fista")
    A, b = problem(seed=2, m=60, n=120, batch=200)
    path = _Path(A, Lasso.checked(A, b, 0.005), 1e-8, False, again=False)
    while path.guesses < path.most:
        path.guess()
    assert len(path.rows)
    result = path.finish()
    assert result.converged.all() and result.iterations > path.guesses
    assert (duality_gap(A, b, result.x, 0.005) <= 2e-8).all()


def test_padded_blocks_are_the_blocks():
    A, b = problem()
    active = torch.rand(30, 80, generator=torch.Generator().manual_seed(3)) < 0.2
    active[0], active[1, 1:], active[1, 0] = False, False, True
    z = _Gram(A.T @ A, 38).solve(b @ A, active)
    assert not z[~active].any()
    for i in (1, 7, 29):
        S = active[i]
        own = torch.linalg.solve(A[:, S].T @ A[:, S], A[:, S].T @ b[i])
        torch.testing.assert_close(z[i, S], own, rtol=0, atol=1e-9)


def test_systems_that_float32_cannot_solve_are_solved_in_float64():
    """On the way too: a block with two atoms that float32 cannot tell apart."""
    A, b = problem()
    A[:, 5] = A[:, 4] + 1e-5 * (A[:, 6] - (A[:, 6] @ A[:, 4]) * A[:, 4])
    path = _Path(A, Lasso.checked(A, b, 0.01), 1e-6, False, again=False)
    active = torch.zeros(30, 80, dtype=torch.bool)
    active[:, ::9], active[7] = True, False
    active[7, 4:6] = True
    assert not path.gram.solve(path.b, active)[7].isfinite().all()
    rhs = b @ A
    z, exact = path._solve(rhs, active), path.exact_gram.solve(rhs, active)
    torch.testing.assert_close(z[7], exact[7], rtol=1e-9, atol=0)
    assert z[7].any() and not torch.equal(z, exact)
    torch.testing.assert_close(z, exact, rtol=1e-4, atol=1e-4)


def test_float32_follows_and_says_where_it_ends():
    A, b = problem()
    result = active_set(A.float(), b.float(), 0.1, tol=1e-4)
    assert result.x.dtype == torch.float32 and result.converged.all()
    with pytest.warns(UserWarning, match="rounding ends"):
        assert not active_set(A.float(), b.float(), 0.1, tol=1e-9).converged.all()


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (dict(lam=0.0), "lam is 0: expected a positive weight, or fista"),
        (dict(lam=-1.0), r"lam is -1\.0"),
        (dict(tol=0.0), r"tol is 0\.0: expected a positive number"),
        (dict(b=torch.ones(2, 7)), "b has 7 columns but A has 40 rows"),
    ],
)
def test_refuses_by_name(options, shown):
    A, b = problem()
    options = {k: v.double() if torch.is_tensor(v) else v for k, v in options.items()}
    with pytest.raises(ValueError, match=shown):
        active_set(**{"A": A, "b": b, "lam": 0.1} | options)
