"""The solvers with operators for matrices, and with other penalties than l1."""

from functools import partial

import pytest
import torch

from unroll import SparseCoding, fista, ista
from unroll.operators import Blur, Convolution, FourierSample, Mask, Matrix, Operator
from unroll.penalties import L1, TV, GroupL21, NonNegativeL1, NuclearNorm

SOLVERS = {"ista": ista, "fista": fista, "restart": partial(fista, restart=True)}
every_solver = pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
restarted = partial(fista, restart=True)


def problem(seed=0, batch=4, m=15, n=30):
    generator = torch.Generator().manual_seed(seed)
    coding = SparseCoding.gaussian(m, n, generator, snr_db=20)
    return coding.A, coding.sample(batch, generator)[0]


def noise(*shape, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.empty(shape, dtype=dtype).normal_(generator=generator)


def dense(operator, like):
    """Return the matrix of an operator on ``x`` like these."""
    n = like[0].numel()
    columns = torch.eye(n, dtype=like.dtype).reshape(n, *like.shape[1:])
    return operator(columns).flatten(1).T


@every_solver
def test_the_operator_of_a_matrix_is_the_matrix(solve):
    A, b = problem()
    lam = torch.linspace(0.05, 0.3, 4)
    for options in ({"iterations": 40}, {"tol": 1e-6}):
        matrix = solve(A, b, lam, **options, keep_iterates=True)
        operator = solve(Matrix(A), b, lam, **options, keep_iterates=True)
        assert matrix.iterations == operator.iterations
        for part in ("x", "objective", "gap", "lam", "iterates"):
            found, expected = getattr(operator, part), getattr(matrix, part)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    start = solve(Matrix(A), b, lam, x0=matrix.x, iterations=0)
    assert torch.equal(start.x, matrix.x)


@every_solver
def test_l1_is_the_default(solve):
    A, b = problem()
    plain, named = (
        solve(A, b, 0.1, iterations=20, **p) for p in ({}, {"penalty": L1()})
    )
    assert torch.equal(plain.x, named.x) and torch.equal(plain.gap, named.gap)


OPERATORS = {
    "Mask": lambda: Mask(noise(5, 6) > 0),
    "Blur": lambda: Blur(noise(3, 3, seed=1), (5, 6)),
    "Convolution": lambda: Convolution(noise(3, 2, 2, seed=1), (4, 4)),
}


@every_solver
@pytest.mark.parametrize("name", OPERATORS)
def test_images_are_solved_as_their_flattened_selves(solve, name):
    """With two channels, or two sets of maps; one weight a sample; resting included."""
    operator = OPERATORS[name]()
    b = operator(noise(3, 2, *operator.domain, seed=2))
    lam = torch.tensor([0.1, 0.4, 1e3])  # the last one rests at once
    whole = solve(operator, b, lam, tol=1e-2, iterations=200)
    A = dense(operator, whole.x)
    step = 1 / operator.norm() ** 2
    flat = solve(A, b.flatten(1), lam, tol=1e-2, iterations=200, step_size=step)
    assert torch.equal(whole.converged, flat.converged) and whole.converged.any()
    torch.testing.assert_close(whole.x.flatten(1), flat.x, rtol=0, atol=1e-9)
    torch.testing.assert_close(whole.gap, flat.gap, rtol=0, atol=1e-10)


def test_a_complex_lasso_meets_its_optimality_conditions():
    """A* r = lam x / |x| where x is not 0, |A* r| <= lam elsewhere; gap certified."""
    wide = Matrix(noise(10, 20, dtype=torch.complex128) / 20**0.5)
    fourier = FourierSample.random((6, 8), 0.5, torch.Generator().manual_seed(0))
    for A in (wide, fourier):
        b = A(noise(3, *A.domain, dtype=torch.complex128, seed=1))
        result = restarted(A, b, 0.3, tol=1e-11)
        assert result.x.is_complex() and result.converged.all()
        for part in (result.gap, result.objective, result.lam):
            assert not part.is_complex()
        g, on = A.adjoint(b - A(result.x)), result.x != 0
        assert on.any() and not on.all()
        phase = result.x[on] / result.x[on].abs()
        torch.testing.assert_close(g[on], 0.3 * phase, rtol=0, atol=2e-5)
        assert (g[~on].abs() <= 0.3 + 2e-5).all()
        slow = ista(A, b, 0.3, tol=1e-11)
        torch.testing.assert_close(slow.x, result.x, rtol=0, atol=1e-4)


def test_a_complex_lasso_is_a_group_lasso_of_twice_the_size():
    """Real and imaginary part are a group of two: the same minimum, certified twice."""
    A = noise(8, 12, dtype=torch.complex128)
    b = noise(2, 8, dtype=torch.complex128, seed=1)
    whole = restarted(Matrix(A), b, 0.8, tol=1e-10)
    real = torch.stack(
        (torch.stack((A.real, -A.imag), -1), torch.stack((A.imag, A.real), -1)), 1
    ).reshape(16, 24)
    twice = restarted(
        real, torch.view_as_real(b).flatten(1), 0.8, penalty=GroupL21(2), tol=1e-10
    )
    x = torch.view_as_complex(twice.x.unflatten(1, (-1, 2)))
    torch.testing.assert_close(whole.x, x, rtol=0, atol=1e-5)
    torch.testing.assert_close(whole.objective[-1], twice.objective[-1])


@pytest.mark.parametrize(
    ("penalty", "shape"),
    [(NonNegativeL1(), (12,)), (GroupL21(3), (12,)), (NuclearNorm(), (3, 4))],
)
def test_the_gap_bounds_every_penalty(penalty, shape):
    """gap >= F(x) - min F, at random x and along the way; and it reaches 0."""

    class Rows(Operator):
        def __init__(self):
            super().__init__(shape)
            self.A = noise(9, 12)

        def forward(self, x):
            return x.reshape(len(x), 12) @ self.A.T

        def adjoint(self, b):
            return (b @ self.A).reshape(len(b), *shape)

    A, b = Rows(), noise(3, 9, seed=1)
    lam = 0.3 * penalty.polar(A.adjoint(b))
    best = restarted(A, b, lam, penalty=penalty, tol=1e-11)
    assert best.converged.all() and (best.x != 0).any()
    for k in (0, 1, 5, 30):
        some = fista(A, b, lam, penalty=penalty, iterations=k)
        assert (some.gap >= some.objective[-1] - best.objective[-1] - 1e-12).all()
    x0 = noise(3, *shape, seed=2).abs()
    far = ista(A, b, lam, penalty=penalty, x0=x0, iterations=0)
    assert (far.gap >= far.objective[-1] - best.objective[-1]).all()
    above = ista(A, b, 1.001 * lam / 0.3, penalty=penalty, tol=0.0)
    assert not above.x.any() and above.converged.all()  # R°(A* b) <= lam: x = 0
    below = restarted(A, b, 0.99 * lam / 0.3, penalty=penalty, iterations=50)
    assert below.x.flatten(1).any(dim=1).all()


def test_accelerated_rate_with_an_operator():
    """F(x_k) - F* <= 2 L ||x_0 - x*||^2 / (k + 1)^2: theorem 4.4, Beck and Teboulle."""
    A = OPERATORS["Convolution"]()
    b = A(noise(3, *A.domain))
    best = restarted(A, b, 0.2, tol=1e-12)
    assert best.converged.all()
    excess = fista(A, b, 0.2, iterations=200).objective - best.objective[-1]
    k = torch.arange(1, 201)[:, None]
    size = best.x.flatten(1).square().sum(dim=1)
    assert (excess[1:] <= 2 * A.norm() ** 2 * size / (k + 1) ** 2).all()


def test_denoising_by_total_variation_is_its_prox():
    """With A the identity one step of length 1 is the proximal map, and then rests."""
    A = Mask(torch.ones(5, 6, dtype=torch.bool))
    image = noise(2, 1, 5, 6)
    tv = TV(tol=1e-14)
    result = ista(A, A(image), 0.3, penalty=tv, iterations=1, step_size=1.0)
    torch.testing.assert_close(result.x, tv.prox(image, 0.3), rtol=0, atol=1e-6)
    again = ista(A, A(image), 0.3, penalty=tv, iterations=2, step_size=1.0)
    torch.testing.assert_close(again.x, result.x, rtol=0, atol=1e-6)
    assert result.gap.isnan().all() and not result.converged.any()


# Refusals

MASK = Mask(torch.tensor([[True, False], [True, True]]))
SEEN = torch.ones(2, 3, dtype=torch.float64)


class Nothing(Operator):
    def forward(self, x):
        return 0 * x

    adjoint = forward


@every_solver
@pytest.mark.parametrize(
    ("arguments", "error", "shown"),
    [
        (
            {"b": SEEN[:, :2]},
            ValueError,
            r"b has shape \(2, 2\): expected \(batch, .*3",
        ),
        ({"b": SEEN[0]}, ValueError, r"b has shape \(3,\): expected a batch"),
        ({"b": SEEN[:0]}, ValueError, r"b has shape \(0, 3\): expected a batch"),
        ({"b": [[1.0]]}, TypeError, "b is of type list: expected a torch.Tensor"),
        ({"b": SEEN / 0}, ValueError, r"b\[0, 0\] is inf"),
        ({"lam": -1.0}, ValueError, r"lam is -1\.0"),
        ({"lam": SEEN[:, 0].float()}, TypeError, "lam has dtype torch.float32"),
        ({"x0": SEEN}, ValueError, r"x0 has shape \(2, 3\).*expected \(2, 2, 2\)"),
        (
            {"x0": torch.ones(2, 2, 2).float()},
            ValueError,
            "x0 has .*float32.*as A.adjoint",
        ),
        ({"penalty": "l1"}, TypeError, "penalty is of type str: expected a Penalty"),
        (
            {"penalty": TV(), "tol": 1e-6},
            ValueError,
            "tol is 1e-06 but there is no duality gap with penalty TV",
        ),
        (
            {"A": Nothing((3,))},
            ValueError,
            "A has norm 0: expected an operator that is not zero",
        ),
        (
            {"step_size": 30.0, "iterations": 300},
            FloatingPointError,
            r"overflows with step_size 30: .* = 2",
        ),
    ],
)
def test_refuses_by_name(solve, arguments, error, shown):
    given = {"A": MASK, "b": SEEN, "lam": 0.1} | arguments
    with pytest.raises(error, match=shown):
        solve(**given)
