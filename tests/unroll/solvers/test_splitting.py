"""ADMM and the primal-dual method: their equations, and the solutions of FISTA."""

from functools import partial

import pytest
import torch

from unroll import SparseCoding, admm, fista, primal_dual
from unroll.operators import Blur, FourierSample, Gradient, Mask, Matrix, Ray
from unroll.penalties import TV, GroupL21, NonNegativeL1, NuclearNorm

SOLVERS = {"admm": admm, "primal_dual": primal_dual}
every_solver = pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
restarted = partial(fista, restart=True)
EXACT = {"rtol": 0, "atol": 1e-12}


def problem(seed=0, batch=4, m=15, n=30):
    generator = torch.Generator().manual_seed(seed)
    coding = SparseCoding.gaussian(m, n, generator, snr_db=20)
    return coding.A, coding.sample(batch, generator)[0]


def noise(*shape, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.empty(shape, dtype=dtype).normal_(generator=generator)


def soft(v, theta):
    return v.sign() * (v.abs() - theta).clamp(min=0)


# Their equations


def test_admm_follows_its_equations():
    """One sample at a time, as published, the system solved by a factorisation."""
    A, b = problem()
    lam, rho = torch.linspace(0.05, 0.2, 4), 0.7
    found = admm(A, b, lam, rho=rho, iterations=30, keep_iterates=True).iterates
    system = A.T @ A + rho * torch.eye(30)
    for i in range(4):
        z = u = torch.zeros(30)
        for k in range(30):
            x = torch.linalg.solve(system, A.T @ b[i] + rho * (z - u))
            z = soft(x + u, lam[i] / rho)
            u = u + x - z
            torch.testing.assert_close(found[k + 1, i], z, rtol=0, atol=1e-6)


def test_primal_dual_follows_its_equations():
    A, b = problem()
    lam, tau = torch.linspace(0.05, 0.2, 4), 0.3
    sigma = 1 / (tau * torch.linalg.matrix_norm(A, 2) ** 2)
    found = primal_dual(
        A, b, lam, step_size=tau, iterations=30, keep_iterates=True
    ).iterates
    for i in range(4):
        x, ahead, q = torch.zeros(30), torch.zeros(30), torch.zeros(15)
        for k in range(30):
            q = (q + sigma * (A @ ahead - b[i])) / (1 + sigma)
            x_next = soft(x - tau * A.T @ q, tau * lam[i])
            x, ahead = x_next, 2 * x_next - x
            torch.testing.assert_close(found[k + 1, i], x, **EXACT)


def test_both_follow_their_equations_with_total_variation():
    """K is the gradient: dense matrices, one image at a time."""
    blur, lam, rho = Blur(noise(3, 3).abs() / 9, (4, 5)), 0.1, 0.5
    b = blur(noise(2, 4, 5, seed=1))
    pixels = torch.eye(20).reshape(20, 4, 5)
    A, K = blur(pixels).flatten(1).T, Gradient()(pixels).flatten(1).T
    options = {"penalty": TV(), "iterations": 25, "keep_iterates": True}
    by_admm = admm(blur, b, lam, rho=rho, **options).iterates.flatten(2)
    by_pd = primal_dual(blur, b, lam, **options).iterates.flatten(2)
    system = A.T @ A + rho * K.T @ K
    step = (blur.norm() ** 2 + 8) ** -0.5

    def shrunk(v, theta):
        pairs = v.reshape(-1, 2)
        lengths = pairs.norm(dim=1, keepdim=True).clamp(min=1e-300)
        return (pairs * (1 - theta / lengths).clamp(min=0)).flatten()

    for i in range(2):
        data, z, u = b[i].flatten(), torch.zeros(40), torch.zeros(40)
        x, ahead, q, p = torch.zeros(20), torch.zeros(20), 0 * data, torch.zeros(40)
        for k in range(25):
            v = torch.linalg.solve(system, A.T @ data + rho * K.T @ (z - u))
            z = shrunk(K @ v + u, lam / rho)
            u = u + K @ v - z
            torch.testing.assert_close(by_admm[k + 1, i], v, rtol=0, atol=1e-6)
            q = (q + step * (A @ ahead - data)) / (1 + step)
            p = p + step * K @ ahead
            p = p - shrunk(p, lam)  # what is left is inside the discs
            x_next = x - step * (A.T @ q + K.T @ p)
            x, ahead = x_next, 2 * x_next - x
            torch.testing.assert_close(by_pd[k + 1, i], x, **EXACT)


# Solutions


def test_all_agree_on_the_lasso_to_their_gap():
    A, b = problem(batch=2)
    best = restarted(A, b, 0.1, tol=1e-11)
    for solve in (partial(admm, rho=0.3), primal_dual):
        result = solve(A, b, 0.1, tol=1e-8)
        assert result.converged.all() and (result.gap <= 1e-8).all()
        assert (result.objective[-1] - best.objective[-1]).abs().max() <= 1e-8
        torch.testing.assert_close(result.x, best.x, rtol=0, atol=1e-3)
        operator = solve(Matrix(A), b, 0.1, iterations=5)
        matrix = solve(A, b, 0.1, iterations=5)
        torch.testing.assert_close(operator.x, matrix.x, rtol=0, atol=1e-12)


PENALTIES = {
    "NonNegativeL1": (NonNegativeL1(), Ray((3, 3), 4), (1, 3, 3)),
    "GroupL21": (GroupL21(4), Mask.random((4, 4), 0.7), (2, 4, 4)),
    "NuclearNorm": (NuclearNorm(), Blur.gaussian(0.7, (4, 4), radius=1), (1, 4, 4)),
}


@every_solver
@pytest.mark.parametrize("name", PENALTIES)
def test_all_agree_with_operators_and_penalties(solve, name):
    penalty, _, shape = PENALTIES[name]
    A = PENALTIES[name][1].to(torch.float64)
    b = A(noise(3, *shape))
    lam = 0.2 * penalty.polar(A.adjoint(b))
    best = restarted(A, b, lam, penalty=penalty, tol=1e-10)
    result = solve(A, b, lam, penalty=penalty, tol=1e-4, iterations=20_000)
    assert best.converged.all() and result.converged.all()
    assert (result.objective[-1] - best.objective[-1]).abs().max() <= 1e-4
    assert (best.x != 0).any()


@every_solver
def test_a_complex_lasso_is_that_of_fista(solve):
    A = FourierSample.random((5, 6), 0.5, torch.Generator().manual_seed(0))
    b = A(noise(2, 5, 6, dtype=torch.complex128))
    best = restarted(A, b, 0.3, tol=1e-11)
    result = solve(A, b, 0.3, tol=1e-9)
    assert result.converged.all() and result.x.is_complex()
    torch.testing.assert_close(result.x, best.x, rtol=0, atol=1e-4)


@every_solver
def test_denoising_is_the_proximal_map_of_total_variation(solve):
    """A is the identity: the prox, whose error its own gap certifies, is the answer."""
    A = Mask(torch.ones(5, 6, dtype=torch.bool))
    images = noise(2, 1, 5, 6, dtype=torch.complex128)
    lam = torch.tensor([0.1, 0.5])
    exact = TV(tol=1e-15).prox(images, lam.reshape(2, 1, 1, 1))
    many = 100 if solve is admm else 600
    result = solve(A, A(images), lam, penalty=TV(), iterations=many)
    torch.testing.assert_close(result.x, exact, rtol=0, atol=5e-4)
    assert result.gap.isnan().all() and not result.converged.any()
    with pytest.raises(ValueError, match=r"tol is 1\.0 but .* gap with penalty TV"):
        solve(A, A(images), lam, penalty=TV(), tol=1.0)


def test_deblurring_by_total_variation_is_the_same_by_three_methods():
    """FISTA takes the prox, ADMM splits the gradient off, the third has its dual."""
    A = Blur.gaussian(0.6, (6, 6), radius=1).to(torch.float64)
    b = A(noise(1, 1, 6, 6)) + 0.1 * noise(1, 1, 6, 6, seed=1)
    options = {"lam": 0.05, "penalty": TV(tol=1e-10)}
    one = restarted(A, b, **options, iterations=30)
    two = admm(A, b, **options, iterations=50, rho=0.3)
    three = primal_dual(A, b, **options, iterations=800, step_size=1.0)
    for other in (two, three):
        assert abs(other.objective[-1] - one.objective[-1]).item() < 1e-4
        torch.testing.assert_close(other.x, one.x, rtol=0, atol=1e-2)


# What the loop promises, here, too


@every_solver
def test_solving_more_problems_changes_none(solve):
    A, b = problem()
    lam = torch.linspace(0.1, 0.6, 4)
    whole = solve(A, b, lam, tol=1e-6)
    finished = set()
    for i in range(4):
        one = solve(A, b[i : i + 1], lam[i].item(), tol=1e-6)
        finished.add(one.iterations)
        torch.testing.assert_close(whole.x[i], one.x[0], rtol=0, atol=1e-10)
        history = whole.objective[: one.iterations + 1, i]
        torch.testing.assert_close(history, one.objective[:, 0], rtol=0, atol=1e-10)
    assert len(finished) > 1 and whole.iterations == max(finished)


@every_solver
def test_a_start_at_the_solution_stays_and_dtype_follows(solve):
    A, b = problem()
    x = restarted(A, b, 0.1, tol=1e-12).x
    rests = solve(A, b, 0.1, x0=x, tol=1e-10)
    assert rests.iterations == 0 and torch.equal(rests.x, x)
    narrow = solve(A.float().requires_grad_(), b.float(), 0.1, iterations=3)
    assert narrow.x.dtype == narrow.gap.dtype == torch.float32
    assert not narrow.x.requires_grad


@every_solver
@pytest.mark.parametrize(
    ("arguments", "error", "shown"),
    [
        ({"lam": -1.0}, ValueError, r"lam is -1\.0"),
        (
            {"b": torch.ones(2, 4).double()},
            ValueError,
            "b has 4 columns but A has 3 rows",
        ),
        ({"x0": torch.ones(2, 3).double()}, ValueError, "x0 has 3 columns but A has 4"),
        ({"penalty": 3}, TypeError, "penalty is of type int"),
        (
            {"penalty": TV()},
            ValueError,
            r"x has shape \(2, 4\): expected \(batch, .*hei",
        ),
        ({"iterations": -1}, ValueError, "iterations is -1"),
    ],
)
def test_refuses_by_name(solve, arguments, error, shown):
    with pytest.raises(error, match=shown):
        solve(**{"A": torch.eye(3, 4), "b": torch.ones(2, 3), "lam": 0.1} | arguments)


def test_refuses_steps_that_are_not_positive():
    A, b = problem()
    with pytest.raises(ValueError, match=r"rho is 0\.0: expected a positive number"):
        admm(A, b, 0.1, rho=0.0)
    with pytest.raises(ValueError, match=r"step_size is -1\.0: expected a positive"):
        primal_dual(A, b, 0.1, step_size=-1.0)
