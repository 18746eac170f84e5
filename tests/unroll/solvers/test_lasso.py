"""The duality gap and the objective: what every solver's result rests on."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unroll import SparseCoding, active_set, amp, fista, ista


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


# Below the rounding floor


def test_float32_stops_where_rounding_does_and_says_so():
    """No iteration gets below the floor: 100 000 of them would be wasted."""
    A, b, _ = problem(3, m=40, n=80)
    A32, b32 = A.float(), b.float()
    for solve in (ista, partial(fista, restart=True)):
        with pytest.warns(UserWarning, match=r"rounding ends \d of 6 samples at a gap"):
            result = solve(A32, b32, 0.1, tol=1e-9)
        assert result.iterations < 20_000
        assert (result.stalled ^ result.converged).all() and result.stalled.any()
        assert (result.gap[result.stalled] > 1e-9).all()
        true = evaluate(A, b, 0.1, result.x.double())[1]  # the gap without rounding
        floor = 1.2e-7 * b.norm(dim=1) * (b.norm(dim=1) + result.x.abs().sum(dim=1))
        assert (true <= 10 * floor).all(), "it stopped because it could not go on"


@pytest.mark.parametrize("tol", [1e-4, 1e-10])
def test_nothing_stalls_where_the_tolerance_is_in_reach(tol, recwarn):
    A, b, _ = problem(3, m=40, n=80)
    result = fista(A, b, 0.1, tol=tol)  # without restarts its gap goes up and down
    assert result.converged.all() and not result.stalled.any()
    result = ista(A, b, 0.1, tol=1e-12, iterations=50)
    assert not result.converged.any() and not result.stalled.any()
    assert not recwarn


def test_a_stalled_sample_does_not_hold_the_others_up():
    A, b, _ = problem(3, m=40, n=80)
    b[0] *= 1e4
    with pytest.warns(UserWarning, match="rounding ends 1 of 6"):
        result = fista(A.float(), b.float(), 0.1, tol=1e-3, restart=True)
    assert result.stalled.tolist() == [True] + 5 * [False]
    assert result.converged[1:].all() and (result.gap[1:] <= 1e-3).all()


# Steps that are too long


@pytest.mark.parametrize("tol", [None, 1e-6])
def test_an_overflow_is_an_error_that_names_the_step(tol):
    A, b, _ = problem(0)
    most = 2 / torch.linalg.matrix_norm(A, 2).item() ** 2
    shown = rf"overflows with step_size {2 * most:.4g}: .* = {most:.4g}"
    with pytest.raises(FloatingPointError, match=shown):
        ista(A, b, 0.1, step_size=2 * most, iterations=2000, tol=tol)


# One weight per sample, or one per atom?


@pytest.mark.parametrize("solve", [ista, fista])
def test_a_column_is_one_weight_per_sample_whatever_the_batch(solve):
    A, b, _ = problem(1, batch=30)
    lam = torch.linspace(0.05, 0.4, 30)
    column = solve(A, b, lam[:, None], iterations=20)
    assert torch.equal(column.lam, lam)
    for i in (0, 29):
        one = solve(A, b[i : i + 1], lam[i].item(), iterations=20)
        torch.testing.assert_close(column.x[i], one.x[0], rtol=0, atol=1e-12)
    vector = solve(A, b[:7], lam[:7], iterations=20)
    torch.testing.assert_close(vector.x, column.x[:7], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("lam", "error", "shown"),
    [
        (
            torch.ones(30).double(),
            ValueError,
            r"lam has shape \(30,\), and both samples and ato",
        ),
        (
            torch.ones(30, 30).double(),
            ValueError,
            r"lam has shape \(30, 30\) but b has 30 rows",
        ),
        (torch.ones(1, 30).double(), ValueError, r"lam has shape \(1, 30\)"),
        ("0.1", TypeError, r"lam is '0\.1' of type str: expected a number"),
        (None, TypeError, "lam is None of type NoneType"),
    ],
)
def test_refuses_a_weight_that_could_be_either(lam, error, shown):
    A, b, _ = problem(1, batch=30)
    with pytest.raises(error, match=shown):
        fista(A, b, lam, iterations=2)


# Storage that the solvers cannot work on


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (torch.Tensor.half, r"A has dtype torch\.float16, too few digits"),
        (torch.Tensor.bfloat16, r"A has dtype torch\.bfloat16, too few"),
        (torch.Tensor.to_sparse, r"A has layout torch\.sparse_coo: expected a dense"),
        (torch.Tensor.to_sparse_csr, r"A has layout torch\.sparse_csr"),
        (lambda A: A + 0j, r"A has dtype torch\.complex128: expected a floating"),
    ],
)
def test_refuses_half_sparse_and_complex_by_name(kind, shown):
    A, b, _ = problem(0)
    with pytest.raises(TypeError, match=shown):
        fista(kind(A), b, 0.1)


@pytest.mark.parametrize("solver", [ista, fista, amp, active_set])
def test_refuses_numbers_whose_squares_leave_their_dtype(solver):
    """In float32 the gap would be NaN, and no iteration would reach a tolerance."""
    A, b, _ = (part.float() for part in problem(0))
    given = {"lam": 0.1} if solver is not amp else {}
    with pytest.raises(ValueError, match=r"b is as large as .*e\+\d\d, and its square"):
        solver(A, 1e30 * b, **given)
    for scale in (1e-30, 1e25):
        with pytest.raises(
            ValueError, match="A is as large as .*its square leaves the"
        ):
            solver(scale * A, b, **given)
    solver(A.double(), 1e30 * b.double(), **given)


@pytest.mark.parametrize("solver", [ista, fista, active_set])
def test_refuses_a_weight_that_the_dtype_does_not_hold(solver):
    A, b, _ = (part.float() for part in problem(0))
    with pytest.raises(
        ValueError, match=r"lam is 1e\+300: too large a number for torch"
    ):
        solver(A, b, 1e300)
    assert not solver(A.double(), b.double(), 1e300).x.any()
