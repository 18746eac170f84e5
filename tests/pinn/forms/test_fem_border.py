"""Finite elements: every condition, systems, three coordinates, what they refuse."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pinn import (
    FEM,
    Mean,
    Mesh,
    Problem,
    fem,
    load,
    relative_error,
    solve,
    test_points,
    zoo,
)
from pinn._backend import dde
from pinn.forms.tangent import partners

icbc, SQUARE = dde.icbc, dde.geometry.Rectangle([0, 0], [1, 1])
LINE = dde.geometry.Interval(0, 1)


def diffusion(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
    return -p


def harmonic(x: Tensor) -> Tensor:
    return torch.exp(x[:, :1]) * torch.sin(x[:, 1:])


def as_numpy(function: Callable[[Tensor], Tensor]) -> Callable:
    return lambda x: function(torch.as_tensor(x)).numpy()


def part(function: Callable[[Tensor], Tensor], c: int) -> Callable:
    return lambda x: function(x)[:, c : c + 1]


def right(x: np.ndarray, on: bool) -> bool:
    return on and np.isclose(x[0], 1)


def elsewhere(x: np.ndarray, on: bool) -> bool:
    return on and not np.isclose(x[0], 1)


def error(problem: Problem, mesh: Any, **options: Any) -> float:
    found = fem(problem, mesh, **options).predict
    return relative_error(problem, found, test_points(problem, 1000))


SLOPES = {
    "Neumann": icbc.NeumannBC(SQUARE, as_numpy(harmonic), right),
    "Robin": icbc.RobinBC(SQUARE, lambda x, u: 2 * as_tensor(x) - u, right),
    "operator": icbc.OperatorBC(
        SQUARE, lambda x, y, X: 2 * dde.grad.jacobian(y, x, i=0, j=0) - 2 * y, right
    ),
}


def as_tensor(x: np.ndarray) -> Tensor:
    return harmonic(torch.as_tensor(x))


@pytest.mark.parametrize("name", SLOPES)
def test_a_slope_is_met_at_the_order_of_the_elements(name: str) -> None:
    """At the right side the slope is the value: exp(x) sin(y)."""
    rest = icbc.DirichletBC(SQUARE, as_numpy(harmonic), elsewhere)
    problem = Problem(SQUARE, diffusion, None, [SLOPES[name], rest], harmonic)
    coarse, fine = (error(problem, Mesh(SQUARE, n)) for n in (4, 8))
    assert fine < 5e-5 and math.log2(coarse / fine) == pytest.approx(3, abs=0.4)
    steps = fem(problem, Mesh(SQUARE, 4)).newton
    assert len(steps) == 2 and steps[-1] < 1e-12, "all is linear"


def test_a_slope_that_depends_on_the_value_is_differentiated() -> None:
    """u'' = 0 with u' = -2 u^2 at the end is 1 - x / 2, and Newton is quadratic."""
    law = icbc.RobinBC(LINE, lambda x, u: -2 * u**2, lambda x, on: on and x[0] > 0.5)
    start = icbc.DirichletBC(LINE, lambda x: 1 + 0 * x, lambda x, on: on and x[0] < 0.5)
    problem = Problem(LINE, diffusion, None, [start, law], lambda x: 1 - x / 2)
    assert error(problem, Mesh(LINE, 3)) < 1e-12
    steps = fem(problem, Mesh(LINE, 3)).newton
    assert steps[-2] < 1e-4 and steps[-1] < 1e-10


def test_a_slope_is_that_of_the_function_where_the_flux_is_another() -> None:
    """F = -(1 + u) u': the condition gives u', not the flux."""

    def flux(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        return -(1 + u[..., None]) * p

    def exact(x: Tensor) -> Tensor:
        return torch.sin(x)

    def source(x: Tensor, u: Tensor) -> Tensor:
        return torch.sin(x) * (1 + torch.sin(x)) - torch.cos(x) ** 2

    conditions = [
        icbc.DirichletBC(LINE, as_numpy(torch.sin), lambda x, on: on and x[0] < 0.5),
        icbc.NeumannBC(LINE, as_numpy(torch.cos), lambda x, on: on and x[0] > 0.5),
    ]
    problem = Problem(LINE, flux, source, conditions, exact)
    assert error(problem, Mesh(LINE, 16)) < 1e-4
    steps = fem(problem, Mesh(LINE, 16)).newton
    assert steps[-2] < 1e-4 and steps[-1] < 1e-10, "Newton's method is quadratic"


def test_a_mean_fixes_what_slopes_leave_free() -> None:
    closed = icbc.NeumannBC(LINE, lambda x: 0 * x, lambda x, on: on)

    def source(x: Tensor, u: Tensor) -> Tensor:
        return math.pi**2 * torch.cos(math.pi * x)

    def exact(x: Tensor) -> Tensor:
        return 2 + torch.cos(math.pi * x)

    loose = Problem(LINE, diffusion, source, [closed], exact)
    with pytest.raises(ValueError, match="allow to add 1 to component 0: fem expects"):
        fem(loose, Mesh(LINE, 8))
    mean = Mean(Mesh(LINE, 8), 2.0)
    problem = Problem(LINE, diffusion, source, [closed, mean], exact)
    assert error(problem, Mesh(LINE, 8)) < 1e-3
    found = fem(problem, Mesh(LINE, 8)).predict(torch.as_tensor(mean.points))
    assert (mean.share @ found[:, 0]).item() == pytest.approx(2, abs=1e-12)


def schroedinger() -> Problem:
    strip = dde.geometry.GeometryXTime(
        dde.geometry.Interval(-8, 8), dde.geometry.TimeDomain(0, math.pi / 2)
    )

    def exact(x: Tensor) -> Tensor:
        s, t = 1 / torch.cosh(x[:, :1]), x[:, 1:] / 2
        return torch.cat([s * t.cos(), s * t.sin()], 1)

    def flux(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        real = torch.stack([p[:, 1, 0] / 2, u[:, 0]], -1)
        return torch.stack([real, torch.stack([-p[:, 0, 0] / 2, u[:, 1]], -1)], 1)

    def source(x: Tensor, u: Tensor) -> Tensor:
        return u.square().sum(1, keepdim=True) * torch.stack([-u[:, 1], u[:, 0]], 1)

    conditions = [
        icbc.PeriodicBC(strip, 0, lambda x, on: on, derivative_order=order, component=c)
        for c in (0, 1)
        for order in (0, 1)
    ] + [
        icbc.IC(strip, as_numpy(part(exact, c)), lambda x, on: on, component=c)
        for c in (0, 1)
    ]
    return Problem(strip, flux, source, conditions, exact, components=2)


def test_what_moves_in_time_goes_with_its_own_equation() -> None:
    assert partners(schroedinger()) == ([0, 1], [False, False])
    flow = zoo.kovasznay()
    assert partners(flow) == ([0, 1, 2], [False, False, True])

    def turned(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        return flow.flux(x, u, p)[:, [2, 0, 1]]

    other = Problem(
        flow.geometry,
        turned,
        conditions=flow.conditions,
        exact=flow.exact,
        components=3,
    )
    assert partners(other) == ([1, 2, 0], [False, False, True])
    mesh = Mesh(flow.geometry, 6)
    x = test_points(flow, 50)
    ours, theirs = (fem(one, mesh).predict(x) for one in (flow, other))
    assert torch.allclose(ours, theirs, atol=1e-10), "equations in another order"


def test_periodic_sides_hold_the_same_values() -> None:
    problem = schroedinger()
    found = fem(problem, Mesh(problem.geometry, [24, 6])).predict
    t = torch.linspace(0, math.pi / 2, 7, dtype=torch.float64)
    left, right = (torch.stack([0 * t + end, t], 1) for end in (-8.0, 8.0))
    assert torch.allclose(found(left), found(right), rtol=0, atol=1e-13)
    assert error(problem, Mesh(problem.geometry, [24, 6])) < 5e-3


def test_what_flows_out_of_a_periodic_side_flows_in() -> None:
    """u_t + u_x = 0 carries a sine round: nothing is lost at the ends."""
    strip = dde.geometry.GeometryXTime(LINE, dde.geometry.TimeDomain(0, 1))

    def exact(x: Tensor) -> Tensor:
        return torch.sin(2 * math.pi * (x[:, :1] - x[:, 1:]))

    conditions = [
        icbc.PeriodicBC(strip, 0, lambda x, on: on),
        icbc.IC(strip, as_numpy(exact), lambda x, on: on),
    ]
    problem = Problem(
        strip, lambda x, u, p: u[..., None].expand(-1, -1, 2), None, conditions, exact
    )
    coarse, fine = (error(problem, Mesh(strip, n)) for n in (8, 16))
    assert fine < 5e-3 and coarse / fine > 3.5


def test_slopes_are_the_same_on_both_periodic_sides() -> None:
    """-u'' + u = f round a ring: what comes out on the right goes in on the left."""

    def exact(x: Tensor) -> Tensor:
        return torch.sin(2 * math.pi * x + 1)

    def source(x: Tensor, u: Tensor) -> Tensor:
        return (4 * math.pi**2 + 1) * exact(x) - u

    values = icbc.PeriodicBC(LINE, 0, lambda x, on: on)
    problem = Problem(LINE, diffusion, source, [values], exact)
    coarse, fine = (error(problem, Mesh(LINE, n)) for n in (6, 12))
    assert fine < 1e-3 and coarse / fine > 6


@pytest.mark.parametrize("end", [0, 1])
def test_a_periodic_condition_may_name_one_of_its_sides(end: int) -> None:
    """As DeepXDE's own example does, which finds the other side itself."""

    def exact(x: Tensor) -> Tensor:
        return torch.sin(2 * math.pi * x)

    there = icbc.PeriodicBC(LINE, 0, lambda x, on: on and np.isclose(x[0], end))
    held = icbc.DirichletBC(LINE, lambda x: 0 * x, lambda x, on: on and x[0] < 0.5)
    load = lambda x, u: 4 * math.pi**2 * exact(x)  # noqa: E731
    problem = Problem(LINE, diffusion, load, [held, there], exact)
    assert error(problem, Mesh(LINE, 32)) < 1e-4


def test_a_part_of_a_side_is_periodic_and_the_rest_has_a_slope() -> None:
    """What flows through the rest is not lost with what flows round."""

    def exact(x: Tensor) -> Tensor:
        return torch.sin(2 * math.pi * x[:, :1]) + x[:, 1:]

    def slope(x: np.ndarray) -> np.ndarray:
        return 2 * math.pi * (2 * x[:, :1] - 1)

    def load(x: Tensor, u: Tensor) -> Tensor:
        return 4 * math.pi**2 * torch.sin(2 * math.pi * x[:, :1])

    def ends(x: np.ndarray) -> bool:
        return bool(np.isclose(x[0], 0) or np.isclose(x[0], 1))

    conditions = [
        icbc.PeriodicBC(SQUARE, 0, lambda x, on: on and x[1] < 0.51),
        icbc.NeumannBC(SQUARE, slope, lambda x, on: on and ends(x) and x[1] > 0.51),
        icbc.DirichletBC(
            SQUARE, as_numpy(exact), lambda x, on: on and np.isclose(x[1] % 1, 0)
        ),
    ]
    problem = Problem(SQUARE, diffusion, load, conditions, exact)
    assert error(problem, Mesh(SQUARE, 16)) < 1e-3


def beam(first: int = 0) -> Problem:
    """u'' = m, m'' = -1: value and slope of u on the left, of m on the right."""

    def exact(x: Tensor) -> Tensor:
        bend = -(x**2) / 2 + x - 0.5
        return torch.cat([-(x**4) / 24 + x**3 / 6 - x**2 / 4, bend], 1)

    def source(x: Tensor, u: Tensor) -> Tensor:
        return torch.cat([u[:, 1:], -torch.ones_like(x)], 1)

    conditions = [
        kind(LINE, lambda x: 0 * x, where(end), component=component)
        for component, end in ((0, first), (1, 1))
        for kind in (icbc.DirichletBC, icbc.NeumannBC)
    ]
    return Problem(LINE, lambda x, u, p: p, source, conditions, exact, components=2)


def where(end: int) -> Callable:
    return lambda x, on: on and np.isclose(x[0], end)


def test_value_and_slope_on_one_side_are_both_kept() -> None:
    coarse, fine = (error(beam(), Mesh(LINE, n)) for n in (4, 8))
    assert fine < 1e-4 and coarse / fine > 6


def test_value_and_slope_that_no_tests_can_keep_are_refused() -> None:
    with pytest.raises(ValueError, match="value and the slope of component 0"):
        fem(beam(first=1), Mesh(LINE, 4))


def test_a_flow_and_its_pressure_converge() -> None:
    flow = zoo.kovasznay()
    coarse, fine = (error(flow, Mesh(flow.geometry, n)) for n in (6, 12))
    assert fine < 1e-2 and coarse / fine > 5


def test_an_oscillator_of_two_equations() -> None:
    time = dde.geometry.TimeDomain(0, 3)

    def source(x: Tensor, u: Tensor) -> Tensor:
        return torch.stack([u[:, 1], -u[:, 0]], 1)

    def exact(x: Tensor) -> Tensor:
        return torch.cat([x.sin(), x.cos()], 1)

    conditions = [
        icbc.IC(time, as_numpy(part(exact, c)), lambda x, on: on, component=c)
        for c in (0, 1)
    ]
    problem = Problem(
        time, lambda x, u, p: u[..., None], source, conditions, exact, components=2
    )
    coarse, fine = (error(problem, Mesh(time, n)) for n in (10, 20))
    assert fine < 1e-3 and coarse / fine > 3.5


def test_a_cube_with_a_slope_on_one_side() -> None:
    cube = dde.geometry.Cuboid([0, 0, 0], [1, 1, 1])

    def exact(x: Tensor) -> Tensor:
        return torch.sin(x[:, :1]) * torch.cos(x[:, 1:2]) * torch.exp(x[:, 2:])

    def slope(x: Tensor) -> Tensor:
        return torch.cos(x[:, :1]) * torch.cos(x[:, 1:2]) * torch.exp(x[:, 2:])

    conditions = [
        icbc.NeumannBC(cube, as_numpy(slope), right),
        icbc.DirichletBC(cube, as_numpy(exact), elsewhere),
    ]
    problem = Problem(cube, diffusion, lambda x, u: exact(x), conditions, exact)
    coarse, fine = (error(problem, Mesh(cube, n)) for n in (2, 4))
    assert fine < 5e-4 and math.log2(coarse / fine) == pytest.approx(3, abs=0.5)


def hole() -> Problem:
    """Helmholtz on a square without a disk, with the slope on the disk."""
    k = 2 * math.pi
    outer = dde.geometry.Rectangle([-0.5, -0.5], [0.5, 0.5])
    inner = dde.geometry.Disk([0, 0], 0.25)
    domain = outer - inner

    def exact(x: Tensor) -> Tensor:
        return torch.sin(k * x[:, :1]) * torch.sin(k * x[:, 1:])

    def slope(x: np.ndarray) -> np.ndarray:
        y = k * x
        d = k * np.stack(
            [np.cos(y[:, 0]) * np.sin(y[:, 1]), np.sin(y[:, 0]) * np.cos(y[:, 1])], 1
        )
        return -(d * inner.boundary_normal(x)).sum(1, keepdims=True)

    conditions = [
        icbc.NeumannBC(domain, slope, lambda x, on: on and inner.on_boundary(x)),
        icbc.DirichletBC(
            domain, as_numpy(exact), lambda x, on: on and outer.on_boundary(x)
        ),
    ]
    return Problem(
        domain, diffusion, lambda x, u: k**2 * (u + exact(x)), conditions, exact
    )


def test_triangles_around_a_hole_at_second_order() -> None:
    problem = hole()
    coarse, fine = (
        error(problem, Mesh.from_geometry(problem.geometry, s)) for s in (0.1, 0.05)
    )
    assert fine < 4e-3 and math.log2(coarse / fine) == pytest.approx(2, abs=0.4)


def test_a_disk_is_solved_up_to_its_border() -> None:
    disk = dde.geometry.Disk([0, 0], 1)
    zero = icbc.DirichletBC(disk, lambda x: 0 * x[:, :1], lambda x, on: on)

    def exact(x: Tensor) -> Tensor:
        return 1 - x.square().sum(1, keepdim=True)

    problem = Problem(disk, diffusion, lambda x, u: 4 + 0 * u, [zero], exact)
    coarse, fine = (error(problem, Mesh.from_geometry(disk, s)) for s in (0.4, 0.2))
    assert fine < 2e-2 and math.log2(coarse / fine) == pytest.approx(2, abs=0.4)
    found = fem(problem, Mesh.from_geometry(disk, 0.4)).predict
    angle = torch.linspace(0, 6, 50, dtype=torch.float64)[:, None]
    x = torch.cat([angle.cos(), angle.sin()], 1) * (1 - 1e-9)  # beyond the sides
    assert (found(x) - exact(x)).abs().max() < 0.1
    with pytest.raises(ValueError, match="x has points outside the mesh"):
        found(1.01 * x)


def test_solve_takes_triangles_and_reads_them_again(tmp_path: Any) -> None:
    problem = hole()
    method = FEM(Mesh.from_geometry(problem.geometry, 0.1))
    solution = solve(problem, method)
    assert solution.error() < 2e-2
    solution.save(tmp_path / "hole.pt")
    again = load(tmp_path / "hole.pt", problem, method)
    x = test_points(problem, 30)
    assert torch.equal(solution.predict(x), again.predict(x))


def refused(*conditions: Any, components: int = 1) -> Problem:
    def flux(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        return -p

    zero = icbc.DirichletBC(SQUARE, lambda x: 0 * x[:, :1], elsewhere)
    return Problem(SQUARE, flux, None, [zero, *conditions], components=components)


def test_what_no_condition_says_is_refused_by_name() -> None:
    def flat(x: Tensor, y: Tensor, X: np.ndarray) -> Tensor:
        return y - 1

    def bent(x: Tensor, y: Tensor, X: np.ndarray) -> Tensor:
        return dde.grad.hessian(y, x, i=0, j=0) + dde.grad.jacobian(y, x, i=0, j=0)

    def square(x: Tensor, y: Tensor, X: np.ndarray) -> Tensor:
        return dde.grad.jacobian(y, x, i=0, j=0) ** 2 - 1

    def by_torch(x: Tensor, y: Tensor, X: np.ndarray) -> Tensor:
        return torch.autograd.grad(y.sum(), x)[0][:, :1]

    mesh = Mesh(SQUARE, 2)
    for operator, why in (
        (flat, "it does not read that, or reads more"),
        (bent, "it does not read that, or reads more"),
        (square, "expected one that is linear"),
        (by_torch, "expected dde.grad.jacobian"),
    ):
        problem = refused(icbc.OperatorBC(SQUARE, operator, right))
        with pytest.raises(ValueError, match=rf"conditions\[1\].*cannot solve.*{why}"):
            fem(problem, mesh)
    point = icbc.PointSetBC(np.array([[0.5, 0.5]]), np.array([[1.0]]))
    with pytest.raises(
        ValueError, match=r"conditions\[1\] is a PointSetBC: fem expects"
    ):
        fem(refused(point), mesh)
    slope = icbc.PeriodicBC(SQUARE, 1, lambda x, on: on, derivative_order=1)
    with pytest.raises(ValueError, match=r"periodic along x\[1\] but its value is not"):
        fem(refused(slope), mesh)


def test_meshes_and_equations_that_do_not_fit_are_refused() -> None:
    zero = icbc.DirichletBC(SQUARE, lambda x: 0 * x[:, :1], lambda x, on: on)
    problem = Problem(SQUARE, diffusion, None, [zero])
    cut = Mesh(SQUARE, 2).refine(torch.tensor([True, False, False, False]))
    with pytest.raises(ValueError, match=r"boxes that others cut along x\[0\]"):
        fem(problem, cut)
    strip = dde.geometry.GeometryXTime(LINE, dde.geometry.TimeDomain(0, 1))

    def wave(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        return torch.stack([-p[..., 0], p[..., 1]], -1)

    ends = icbc.DirichletBC(strip, lambda x: 0 * x[:, :1], lambda x, on: on)
    with pytest.raises(
        ValueError, match="second order in time: fem expects two .* pinn.first_order"
    ):
        fem(Problem(strip, wave, None, [ends]), Mesh(strip, 2))
    heat = zoo.heat()
    with pytest.raises(ValueError, match="made of triangles .* 2 coordinates, time"):
        fem(heat, Mesh.from_geometry(SQUARE, 0.5))
    two = Problem(SQUARE, lambda x, u, p: -p[:, :1], None, [zero], components=2)
    with pytest.raises(ValueError, match="1 equations for 2 components"):
        fem(two, Mesh(SQUARE, 2))


def test_conditions_that_the_mesh_does_not_meet_are_refused() -> None:
    """They were dropped, and another problem was solved."""

    def corner(x: np.ndarray, on: bool) -> bool:
        return on and np.isclose(x[0], 0.3)

    slope = icbc.NeumannBC(SQUARE, lambda x: 1 + 0 * x[:, :1], corner)
    value = icbc.DirichletBC(SQUARE, lambda x: 1 + 0 * x[:, :1], corner)
    for condition, what in ((slope, "side"), (value, "node")):
        with pytest.raises(ValueError, match=rf"conditions\[1\].* holds at no {what}"):
            fem(refused(condition), Mesh(SQUARE, 2))


def ring_of(side: float | None, high: float = 1.0) -> Problem:
    """``-u'' + u = 1`` on a ring, tied at one side of the line; None is both."""

    def held(x: np.ndarray, on: bool) -> bool:
        return on and (side is None or np.isclose(x[0], side)) and x[1] < high

    tie = icbc.PeriodicBC(SQUARE, 0, held)
    source = Problem(SQUARE, diffusion, lambda x, u: x[:, :1] - u, [tie])
    return source


def test_a_periodic_condition_holds_from_either_side() -> None:
    """DeepXDE ties a point to its image from both; only the lower one was read."""
    x = torch.tensor([[0.0, 0.3], [1.0, 0.3]])
    ends = [fem(ring_of(s), Mesh(SQUARE, 4)).predict(x) for s in (None, 0.0, 1.0)]
    assert abs(ends[0].diff(dim=0).item()) < 1e-12
    for other in ends[1:]:
        torch.testing.assert_close(other, ends[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("side", [None, 0.0, 1.0, 0.5])
def test_a_periodic_condition_that_no_node_meets_is_refused(side) -> None:
    """It was dropped without a word where the sides have nodes, and none that hold."""
    for mesh in (Mesh(SQUARE, 4), Mesh.from_geometry(SQUARE, 0.5)):
        with pytest.raises(ValueError, match=r"s\[0\], a PeriodicBC, holds at no node"):
            fem(ring_of(side, high=-1.0), mesh)
    if side == 0.5:
        with pytest.raises(ValueError, match=r"s\[0\], a PeriodicBC, holds at no node"):
            fem(ring_of(side), Mesh(SQUARE, 4))


def test_a_number_prescribes_a_constant_as_in_deepxde() -> None:
    """``lambda x: 0``, as in most of its examples, ended in a sentence of numpy."""
    ends = [
        icbc.DirichletBC(LINE, lambda x: 2, lambda x, on: on and np.isclose(x[0], 0)),
        icbc.NeumannBC(LINE, lambda x: 3.0, lambda x, on: on and np.isclose(x[0], 1)),
    ]
    problem = Problem(LINE, diffusion, None, ends, lambda x: 2 + 3 * x)
    assert error(problem, Mesh(LINE, 3)) < 1e-12


def test_a_mesh_of_another_domain_or_of_a_part_is_refused() -> None:
    problem = refused()
    other = dde.geometry.Rectangle([0, 0], [1, 2])
    for mesh in (
        Mesh(other, 2),
        Mesh(SQUARE, [[0, 0.5], [0, 0.5, 1]]),
        Mesh.from_geometry(dde.geometry.Disk([0.5, 0.5], 0.4), 0.1),
        Mesh.from_geometry(other, 0.25),
    ):
        with pytest.raises(ValueError, match="does not fill"):
            fem(problem, mesh)
    ring = hole()
    whole = Mesh.from_geometry(dde.geometry.Rectangle([-0.5, -0.5], [0.5, 0.5]), 0.1)
    with pytest.raises(ValueError, match="does not fill"):
        fem(ring, whole)
