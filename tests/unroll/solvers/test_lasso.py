"""The duality gap and the objective: what every solver's result rests on."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unroll import SparseCoding, fista, ista


def problem(seed, batch=6, m=15, n=30):
    generator = torch.Generator().manual_seed(seed)
    coding = SparseCoding.gaussian(m, n, generator, snr_db=20)
    b, x = coding.sample(batch, generator)
    return coding.A, b, x


def primal(A, b, lam, x):
    return 0.5 * (b - x @ A.T).square().sum(dim=1) + lam * x.abs().sum(dim=1)


def dual(b, point):
    """The dual objective 1/2 ||b||^2 - 1/2 ||b - point||^2."""
    return 0.5 * b.square().sum(dim=1) - 0.5 * (b - point).square().sum(dim=1)


def evaluate(A, b, lam, x):
    """Objective and gap of any x: a solver that is given no iterations."""
    result = ista(A, b, lam, x0=x, iterations=0)
    return result.objective[0], result.gap


seeds, lams = st.integers(0, 10_000), st.floats(1e-3, 10)


@given(seeds, lams, st.floats(0, 2))
def test_gap_is_primal_minus_dual_at_a_feasible_point(seed, lam, size):
    A, b, x = problem(seed)
    x = size * x
    objective, gap = evaluate(A, b, lam, x)
    residual = b - x @ A.T
    correlation = (residual @ A).abs().amax(dim=1)
    feasible = residual * (lam / correlation).clamp(max=1)[:, None]
    expected = primal(A, b, lam, x) - dual(b, feasible)
    torch.testing.assert_close(objective, primal(A, b, lam, x), rtol=1e-12, atol=0)
    torch.testing.assert_close(gap, expected, rtol=1e-10, atol=1e-11)


@given(seeds, lams, st.floats(0, 2))
@settings(max_examples=25)
def test_gap_bounds_the_distance_to_the_minimum(seed, lam, size):
    """Gap >= F(x) - F(y) for any x and y, here y a near-solution."""
    A, b, x = problem(seed)
    objective, gap = evaluate(A, b, lam, size * x)
    best = fista(A, b, lam, iterations=200, restart=True)
    assert (gap >= 0).all()
    assert (gap >= objective - best.objective[-1] - 1e-12).all()


@given(seeds, lams, st.floats(0.01, 100))
def test_gap_and_objective_scale_with_the_square(seed, lam, c):
    A, b, x = problem(seed)
    objective, gap = evaluate(A, b, lam, x)
    scaled = evaluate(A, c * b, c * lam, c * x)
    torch.testing.assert_close(scaled[0], c**2 * objective, rtol=1e-12, atol=0)
    torch.testing.assert_close(scaled[1], c**2 * gap, rtol=1e-10, atol=1e-11 * c**2)


def test_gap_vanishes_at_a_solution_in_closed_form(generator):
    """With an orthonormal dictionary the Lasso is one soft threshold of A^T b."""
    A = torch.linalg.qr(torch.randn(8, 8, generator=generator)).Q
    b = torch.randn(5, 8, generator=generator)
    x = torch.nn.functional.softshrink(b @ A, 0.4)
    _, gap = evaluate(A, b, 0.4, x)
    assert gap.max() < 1e-14
    _, elsewhere = evaluate(A, b, 0.4, x + 0.01)
    assert elsewhere.min() > 1e-6


def test_above_the_largest_correlation_the_solution_is_zero():
    A, b, _ = problem(4)
    largest = (b @ A).abs().amax(dim=1)
    zero = torch.zeros(len(b), A.shape[1])
    assert evaluate(A, b, largest * (1 + 1e-12), zero)[1].max() == 0
    assert evaluate(A, b, largest * 0.99, zero)[1].min() > 0


def test_without_a_penalty_the_gap_is_the_data_term(generator):
    """lam = 0: only a solution of A x = b is certified, as documented."""
    A, b, x = problem(5)
    objective, gap = evaluate(A, b, 0.0, x)
    assert torch.equal(gap, objective)
    solution = b @ torch.linalg.pinv(A).T
    assert evaluate(A, b, 0.0, solution)[1].max() < 1e-24
    tall, b = torch.randn(30, 5, generator=generator), torch.randn(2, 30)
    least_squares = b @ torch.linalg.pinv(tall).T
    assert evaluate(tall, b, 0.0, least_squares)[1].min() > 0.1


def test_without_a_penalty_an_exactly_zero_gradient_is_certified():
    """r = 0 in the first entry, and the second is out of reach: g = 0, so gap 0."""
    A, b = torch.tensor([[1.0], [0.0]]), torch.tensor([[2.0, 3.0]])
    assert evaluate(A, b, 0.0, torch.tensor([[2.0]]))[1].item() == 0


def test_result_is_frozen():
    A, b, _ = problem(6)
    with pytest.raises(AttributeError, match="x"):
        ista(A, b, 1.0, iterations=1).x = b
