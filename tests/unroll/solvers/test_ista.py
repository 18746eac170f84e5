import pytest
import torch

from unroll import SparseCoding, fista, ista


@pytest.fixture
def problem(generator):
    coding = SparseCoding.gaussian(30, 60, generator, snr_db=20)
    return coding.A, coding.sample(10, generator)[0]


def test_follows_its_equation(problem):
    A, b = problem
    step = 1 / torch.linalg.matrix_norm(A, 2) ** 2
    x = torch.zeros(10, 60)
    for _ in range(25):
        v = x + step * (b - x @ A.T) @ A
        x = v.sign() * (v.abs() - step * 0.05).clamp(min=0)
    result = ista(A, b, 0.05, iterations=25)
    torch.testing.assert_close(result.x, x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("fraction", [0.3, 1.0])
def test_the_objective_never_increases(problem, fraction):
    A, b = problem
    step = fraction / torch.linalg.matrix_norm(A, 2).item() ** 2
    objective = ista(A, b, 0.05, iterations=500, step_size=step).objective
    assert (objective[1:] <= objective[:-1] * (1 + 1e-14)).all()
    assert (objective[-1] < 0.5 * objective[0]).all()


def test_converges_up_to_twice_the_step_and_not_beyond(problem):
    A, b = problem
    longest = 2 / torch.linalg.matrix_norm(A, 2).item() ** 2
    below = ista(A, b, 0.05, iterations=3000, step_size=0.99 * longest)
    assert below.gap.max() < 1e-4
    beyond = ista(A, b, 0.05, iterations=3000, step_size=1.05 * longest)
    assert (beyond.objective[-1] > 1e3 * beyond.objective[0]).any()


def test_sublinear_rate_with_its_constant(problem):
    """F(x_k) - F* <= L ||x_0 - x*||^2 / (2 k): theorem 3.1 of Beck and Teboulle."""
    A, b = problem
    best = fista(A, b, 0.05, tol=1e-14, iterations=50_000, restart=True)
    L = torch.linalg.matrix_norm(A, 2) ** 2
    generator = torch.Generator().manual_seed(0)
    for x0 in (torch.zeros_like(best.x), torch.randn(10, 60, generator=generator)):
        excess = ista(A, b, 0.05, x0=x0, iterations=300).objective - best.objective[-1]
        k = torch.arange(1, 301)[:, None]
        bound = L * (x0 - best.x).square().sum(dim=1) / (2 * k)
        assert (excess[1:] <= bound).all()


def test_never_moves_away_from_the_solution(problem):
    """The iteration is non-expansive, and the solution is its fixed point."""
    A, b = problem
    best = fista(A, b, 0.05, tol=1e-14, iterations=50_000, restart=True).x
    iterates = ista(A, b, 0.05, iterations=200, keep_iterates=True).iterates
    distance = (iterates - best).norm(dim=2)
    assert (distance[1:] <= distance[:-1] + 1e-6).all()
    again = ista(A, b, 0.05, x0=best, iterations=1).x
    torch.testing.assert_close(again, best, rtol=0, atol=1e-6)
