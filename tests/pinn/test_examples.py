"""What the benchmark of DeepXDE's examples states is solved by what it calls exact."""

import numpy as np
import pytest
import torch

from pinn import FEM, jet_of, solve
from pinn._backend import dde
from tests.benchmarks.pinn.examples import EXAMPLES

MEASURED = "Allen-Cahn"  # its reference has no derivatives


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != MEASURED])
def test_both_statements_are_solved_by_the_solution(name: str) -> None:
    example = EXAMPLES[name]()
    problem = example.problem
    inside = torch.as_tensor(problem.geometry.random_points(200)).double()
    jet = jet_of(problem.exact, inside, problem.wanted)
    most = 1e-9 * (1 + jet.p.abs().max()) ** 2
    assert problem.strong_residual(inside, jet).abs().max() < most
    x = inside.requires_grad_()
    dde.grad.clear()
    y = problem.exact(x)
    if example.theirs.conditions:
        y = y[:, :1]
    found = example.theirs.pde(x, y)
    for r in found if isinstance(found, list) else [found]:
        assert r.abs().max() < most
    dde.grad.clear()


@pytest.mark.parametrize("name", EXAMPLES)
def test_conditions_hold_for_the_solution(name: str) -> None:
    problem = EXAMPLES[name]().problem
    parts = [problem.geometry.random_boundary_points(100)]
    if hasattr(problem.geometry, "random_initial_points"):
        parts.append(problem.geometry.random_initial_points(100))
    points = np.vstack(parts).astype(float)
    for condition in problem.conditions:
        here = condition.collocation_points(points)
        x = torch.as_tensor(here).requires_grad_()
        dde.grad.clear()
        y = problem.exact(x)
        error = condition.error(here, x, y, 0, len(here))
        assert len(here)
        assert error.abs().max() < 1e-6
    dde.grad.clear()


def test_the_reference_that_is_computed_is_that_of_finite_elements() -> None:
    problem = EXAMPLES[MEASURED]().problem
    coarse, fine = (solve(problem, FEM(n)).error() for n in (16, 32))
    assert fine < 0.02 and coarse / fine > 3
