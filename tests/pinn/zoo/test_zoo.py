"""Every problem of the zoo: its solution fulfils every form, and the conditions."""

import numpy as np
import pytest
import torch

from pinn import WeakForm, jet_of, zoo
from tests.pinn.cases import CASES, Case, smooth_points


def test_every_problem_has_a_case() -> None:
    assert sorted(case.name for case in CASES) == sorted(zoo.__all__)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_the_solution_has_no_strong_residual(case: Case) -> None:
    problem, x = case.problem, smooth_points(case)
    jet = jet_of(problem.exact, x, problem.wanted)
    scale = max(1.0, jet.H.nan_to_num().abs().max().item())
    assert problem.strong_residual(x, jet).abs().max() < case.strong * scale
    wrong = jet_of(lambda x: problem.exact(x) + 1e-3 * x.square().sum(1, True), x,
                   problem.wanted)  # fmt: skip
    assert problem.strong_residual(x, wrong).abs().max() > 1e-5, "cannot see an error"


@pytest.mark.parametrize("hats", [False, True])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_the_solution_has_no_weak_residual(case: Case, hats: bool) -> None:
    problem = case.problem
    form = WeakForm(problem, case.mesh(problem), points=case.points, hats=hats)
    R = form.residual(jet_of(problem.exact, form.x, form.wanted))
    assert R.shape == (form.tests, problem.equations)
    assert R.abs().max() < case.weak


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_the_solution_fulfils_the_conditions(case: Case) -> None:
    problem = case.problem
    geometry = problem.geometry
    rng = np.random.get_state()
    np.random.seed(0)
    x = geometry.random_boundary_points(60)
    if problem.in_time:
        x = np.vstack([x, geometry.random_initial_points(60)])
    np.random.set_state(rng)
    for condition in problem.conditions:
        points = condition.collocation_points(x)
        assert len(points) > 5
        inputs = torch.tensor(points).requires_grad_()
        outputs = problem.exact(inputs)
        if getattr(condition, "derivative_order", 0) == 1:
            continue  # the kink at t = 0 has no slope
        error = condition.error(points, inputs, outputs, 0, len(points))
        # The kink of Allen-Cahn's initial value is only as sharp as 1024 modes.
        assert error.abs().max() < (1e-3 if case.name == "allen_cahn" else 1e-12)


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.problem.hard], ids=lambda c: c.name
)
def test_the_hard_constraint_fulfils_the_conditions(case: Case) -> None:
    problem = case.problem
    geometry = problem.geometry
    x = geometry.uniform_boundary_points(24)
    if problem.in_time:
        x = np.vstack([x, geometry.uniform_initial_points(12)])
    for condition in problem.conditions:
        if hasattr(condition, "component_x"):
            continue  # periodicity is for the features
        points = condition.collocation_points(x)
        inputs = torch.tensor(points)
        outputs = problem.hard(inputs, torch.full((len(points), 1), 7.0))
        error = condition.error(points, inputs, outputs, 0, len(points))
        assert error.abs().max() < 1e-12, type(condition).__name__
    inner = smooth_points(case, 20)
    moved = problem.hard(inner, torch.ones(20, 1)) - problem.hard(
        inner, 0 * inner[:, :1]
    )
    assert (moved.abs() > 0).all(), "the network is heard inside"


def test_buckley_leverett_fulfils_the_jump_condition_and_the_entropy_condition() -> (
    None
):
    problem = zoo.buckley_leverett(mobility=0.5)
    front = (0.5 / 1.5) ** 0.5

    def through(u: float) -> torch.Tensor:
        u = torch.tensor([[u]], dtype=torch.float64, requires_grad=True)
        return problem.flux(torch.zeros(1, 2), u, torch.zeros(1, 1, 2))[0, 0, 0], u

    f, u = through(front)
    (slope,) = torch.autograd.grad(f, u)
    shock = f.item() / front
    assert slope.item() == pytest.approx(shock, abs=1e-14), "Welge's tangent"
    t = 0.4
    places = [[(1 - 1e-9) * shock * t, t], [(1 + 1e-9) * shock * t, t]]
    x = torch.tensor(places, dtype=torch.float64)
    assert problem.exact(x).flatten().tolist() == pytest.approx([front, 0], abs=1e-6)


def test_the_water_in_buckley_leverett_is_what_flowed_in() -> None:
    problem = zoo.buckley_leverett()
    x = torch.linspace(0, 1, 200_001, dtype=torch.float64)
    points = torch.stack(
        [(x[1:] + x[:-1]) / 2, torch.full((200_000,), 0.5).double()], 1
    )
    assert problem.exact(points).mean().item() == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize(
    "make, value",
    [
        (lambda v: zoo.burgers(nu=v), -1.0),
        (lambda v: zoo.heat(diffusivity=v), 0.0),
        (lambda v: zoo.advection(speed=v), -2.0),
        (lambda v: zoo.allen_cahn(diffusivity=v), 0.0),
        (lambda v: zoo.kovasznay(reynolds=v), -20.0),
        (lambda v: zoo.buckley_leverett(mobility=v), float("inf")),
        (lambda v: zoo.helmholtz_2d(waves=v), 0),
    ],
)
def test_a_parameter_out_of_range_is_refused(make: object, value: float) -> None:
    with pytest.raises(ValueError, match=f"is {value}"):
        make(value)
