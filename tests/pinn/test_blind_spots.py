"""What a discretisation does not see of a problem is said before it trains."""

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from pinn import CPINN, FEM, HPVPINN, BoxFeatures, JetFNN, Problem, Vanilla, solve
from pinn._backend import dde
from pinn.forms.conditions import half_started, unfixed
from pinn.probing import find_jump
from tests.pinn.cases import seeded

LINE = dde.geometry.Interval(0, 1)
ENDS = dde.icbc.DirichletBC(LINE, lambda x: 0 * x, lambda x, on: on)
SMALL = Vanilla(20, hidden=(4,), resample=None)


def diffusion(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
    return -p


def bar(*places: float) -> Problem:
    """A bar whose conductivity grows tenfold at each of some places."""

    def flux(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        k = 10.0 ** sum((x > place).to(x) for place in places)
        return -k[..., None] * p

    value = dde.icbc.DirichletBC(LINE, lambda x: x, lambda x, on: on)
    return Problem(LINE, flux, conditions=[value])


def quiet(problem: Problem, method: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        solve(problem, method, iterations=1)


def test_finite_elements_name_a_jump_inside_an_element_and_take_one_at_an_edge() -> (
    None
):
    with pytest.warns(UserWarning, match=r"jumps at x\[0\] = 0.5, and FEM cannot"):
        solve(bar(0.5), FEM(63))
    quiet(bar(0.5), FEM(64))
    quiet(bar(0.3, 0.7), FEM([[0, 0.3, 0.7, 1]]))
    with pytest.warns(UserWarning, match=r"jumps at x\[0\] = 0.3, and FEM cannot"):
        solve(bar(0.3, 0.7), FEM([[0, 0.25, 0.7, 1]]))


def test_finite_elements_see_a_jump_along_either_axis() -> None:
    square = dde.geometry.Rectangle([0, 0], [1, 1])

    def flux(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        return -torch.where(x[:, 1:] < 0.4, 1.0, 3.0)[..., None] * p

    value = dde.icbc.DirichletBC(square, lambda x: x[:, :1], lambda x, on: on)
    problem = Problem(square, flux, conditions=[value])
    with pytest.warns(UserWarning, match=r"jumps at x\[1\] = 0.4, and FEM"):
        solve(problem, FEM(4))
    quiet(problem, FEM([2, [0, 0.4, 1]]))
    edges = [[0, 1], [0, 0.4, 1]]
    assert find_jump(flux, problem.probes(), edges) is None
    assert find_jump(flux, problem.probes(), [[0, 0.4, 1], [0, 1]]) is not None


def test_a_cut_of_cpinn_that_is_beside_the_jump_says_so() -> None:
    """It matched fluxes where nothing jumps, and bent nowhere."""
    method = CPINN([[0.4]], num_domain=20, num_interface=5, hidden=(4,))
    with pytest.warns(UserWarning, match="= 0.5, and Conservative .*only its cuts"):
        solve(bar(0.5), method, iterations=1)
    quiet(bar(0.4), method)


def peak(width: float, at: float) -> object:
    def source(x: Tensor, u: Tensor) -> Tensor:
        far = ((x - at) / width).square().sum(1, keepdim=True)
        return torch.exp(-far) / width

    return source


@pytest.mark.parametrize("width", [0.005, 0.0003])
def test_a_peak_between_the_points_is_named_however_narrow(width: float) -> None:
    """Four times the points do not see the narrow one either."""
    problem = Problem(LINE, diffusion, peak(width, 0.47), [ENDS])
    with pytest.warns(UserWarning, match=r"points is 15 per axis .* between them"):
        solve(problem, HPVPINN([[0, 0.5, 1]], hidden=(4,)), iterations=1)
    edges = [[0, 0.47 - 5 * width, 0.47 + 5 * width, 1]]
    quiet(problem, HPVPINN(edges, points=25, hidden=(4,)))


def test_a_peak_of_a_source_that_reads_u_is_seen_in_the_plane_too() -> None:
    square = dde.geometry.Rectangle([0, 0], [1, 1])
    value = dde.icbc.DirichletBC(square, lambda x: 0 * x[:, :1], lambda x, on: on)
    narrow = peak(0.02, 0.25)
    problem = Problem(square, diffusion, lambda x, u: narrow(x, u) - u, [value])
    with pytest.warns(UserWarning, match=r"points is 6 per axis"):
        solve(problem, HPVPINN(2, 2, points=6, hidden=(4,)), iterations=1)
    quiet(problem, HPVPINN(16, 2, points=5, hidden=(4,)))


def test_a_point_source_can_be_stated_as_the_message_says() -> None:
    tent = Problem(
        LINE,
        lambda x, u, p: -p - (x > 0.5).to(x)[..., None],
        conditions=[ENDS],
        exact=lambda x: torch.minimum(x, 1 - x) / 2,
    )
    assert solve(tent, FEM(4)).error() < 1e-12


RING = dde.geometry.GeometryXTime(LINE, dde.geometry.TimeDomain(0, 1))
WALLS = dde.icbc.DirichletBC(RING, lambda x: 0 * x[:, :1], lambda x, on: on)
VALUE = dde.icbc.IC(RING, lambda x: np.sin(np.pi * x[:, :1]), lambda x, on: on)
VELOCITY = dde.icbc.OperatorBC(
    RING,
    lambda x, y, X: dde.grad.jacobian(y, x, i=0, j=1),
    lambda x, _: np.isclose(x[1], 0),
)


def wave(conditions: list) -> Problem:
    return Problem(
        RING,
        lambda x, u, p: torch.stack([-p[..., 0], p[..., 1]], dim=-1),
        conditions=conditions,
    )


def test_a_wave_without_a_velocity_is_not_solved_in_silence() -> None:
    """Finite elements took the velocity at the end to be zero: error 0.56."""
    assert half_started(wave([WALLS, VALUE]))
    with pytest.warns(UserWarning, match="of its 2 conditions fewer than two hold"):
        solve(wave([WALLS, VALUE]), SMALL, iterations=1)
    with pytest.raises(ValueError, match="second order in time"):
        solve(wave([WALLS, VALUE]), FEM(4))
    assert not half_started(wave([WALLS, VALUE, VELOCITY]))
    quiet(wave([WALLS, VALUE, VELOCITY]), SMALL)


def test_what_is_of_first_order_in_time_needs_one_start() -> None:
    flow = Problem(
        RING,
        lambda x, u, p: torch.stack([-p[..., 0], u], dim=-1),
        conditions=[WALLS, VALUE],
    )
    assert not half_started(flow)
    assert not half_started(Problem(LINE, diffusion, conditions=[ENDS]))


def test_a_direction_that_looks_free_is_tried_before_it_is_said() -> None:
    """Unit steps of both components change as much; their difference changes, too."""

    def source(x: Tensor, u: Tensor) -> Tensor:
        return u.sum(1, keepdim=True) + torch.sin(2 * torch.pi * u[:, :1])

    pair = Problem(LINE, lambda x, u, p: -p.sum(1, keepdim=True), source, components=2)
    assert unfixed(pair) is None
    linear = Problem(
        LINE,
        lambda x, u, p: -p.sum(1, keepdim=True),
        lambda x, u: u.sum(1, keepdim=True),
        components=2,
    )
    assert "to component 0 and" in unfixed(linear)


def test_a_condition_that_is_not_linear_is_tried_along_the_direction() -> None:
    def ends(operator: object, right: bool) -> object:
        return dde.icbc.OperatorBC(
            LINE, operator, lambda x, on: on and (x[0] > 0.5) == right
        )

    right = ends(lambda x, y, X: y, right=True)
    turning = ends(lambda x, y, X: torch.sin(2 * torch.pi * y), right=False)
    assert unfixed(Problem(LINE, diffusion, conditions=[right, turning])) is None
    assert "x[0]" in unfixed(Problem(LINE, diffusion, conditions=[right]))


def test_a_given_network_on_a_large_domain_is_told_to_scale() -> None:
    """Up to T = 30 an unscaled network stayed at 0.74 with a loss of 4e-7."""
    wide = dde.geometry.Interval(10, 40)
    start = dde.icbc.DirichletBC(wide, lambda x: 0 * x + 1, lambda x, on: on)
    problem = Problem(wide, lambda x, u, p: -p, conditions=[start])
    with pytest.warns(UserWarning, match=r"net gets inputs from \[10.0\] to \[40.0\]"):
        solve(problem, SMALL, net=JetFNN([1, 6, 1], generator=seeded()), iterations=1)
    net = JetFNN([1, 6, 1], generator=seeded())
    net.apply_feature_transform(BoxFeatures([10], [40]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        solve(problem, SMALL, net=net, iterations=1)
    quiet(Problem(LINE, diffusion, conditions=[ENDS]), SMALL)
    for corners in (([0], [0]), ([0, 1], [1]), ([3], [2])):
        with pytest.raises(ValueError, match="expected rising pairs"):
            BoxFeatures(*corners)
