"""Slab after slab: each begins where the last one ends, and nothing else changes."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pinn import (
    FEM,
    HardPINN,
    Mean,
    Mesh,
    Problem,
    Vanilla,
    Wanted,
    march,
    solve,
    zoo,
)
from pinn._backend import dde
from pinn.forms.conditions import condition_errors, second_in_time
from pinn.inverse import Unknown
from pinn.slabs import Slabs, slab

icbc, shapes = dde.icbc, dde.geometry
SMALL = Vanilla(40, num_sides=10, hidden=(10, 10), resample=None)
HEAT = zoo.heat()


def oscillator(end: float) -> Problem:
    """``u' = v, v' = -u``: DeepXDE's example of a system, whose end is 10."""
    line = shapes.TimeDomain(0, end)
    starts = [
        icbc.IC(line, lambda x: 0 * x, lambda x, on: on, component=0),
        icbc.IC(line, lambda x: 1 + 0 * x, lambda x, on: on, component=1),
    ]
    return Problem(
        line,
        lambda x, u, p: u[..., None],
        lambda x, u: torch.cat([u[:, 1:], -u[:, :1]], 1),
        starts,
        exact=lambda x: torch.cat([x.sin(), x.cos()], 1),
        components=2,
    )


def nets(problem: Problem, count: int) -> list[torch.nn.Module]:
    return [SMALL.net(problem, torch.Generator().manual_seed(k)) for k in range(count)]


def test_one_slab_is_the_solution_bit_for_bit() -> None:
    problem = oscillator(2.0)
    one = march(problem, SMALL, 1, iterations=5, seed=3)
    other = solve(problem, SMALL, iterations=5, seed=3)
    x = torch.linspace(0, 2, 9, dtype=torch.float64)[:, None]
    assert torch.equal(one.predict(x), other.predict(x))
    assert one.parameters == other.parameters


def test_a_long_time_is_reached_slab_byslab() -> None:
    """The error up to each end is told, the last of them for the whole."""
    solution = march(oscillator(12.5), SMALL, 5, iterations=40)
    assert solution.error() < 1e-4
    assert solution.history.error[-1].item() == solution.error()
    assert len(solution.history.loss) == 5
    assert (solution.history.seconds.diff() > 0).all()


def test_a_slab_begins_where_the_last_network_ends() -> None:
    """To round-off, whatever the initial condition asks for: absolute times, too."""
    strip = HEAT.geometry
    held = [
        icbc.DirichletBC(strip, lambda x: x[:, 1:] ** 2, lambda x, on: on),
        icbc.IC(strip, lambda x: 7 + 0 * x[:, :1], lambda x, on: x[1] < 1e-9),
    ]
    problem = Problem(strip, HEAT.flux, None, held)
    (net,) = nets(problem, 1)
    part = slab(problem, 0.25, 0.5, net)
    assert part.bounds[0][-1] == 0.25 and part.bounds[1][-1] == 0.5
    border, start = condition_errors(part, net)
    assert len(start) > 0 and start.abs().max() < 1e-12
    (first,) = condition_errors(_only(part, 0), lambda x: x[:, 1:] ** 2)
    assert len(first) > 0 and first.abs().max() < 1e-12
    assert border.abs().max() > 1e-3
    points = part.conditions[0].collocation_points(
        part.geometry.random_boundary_points(50)
    )
    assert len(points) and ((points[:, 1] >= 0.25) & (points[:, 1] <= 0.5)).all()
    _, begun = condition_errors(slab(problem, 0.0, 0.25, None), lambda x: 0 * x[:, :1])
    assert torch.allclose(begun, torch.full_like(begun, -7.0))


def _only(problem: Problem, k: int) -> Problem:
    """The problem with one of its conditions."""
    return Problem(problem.geometry, problem.flux, None, [problem.conditions[k]])


def test_points_are_those_of_their_slab_and_ends_of_the_earlier() -> None:
    parts = nets(HEAT, 3)
    whole = Slabs(parts, [0.0, 0.2, 0.6, 1.0])
    times = torch.tensor([0.9, 0.6, 0.2, 0.0, 0.21, 1.0], dtype=torch.float64)
    x = torch.stack([torch.full_like(times, 0.3), times], dim=1)
    jet = whole.jet(x, Wanted.all(2))
    for row, k in enumerate([2, 1, 0, 0, 1, 2]):
        mine = parts[k].jet(x[row : row + 1], Wanted.all(2))
        for name in ("u", "p", "H"):
            found = getattr(jet, name)[row : row + 1]
            torch.testing.assert_close(found, getattr(mine, name), rtol=0, atol=1e-13)
    assert torch.equal(whole(x), whole.jet(x, Wanted()).u)
    assert whole(x[:0]).shape == (0, 1)


def test_there_are_no_values_beyond_the_times() -> None:
    """A network goes on past its slab: with numbers that nothing has trained."""
    whole = Slabs(nets(HEAT, 2), [0.0, 0.2, 0.5])
    times = torch.tensor([-0.1, 0.0, 0.5, 0.50000001, 0.6], dtype=torch.float64)
    x = torch.stack([torch.full_like(times, 0.3), times], dim=1)
    jet = whole.jet(x, Wanted.all(2))
    for part in (jet.u, jet.p, jet.H):
        known = ~part.isnan().flatten(1).any(1)
        assert known.tolist() == [False, True, True, True, False]


def test_conditions_in_space_and_given_times() -> None:
    solution = march(HEAT, SMALL, [0.0, 0.3, 1.0], iterations=40)
    assert solution.error() < 0.05
    assert solution.mass_defect() < 1.0


def waves() -> Problem:
    return Problem(
        HEAT.geometry, lambda x, u, p: torch.stack([-p[..., 0], p[..., 1]], dim=-1)
    )


def with_conditions(*conditions: object, **options: object) -> Problem:
    return Problem(HEAT.geometry, HEAT.flux, None, conditions, **options)


START = icbc.IC(HEAT.geometry, lambda x: 0 * x[:, :1], lambda x, on: on)


def still(geometry: object) -> Problem:
    zero = icbc.DirichletBC(geometry, lambda x: 0 * x, lambda x, on: on)
    return Problem(geometry, lambda x, u, p: -p, None, [zero])


REFUSED = {
    "method is HardPINN": lambda: march(HEAT, HardPINN(), 2, iterations=1),
    "no time: march expects": lambda: march(
        still(shapes.Interval(0, 1)), SMALL, 2, iterations=1
    ),
    "second order in time": lambda: march(waves(), SMALL, 2, iterations=1),
    r"components \[0\] have no IC": lambda: march(
        with_conditions(), SMALL, 2, iterations=1
    ),
    "a Mean, which march cannot move": lambda: march(
        with_conditions(START, Mean(Mesh(HEAT.geometry, 1), 0.0)),
        SMALL,
        2,
        iterations=1,
    ),
    "is of another geometry": lambda: march(
        with_conditions(
            icbc.IC(zoo.heat().geometry, lambda x: x[:, :1], lambda x, on: on)
        ),
        SMALL,
        2,
        iterations=1,
    ),
    "each slab would find its own": lambda: march(
        with_conditions(START, unknowns=[Unknown("k", 1.0)]), SMALL, 2, iterations=1
    ),
    "slabs is 0: expected at least 1": lambda: march(HEAT, SMALL, 0, iterations=1),
    "expected times from 0.0 to 1.0": lambda: march(
        HEAT, SMALL, [0.0, 0.5], iterations=1
    ),
    "rising edges": lambda: march(HEAT, SMALL, [0.0, 0.7, 0.5, 1.0], iterations=1),
    "neither seconds nor iterations": lambda: march(HEAT, SMALL, 2),
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_cannot_be_marched_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match=said):
        REFUSED[said]()


def by_residual(*, waves: bool) -> Problem:
    """The wave or the heat equation as DeepXDE states it."""
    strip = HEAT.geometry

    def pde(x: Tensor, y: Tensor) -> Tensor:
        bend = dde.grad.hessian(y, x, i=0, j=0)
        if waves:
            return dde.grad.hessian(y, x, i=1, j=1) - bend
        return dde.grad.jacobian(y, x, i=0, j=1) - 0.4 * bend

    start = icbc.IC(strip, lambda x: np.sin(np.pi * x[:, :1]), lambda x, on: on)
    ends = icbc.DirichletBC(strip, lambda x: 0 * x[:, :1], lambda x, on: on)
    return Problem(strip, residual=pde, conditions=[ends, start], exact=HEAT.exact)


def test_a_residual_is_asked_for_its_order_in_time() -> None:
    """A wave was marched with the value handed on and the speed forgotten."""
    assert second_in_time(by_residual(waves=True))
    assert not second_in_time(by_residual(waves=False))
    with pytest.raises(ValueError, match="second order in time"):
        march(by_residual(waves=True), SMALL, 2, iterations=1)
    with pytest.warns(UserWarning, match="second order in time"):
        solve(by_residual(waves=True), SMALL, iterations=1)
    assert march(by_residual(waves=False), SMALL, 2, iterations=40).error() < 0.05


def test_slabs_of_another_kind_are_refused() -> None:
    with pytest.raises(TypeError, match="slabs is .*expected a number, or times"):
        march(HEAT, SMALL, 2.5, iterations=1)
    with pytest.raises(TypeError, match="method is of type FEM"):
        march(HEAT, FEM(4), 2, iterations=1)


def test_seconds_are_shared() -> None:
    solution = march(oscillator(1.0), SMALL, 2, seconds=0.2)
    assert 0.2 <= solution.seconds < 1.0
