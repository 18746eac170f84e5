"""LISTA that does not stop is the Lasso, and so is its gradient."""

import pytest
import torch
from torch import Tensor

from unroll import LISTA, SparseCoding, Unrolled, fista, soft_threshold
from unroll.equilibrium import IFT, Anderson, Broyden, Equilibrium, Picard


@pytest.fixture
def problem() -> SparseCoding:
    generator = torch.Generator().manual_seed(0)
    return SparseCoding.gaussian(12, 20, generator, density=0.15)


@pytest.mark.parametrize(
    "solver", [Picard(1e-14, 100_000), Anderson(10, tol=1e-14), Broyden(tol=1e-14)]
)
def test_lista_at_its_fixed_point_has_no_duality_gap(problem, solver) -> None:
    b, _ = problem.sample(4, torch.Generator().manual_seed(1))
    net = LISTA(problem.A, depth=1, lam=0.05)
    found = Equilibrium(net.layers[0], solver).solve(net.start(b), *net.given(b, 0))
    gap = fista(problem.A, b, 0.05, x0=found.z, iterations=0).gap
    assert gap.max() < 1e-12


def test_the_same_layer_runs_finitely_deep(problem) -> None:
    b, _ = problem.sample(4, torch.Generator().manual_seed(1))
    tied = LISTA(problem.A, depth=30, lam=0.05, tied=True)
    layer = tied.layers[0]
    found = Equilibrium(layer, Picard(1e-15, 31)).solve(tied.start(b), b, 0)
    again = Unrolled(problem.A, 30, lambda: layer, tied=True)
    again.given = lambda b, k: (b, 0)
    assert torch.equal(found.z, tied(b))
    assert torch.equal(again(b), tied(b))


def lasso_step(x: Tensor, b: Tensor, A: Tensor, lam: Tensor) -> Tensor:
    """One step of ISTA whose dictionary and weight may be differentiated."""
    with torch.no_grad():
        t = 1 / torch.linalg.matrix_norm(A, ord=2) ** 2
    return soft_threshold(x + t * (b - x @ A.T) @ A, t * lam)


def test_the_hypergradient_of_the_lasso_by_finite_differences(problem) -> None:
    """Bertrand et al. 2020, ICML: by the weight, and by the dictionary."""
    A = problem.A.clone().requires_grad_()
    lam = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)
    b, truth = problem.sample(3, torch.Generator().manual_seed(1))
    solver = Anderson(10, tol=1e-14, iterations=20_000)
    net = Equilibrium(lasso_step, solver, IFT(solver))

    def loss(A: Tensor, lam: Tensor) -> float:
        x = fista(A, b, lam.item(), tol=1e-15, restart=True).x
        return 0.5 * (x - truth).square().sum().item()

    x = net(torch.zeros_like(truth), b, A, lam)
    value = 0.5 * (x - truth).square().sum()
    by_A, by_lam = torch.autograd.grad(value, (A, lam))
    A, lam, h = A.detach(), lam.detach(), 1e-6
    slope = (loss(A, lam + h) - loss(A, lam - h)) / (2 * h)
    assert by_lam.item() == pytest.approx(slope, rel=1e-5)
    for i, j in ((0, 0), (3, 7), (11, 19), (5, 2)):
        change = torch.zeros_like(A)
        change[i, j] = h
        slope = (loss(A + change, lam) - loss(A - change, lam)) / (2 * h)
        assert by_A[i, j].item() == pytest.approx(slope, rel=1e-4, abs=1e-7)


def test_where_extrapolation_is_lost_it_goes_back(problem) -> None:
    """Without going back, a third of these samples run away to 1e4 and beyond."""
    b, _ = problem.sample(200, torch.Generator().manual_seed(1))
    net = LISTA(problem.A, depth=1, lam=0.05)
    for solver in (Anderson(10, tol=1e-12, iterations=3000), Broyden(tol=1e-12)):
        found = Equilibrium(net.layers[0], solver).solve(net.start(b), *net.given(b, 0))
        assert found.converged.double().mean() > 0.97
        assert found.z.abs().max() < 100
