"""Meshes that find layers: as few marks as hold the share, one domain, the error."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from pinn import (
    HPVPINN,
    Mesh,
    Problem,
    Triangulation,
    adapt,
    fem,
    jet_of,
    relative_error,
    zoo,
)
from pinn._backend import dde
from pinn.derivatives import Wanted
from pinn.forms.adapt import marked
from tests.pinn.cases import seeded

icbc, shapes = dde.icbc, dde.geometry
LINE = shapes.Interval(0, 1)


def convection(geometry: object, width: float) -> Problem:
    """``-width u_xx + u_x = 1`` (minus ``width u_yy``): a layer at ``x = 1``."""

    def exact(x: Tensor) -> Tensor:
        z = x[:, :1]
        layer = torch.exp((z - 1) / width) - np.exp(-1 / width)
        return z - layer / (1 - np.exp(-1 / width))

    def flux(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        carried = torch.zeros_like(p)
        return torch.cat([u[..., None], carried[..., 1:]], -1) - width * p

    conditions = [
        icbc.DirichletBC(
            geometry,
            lambda x: 0 * x[:, :1],
            lambda x, on: on and np.isclose(x[0] * (1 - x[0]), 0),
        )
    ]
    if geometry.dim == 2:
        conditions.append(
            icbc.NeumannBC(
                geometry,
                lambda x: 0 * x[:, :1],
                lambda x, on: on and np.isclose(x[1] * (1 - x[1]), 0),
            )
        )
    return Problem(geometry, flux, lambda x, u: 1 + 0 * u, conditions, exact)


THIN = convection(LINE, 1e-3)


def volume(mesh: Mesh) -> float:
    return (mesh.upper - mesh.lower).prod(1).sum().item()


def test_as_few_are_marked_as_hold_the_share() -> None:
    """Dorfler's rule, against all sets that there are."""
    generator = seeded(3)
    for share in (0.1, 0.5, 0.9, 1.0):
        for _ in range(5):
            squares = torch.rand(7, generator=generator, dtype=torch.float64) ** 3
            marks = marked(squares, share)
            assert squares[marks].sum() >= share * squares.sum() - 1e-15
            assert squares[marks].min() >= squares[~marks].max() if share < 1 else True
            enough = min(
                count
                for count in range(8)
                for few in itertools.combinations(squares.tolist(), count)
                if sum(few) >= share * squares.sum().item() - 1e-15
            )
            assert marks.sum() == enough
    assert not marked(torch.zeros(3), 0.5).any()


def test_the_estimate_is_the_error_where_the_next_tests_hold_it() -> None:
    """Pythagoras: a solution of degree four, elements of degree two, tests to four."""

    def exact(x: Tensor) -> Tensor:
        return x * (1 - x) * (1 + 2 * x - 3 * x**2)

    problem = Problem(
        LINE,
        lambda x, u, p: -p,
        lambda x, u: 30 * x - 36 * x**2 - 2 + 0 * u,
        [icbc.DirichletBC(LINE, lambda x: 0 * x, lambda x, on: on)],
        exact,
    )
    mesh = Mesh(LINE, [[0, 0.3, 0.45, 1]])
    x = torch.rand(9, 1, generator=seeded(1), dtype=torch.float64)
    wanted = problem.wanted
    assert problem.strong_residual(x, jet_of(exact, x, wanted)).abs().max() < 1e-12
    found = adapt(problem, mesh, tol=10.0)
    assert len(found.estimates) == 1 and found.mesh is mesh
    nodes, weights = np.polynomial.legendre.leggauss(12)
    half = (mesh.upper - mesh.lower) / 2
    x = (mesh.lower + half * (1 + torch.as_tensor(nodes))).reshape(-1, 1)
    w = (half * torch.as_tensor(weights)).flatten()
    slope = jet_of(found.solution.predict, x, Wanted((0,))).p[:, 0, 0]
    error = jet_of(exact, x, Wanted((0,))).p[:, 0, 0] - slope
    size = (w @ slope**2).sqrt()
    assert torch.isclose(found.estimates[0] * size, (w @ error**2).sqrt(), rtol=1e-9)


def test_a_layer_is_found_and_solved() -> None:
    """At a thousandth, from four equal elements: no mesh by hand."""
    found = adapt(THIN, Mesh(LINE, 4))
    assert relative_error(THIN, found.solution.predict) < 1e-3
    assert found.estimates[-1] <= 1e-3 < found.estimates[:-1].min()
    assert found.estimates[-1] < 0.01 * found.estimates[0]
    assert (found.elements.diff() > 0).all() and found.elements[-1] < 40
    width = (found.mesh.upper - found.mesh.lower).flatten()
    assert (found.mesh.lower.flatten()[width < 0.01] > 0.9).all()
    equal = fem(THIN, Mesh(LINE, int(found.elements[-1])))
    assert relative_error(THIN, equal.predict) > 0.05, "as many, of one size"


def test_all_shares_lead_there() -> None:
    for share in (0.2, 0.9, 1.0):
        found = adapt(THIN, Mesh(LINE, 3), share=share, tol=5e-3)
        assert relative_error(THIN, found.solution.predict) < 5e-3


@pytest.mark.parametrize("start", [1, [[0, 0.37, 1]]], ids=str)
def test_the_domain_stays_and_old_edges_too(start: int | list) -> None:
    mesh = Mesh(LINE, start)
    found = adapt(THIN, mesh, tol=0.1).mesh
    assert abs(volume(found) - 1) < 1e-14 and len(found) > len(mesh)
    assert set(mesh.upper.flatten().tolist()) <= set(found.upper.flatten().tolist())
    made = HPVPINN(found.elements, degree=2, hidden=(4,)).data(THIN).form.mesh
    assert torch.equal(made.lower, found.lower) and torch.equal(made.upper, found.upper)


def test_only_the_axis_with_the_layer_is_cut() -> None:
    square = shapes.Rectangle([0, 0], [1, 1])
    problem = convection(square, 0.01)
    found = adapt(problem, Mesh(square, [4, 2]), tol=5e-3)
    assert found.mesh.lower[:, 1].unique().tolist() == [0.0, 0.5]
    assert relative_error(problem, found.solution.predict) < 5e-3


def test_in_time_and_round_a_corner() -> None:
    heat = zoo.heat()
    found = adapt(heat, Mesh(heat.geometry, 2), tol=1e-2)
    assert relative_error(heat, found.solution.predict) < 3e-2
    corner = zoo.l_shape()
    found = adapt(corner, Mesh(corner.geometry, 2), tol=0.05)
    assert abs(volume(found.mesh) - volume(Mesh(corner.geometry, 2))) < 1e-12
    width = found.mesh.upper - found.mesh.lower
    near = ((found.mesh.lower + found.mesh.upper) / 2).norm(dim=1).argmin()
    assert width[near].max() == width.min(), "the corner is where it is hard"


def test_what_ends_before_it_is_done_says_so() -> None:
    with pytest.warns(UserWarning, match=r"stops at 1\d elements, .* and most is 19"):
        found = adapt(THIN, Mesh(LINE, 4), most=19, tol=1e-6)
    assert len(found.mesh) <= 19 and found.estimates[-1] > 1e-6


def test_what_cannot_be_adapted_is_refused() -> None:
    mesh = Mesh(LINE, 4)
    disk = shapes.Disk([0, 0], 1)
    with pytest.raises(TypeError, match="mesh is a Triangulation: adapt expects"):
        adapt(THIN, Triangulation.from_geometry(disk, 0.5))
    with pytest.raises(ValueError, match=r"share is 1\.5: expected above 0, at most 1"):
        adapt(THIN, mesh, share=1.5)
    with pytest.raises(ValueError, match="tol"):
        adapt(THIN, mesh, tol=0)
    with pytest.raises(ValueError, match="that others cut"):
        square = shapes.Rectangle([0, 0], [1, 1])
        cut = Mesh(square, 2).refine(torch.tensor([True, False, False, False]))
        adapt(convection(square, 0.1), cut)
