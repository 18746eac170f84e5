import pytest
import torch
from sklearn.datasets import load_diabetes

from unroll import SparseCoding, fista, ista


@pytest.fixture
def problem(generator):
    coding = SparseCoding.gaussian(30, 60, generator, snr_db=20)
    return coding.A, coding.sample(10, generator)[0]


def textbook(A, b, lam, iterations, restart):
    """One sample: the gradient is taken at the extrapolated point z, as published."""
    step = 1 / torch.linalg.matrix_norm(A, 2) ** 2
    x = z = torch.zeros(A.shape[1])
    t, restarts = 1.0, 0
    for _ in range(iterations):
        v = z + step * A.T @ (b - A @ z)
        x_next = v.sign() * (v.abs() - step * lam).clamp(min=0)
        t_next = (1 + (1 + 4 * t**2) ** 0.5) / 2
        uphill = (z - x_next) @ (x_next - x) > 0
        z = x_next + (t - 1) / t_next * (x_next - x)
        if restart and uphill:
            z, t_next, restarts = x_next, 1.0, restarts + 1
        x, t = x_next, t_next
    return x, restarts


@pytest.mark.parametrize("restart", [False, True])
def test_follows_its_equations(problem, restart):
    A, b = problem
    result = fista(A, b, 0.05, iterations=120, restart=restart)
    counts = set()
    for i in range(10):
        x, restarts = textbook(A, b[i], 0.05, 120, restart)
        counts.add(restarts)
        torch.testing.assert_close(result.x[i], x, rtol=0, atol=1e-12)
    assert (max(counts) > 0) == restart


def test_accelerated_rate_with_its_constant(problem):
    """F(x_k) - F* <= 2 L ||x_0 - x*||^2 / (k + 1)^2: theorem 4.4, Beck and Teboulle."""
    A, b = problem
    best = fista(A, b, 0.05, tol=1e-14, iterations=50_000, restart=True)
    L = torch.linalg.matrix_norm(A, 2) ** 2
    generator = torch.Generator().manual_seed(0)
    for x0 in (torch.zeros_like(best.x), torch.randn(10, 60, generator=generator)):
        excess = fista(A, b, 0.05, x0=x0, iterations=300).objective - best.objective[-1]
        k = torch.arange(1, 301)[:, None]
        bound = 2 * L * (x0 - best.x).square().sum(dim=1) / (k + 1) ** 2
        assert (excess[1:] <= bound).all()


def test_is_faster_than_ista(problem):
    A, b = problem
    slow = ista(A, b, 0.05, tol=1e-4, iterations=20_000)
    fast = fista(A, b, 0.05, tol=1e-4, iterations=20_000)
    assert slow.converged.all() and fast.converged.all()
    assert fast.iterations < slow.iterations / 2


def test_is_not_monotone_and_says_so(problem):
    A, b = problem
    objective = fista(A, b, 0.05, iterations=300).objective
    assert (objective[1:] > objective[:-1] * (1 + 1e-9)).any()


def test_restarts_pay_on_ill_conditioned_data():
    features, target = load_diabetes(return_X_y=True)
    A, b = torch.from_numpy(features), torch.from_numpy(target)[None]
    lam = 1e-3 * (b @ A).abs().max().item()
    plain = fista(A, b, lam, iterations=600)
    restarted = fista(A, b, lam, iterations=600, restart=True)
    assert restarted.gap < 1e-6 * plain.gap
