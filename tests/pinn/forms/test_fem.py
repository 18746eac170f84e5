"""Finite elements: to their order, with a quadratic Newton, and what they refuse."""

import math

import pytest
import torch

from pinn import Mesh, Problem, Wanted, fem, jet_of, mass_defect, zoo
from pinn._backend import dde


@pytest.mark.parametrize("degree, order", [(1, 2), (2, 3)])
def test_finite_elements_converge_at_their_order(degree: int, order: int) -> None:
    problem = zoo.helmholtz_2d(1)
    x = torch.rand(400, 2, generator=torch.Generator().manual_seed(1)).double()

    def error(elements: int) -> float:
        solution = fem(problem, Mesh(problem.geometry, elements), degree=degree)
        return (solution.predict(x) - problem.exact(x)).norm().item()

    assert math.log2(error(12) / error(24)) == pytest.approx(order, abs=0.3)


def test_finite_elements_solve_the_layer_of_burgers() -> None:
    problem = zoo.burgers(nu=0.05)
    mesh = Mesh(problem.geometry, [40, 20])
    solution = fem(problem, mesh)
    x = torch.rand(400, 2, generator=torch.Generator().manual_seed(1)).double()
    x[:, 0] = 2 * x[:, 0] - 1
    error = (solution.predict(x) - problem.exact(x)).norm() / problem.exact(x).norm()
    assert error < 2e-3
    steps = solution.newton
    assert steps[-1] < 1e-10 and steps[-2] < 1e-4, "Newton's method is quadratic"


def test_finite_elements_find_the_singular_corner() -> None:
    problem = zoo.l_shape()
    solution = fem(problem, Mesh(problem.geometry, 16))
    x = torch.tensor([[-0.5, 0.5], [0.5, -0.5], [-0.3, -0.7]], dtype=torch.float64)
    assert (solution.predict(x) - problem.exact(x)).abs().max() < 2e-3


def test_finite_elements_refuse_what_they_cannot_solve() -> None:
    flow = zoo.kovasznay()
    with pytest.raises(ValueError, match="degree is 1 and a component is a multiplier"):
        fem(flow, Mesh(flow.geometry, 2), degree=1)
    heat = zoo.heat()
    with pytest.raises(ValueError, match="degree is 3"):
        fem(heat, Mesh(heat.geometry, 2), degree=3)
    sharp = zoo.burgers()
    with pytest.raises(ValueError, match="after 2 steps"):
        fem(sharp, Mesh(sharp.geometry, 4), steps=2)


@pytest.mark.parametrize("name", ["helmholtz_2d", "poisson_1d_steep"])
def test_the_gradient_of_a_finite_element_function_is_its_own(name: str) -> None:
    problem = getattr(zoo, name)()
    solution = fem(problem, Mesh(problem.geometry, 7)).predict
    x = problem.probes()[0][:9]
    jet = jet_of(solution, x, Wanted.all(problem.dim))
    step = 1e-6
    for axis in range(problem.dim):
        move = torch.zeros_like(x)
        move[:, axis] = step
        slope = (solution(x + move) - solution(x - move)) / (2 * step)
        assert torch.allclose(jet.p[..., axis], slope, rtol=1e-6, atol=1e-6)
    assert jet.H.isnan().all(), "there are none"


def test_newtons_method_takes_one_step_where_all_is_linear() -> None:
    """Any derivative that is missing, inside or on a free face, costs more steps."""
    for problem in (zoo.heat(), zoo.helmholtz_2d(1), zoo.advection()):
        steps = fem(problem, Mesh(problem.geometry, 6)).newton
        assert len(steps) == 2 and steps[-1] < 1e-12


def test_newtons_method_is_quadratic_where_flux_and_source_are_not_linear() -> None:
    line = dde.geometry.Interval(0, 1)
    ends = dde.icbc.DirichletBC(line, lambda x: 0 * x, lambda x, on: on)

    def flux(x: torch.Tensor, u: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        return u[..., None] ** 2 - (1 + u[..., None]) * p

    problem = Problem(line, flux, lambda x, u: 5 - u**3, [ends])
    steps = fem(problem, Mesh(line, 12)).newton
    assert len(steps) <= 7 and steps[-2] < 1e-4 and steps[-1] < 1e-10


def test_what_flows_out_at_the_left_is_counted() -> None:
    line = dde.geometry.Interval(0, 1)
    entry = dde.icbc.DirichletBC(line, lambda x: 0 * x, lambda x, on: on and x[0] > 0.5)
    problem = Problem(
        line, lambda x, u, p: -u[..., None], lambda x, u: torch.cos(x), [entry]
    )
    x = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None]
    found = fem(problem, Mesh(line, 20)).predict(x)
    assert (found - (math.sin(1) - torch.sin(x))).abs().max() < 1e-4


def test_a_wave_leaves_a_square_at_the_left_and_below() -> None:
    square = dde.geometry.Rectangle([0, 0], [1, 1])

    def wave(x: torch.Tensor) -> torch.Tensor:
        return torch.sin(x[:, :1] - 2 * x[:, 1:])

    entry = dde.icbc.DirichletBC(
        square,
        lambda x: wave(torch.as_tensor(x)).numpy(),
        lambda x, on: on and max(x) > 1 - 1e-9,
    )
    speed = torch.tensor([-1.0, -0.5], dtype=torch.float64)
    problem = Problem(square, lambda x, u, p: u[..., None] * speed, None, [entry])
    x = torch.rand(50, 2, generator=torch.Generator().manual_seed(2)).double()
    found = fem(problem, Mesh(square, 10)).predict(x)
    assert (found - wave(x)).abs().max() < 5e-3


def test_points_outside_the_mesh_are_refused() -> None:
    line, ell = zoo.poisson_1d_steep(), zoo.l_shape()
    for problem, place in ((line, [1.5]), (line, [-1.5]), (ell, [0.5, 0.5])):
        solution = fem(problem, Mesh(problem.geometry, 4)).predict
        with pytest.raises(ValueError, match=r"x has points outside .* from \[-1.0"):
            solution(torch.tensor([place], dtype=torch.float64))


def test_finite_elements_conserve_only_as_well_as_they_do() -> None:
    """Gradients were lost, and every defect was 0.0."""
    coarse, fine = (
        mass_defect(zoo.heat(), fem(zoo.heat(), Mesh(zoo.heat().geometry, n)).predict)
        for n in (4, 16)
    )
    assert 1e-6 < fine < coarse / 2
