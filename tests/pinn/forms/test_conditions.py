"""What conditions leave free, what they miss, and where their values come from."""

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from pinn import (
    CPINN,
    FEM,
    HPVPINN,
    HardConstraint,
    HardPINN,
    JetFNN,
    Problem,
    Strong,
    SubdomainFNN,
    Vanilla,
    solve,
    zoo,
)
from pinn._backend import dde
from pinn.forms.conditions import unfixed
from tests.pinn.cases import seeded

LINE = dde.geometry.Interval(0, 1)
SQUARE = dde.geometry.Rectangle([0, 0], [1, 1])
HEAT = zoo.heat()
ENDS = dde.icbc.DirichletBC(LINE, lambda x: 0 * x, lambda x, on: on)


def diffusion(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
    return -p


def test_a_pressure_up_to_a_constant_is_said() -> None:
    flow = zoo.kovasznay()
    velocities = [c for c in flow.conditions if c.component != 2]
    assert len(velocities) < len(flow.conditions)
    loose = Problem(flow.geometry, flow.flux, flow.source, velocities, components=3)
    assert unfixed(loose) == "1 to component 2"
    with pytest.warns(UserWarning, match="adding 1 to component 2 changes neither"):
        solve(loose, Vanilla(20, hidden=(4,), resample=None), iterations=1)


def test_a_start_fixes_what_no_boundary_fixes() -> None:
    started = Problem(HEAT.geometry, HEAT.flux, None, HEAT.conditions[1:])
    assert unfixed(started) is None
    assert unfixed(Problem(HEAT.geometry, HEAT.flux)) is not None


def test_a_hard_constraint_that_misses_the_start_or_misses_by_little_is_refused() -> (
    None
):
    late = HardConstraint(HEAT.exact, lambda x: x[:, :1] * (1 - x[:, :1]))
    off = HardConstraint(
        lambda x: HEAT.exact(x) + 1e-3, lambda x: x[:, :1] * (1 - x[:, :1]) * x[:, 1:]
    )
    for hard, missed in ((late, r"\[1\], a IC"), (off, r"\[0\], a DirichletBC")):
        problem = Problem(HEAT.geometry, HEAT.flux, None, HEAT.conditions, hard=hard)
        with pytest.raises(ValueError, match=rf"conditions{missed}, is missed by"):
            solve(problem, HardPINN(20, hidden=(4,)), iterations=1)


def test_a_network_with_a_transform_of_its_own_keeps_it() -> None:
    problem = Problem(
        LINE,
        diffusion,
        conditions=[ENDS],
        hard=HardConstraint(lambda x: 0 * x, lambda x: x * (1 - x)),
    )
    net = JetFNN([1, 4, 1], generator=seeded())
    net.apply_output_transform(lambda x, y: torch.sin(torch.pi * x) * y)
    kept = net._output_transform
    solve(problem, HardPINN(20), net=net, iterations=1)
    assert net._output_transform is kept


def test_subdomain_networks_in_single_precision_are_refused() -> None:
    method = CPINN([[0.5]], 20, 9, num_interface=5, hidden=(4,))
    net = SubdomainFNN(method.partition(HEAT), [2, 4, 1], generator=seeded()).float()
    with pytest.raises(ValueError, match="net has parameters in torch.float32"):
        solve(HEAT, method, net=net, iterations=1)


def test_an_initial_value_that_learns_is_refused() -> None:
    unknown = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    start = dde.icbc.IC(
        HEAT.geometry, lambda x: unknown * torch.ones(len(x), 1), lambda x, on: on
    )
    problem = Problem(HEAT.geometry, HEAT.flux, None, [HEAT.conditions[0], start])
    with pytest.raises(ValueError, match=r"conditions\[1\], a IC, has a value that"):
        solve(problem, HPVPINN(2, degree=2, num_sides=9), iterations=1)


def test_the_shape_of_the_solution_counts_components() -> None:
    flow = zoo.kovasznay()
    wrong = Problem(
        flow.geometry,
        flow.flux,
        flow.source,
        flow.conditions,
        lambda x: x[:, :1],
        components=3,
    )
    with pytest.raises(ValueError, match=r"exact\(x\) has shape .*: expected \(32, 3"):
        solve(wrong, Vanilla(20, hidden=(4,)), iterations=1)


def test_a_quadrature_that_is_off_by_a_few_per_cent_says_so() -> None:
    def hill(x: Tensor, u: Tensor) -> Tensor:
        return torch.exp(-(((x - 0.47) / 0.04) ** 2))

    problem = Problem(LINE, diffusion, hill, [ENDS])
    with pytest.warns(UserWarning, match=r"off by \d+% of those with 60"):
        solve(problem, HPVPINN(1, degree=5, hidden=(4,)), iterations=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        solve(problem, HPVPINN(8, degree=5, hidden=(4,)), iterations=1)


def test_a_hole_inside_an_element_is_no_domain_for_finite_elements() -> None:
    hole = dde.geometry.Disk([0.6, 0.5], 0.05)
    holed = dde.geometry.Rectangle([0, 0], [1, 1]) - hole
    value = dde.icbc.DirichletBC(holed, lambda x: 0 * x[:, :1] + 1, lambda x, on: on)
    problem = Problem(holed, diffusion, conditions=[value])
    with pytest.raises(ValueError, match="border of the geometry runs through the el"):
        solve(problem, FEM([[0, 0.2, 0.45, 1], [0, 0.35, 1]]))


@pytest.mark.parametrize(
    "space",
    [SQUARE, SQUARE - dde.geometry.Disk([0.5, 0.5], 0.2)],
    ids=["box", "box with a hole"],
)
def test_no_normal_is_asked_for_at_a_corner_that_lasts(space: object) -> None:
    lasting = dde.geometry.GeometryXTime(space, dde.geometry.TimeDomain(0, 1))
    for geometry in (space, lasting):
        flat = dde.icbc.NeumannBC(geometry, lambda x: 0 * x[:, :1], lambda x, on: on)
        data = Strong(Problem(geometry, diffusion, conditions=[flat]), 10, 200)
        x = data.train_x_bc[:, :2]
        at_corner = (np.isclose(x, 0) | np.isclose(x, 1)).all(axis=1)
        assert len(x) > 100 and not at_corner.any()


def test_a_strength_that_learns_is_learned_by_a_weak_form() -> None:
    """The load of the first call used to stay: 0.30 for a truth of 1."""
    strength = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    problem = Problem(LINE, diffusion, lambda x, u: strength * (1 + 0 * x), [ENDS])
    data = HPVPINN(2, degree=3).data(problem)
    net = JetFNN([1, 4, 1], generator=seeded())
    with torch.no_grad():
        data.residual_vector(net)
    before = data.residual_vector(net)
    (slope,) = torch.autograd.grad(before.square().sum(), strength)
    with torch.no_grad():
        strength += 1e-5
        change = data.residual_vector(net).square().sum() - before.square().sum()
    assert slope.item() == pytest.approx(change.item() / 1e-5, rel=1e-3)
