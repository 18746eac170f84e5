"""The mean as a condition: quadrature, and what it fixes."""

import pytest
import torch
from torch import Tensor

from pinn import FEM, HardPINN, Mean, Mesh, Problem, Strong, Vanilla, solve, zoo
from pinn._backend import dde
from pinn.forms.conditions import condition_errors, unfixed

LINE = dde.geometry.Interval(0, 1)
FLAT = dde.icbc.NeumannBC(LINE, lambda x: 0 * x, lambda x, on: on)


def cosine(*conditions: object) -> Problem:
    """``-u'' = pi^2 cos(pi x)``, no flux at the ends; the mean of ``u`` is 1/4."""
    return Problem(
        LINE,
        lambda x, u, p: -p,
        lambda x, u: torch.pi**2 * torch.cos(torch.pi * x),
        [FLAT, *conditions],
        lambda x: torch.cos(torch.pi * x) + 0.25,
    )


def test_means_are_exact_for_polynomials_on_any_union_of_boxes() -> None:
    corner = zoo.l_shape().geometry  # [-1, 1]^2 without the lower right quarter
    whole = Problem(
        corner,
        lambda x, u, p: -p,
        conditions=[Mean(Mesh(corner, 4), 0.5, points=3)],
    )
    moments = {
        "1": (lambda x: torch.ones_like(x[:, :1]), 1.0),
        "x^2 + y^4": (lambda x: x[:, :1] ** 2 + x[:, 1:] ** 4, 1 / 3 + 1 / 5),
    }
    for name, (u, mean) in moments.items():
        (error,) = condition_errors(whole, u)
        assert error.item() == pytest.approx(mean - 0.5, abs=1e-14), name


def test_the_mean_fixes_the_constant_of_a_neumann_problem() -> None:
    """Any constant used to do: a loss of 5e-15 with a mean of anything."""
    assert unfixed(cosine()) == "1 to component 0"
    problem = cosine(Mean(Mesh(LINE, 2), 0.25))
    assert unfixed(problem) is None
    solution = solve(problem, Vanilla(60, hidden=(8, 8), resample=None), iterations=40)
    assert solution.error() < 1e-4


def test_the_mean_is_of_its_component_and_one_residual() -> None:
    flow = zoo.kovasznay()
    mean = Mean(Mesh(flow.geometry, 1), 2.0, component=2)
    problem = Problem(
        flow.geometry, flow.flux, flow.source, [mean], flow.exact, components=3
    )

    def constants(x: Tensor) -> Tensor:
        return torch.tensor([5.0, 6.0, 7.0]).to(x).expand(len(x), 3)

    (error,) = condition_errors(problem, constants)
    assert error.shape == (1, 1) and error.item() == pytest.approx(5.0, rel=1e-14)
    data = Strong(problem, 10, 4)
    net = Vanilla(10, hidden=(4,)).net(problem, torch.Generator().manual_seed(0))
    r = data.residual_vector(net)
    x = torch.as_tensor(mean.points)
    by_hand = mean.share @ net(x)[:, 2] - 2
    assert r[-1].item() == pytest.approx(by_hand.item(), rel=1e-12)


def test_a_hard_constraint_leaves_the_mean_a_loss() -> None:
    problem = Problem(
        LINE,
        lambda x, u, p: -p,
        conditions=[Mean(Mesh(LINE, 1), 1.0)],
        hard=lambda x, y: x * (1 - x) * y,
    )
    data = HardPINN(10).data(problem)
    assert [type(bc) for bc in data.bcs] == [Mean]


def test_means_over_triangles_are_exact_for_polynomials() -> None:
    """On a polygon, to the degree that the rule promises, ``2 points - 2``."""
    corner = dde.geometry.Polygon([[0, 0], [2, 0], [2, 1], [1, 1], [1, 3], [0, 3]])
    mesh = Mesh.from_geometry(
        corner, 0.7
    )  # two boxes: [0, 2] x [0, 1], [0, 1] x [1, 3]
    mean = Mean(mesh, 0.0, points=3)
    x = torch.as_tensor(mean.points)
    assert x.shape == (9 * len(mesh), 2) and corner.inside(mean.points).all()
    assert (mean.share > 0).all()
    for a in range(5):
        for b in range(5 - a):
            whole = 2 ** (a + 1) + 3 ** (b + 1) - 1
            exact = whole / ((a + 1) * (b + 1)) / 4
            found = mean.share @ (x[:, 0] ** a * x[:, 1] ** b)
            assert found.item() == pytest.approx(exact, rel=1e-12), (a, b)


def test_means_over_a_disk_converge_at_second_order() -> None:
    disk = dde.geometry.Disk([0, 0], 1)
    off = []
    for size in (0.2, 0.1):
        mean = Mean(Mesh.from_geometry(disk, size), 0.0)
        x = torch.as_tensor(mean.points)
        off.append(abs((mean.share @ x.square().sum(1)).item() - 0.5))
    assert off[1] < 4e-3 and 3 < off[0] / off[1] < 5


def test_the_mean_over_triangles_fixes_a_neumann_problem_of_elements() -> None:
    """``u = x (x^2 - 3)`` has slope 0 at -1 and 1: the constant is the mean's."""
    square = dde.geometry.Rectangle([-1, -1], [1, 1])
    mesh = Mesh.from_geometry(square, 0.25)
    problem = Problem(
        square,
        lambda x, u, p: -p,
        lambda x, u: -6 * x[:, :1],
        [
            dde.icbc.NeumannBC(square, lambda x: 0 * x[:, :1], lambda x, on: on),
            Mean(mesh, 0.75),
        ],
        lambda x: x[:, :1] ** 3 - 3 * x[:, :1] + 0.75,
    )
    assert unfixed(problem) is None
    assert solve(problem, FEM(mesh)).error() < 1e-3
    assert solve(problem, FEM(8)).error() < 1e-3


def test_what_is_no_mesh_is_refused() -> None:
    with pytest.raises(TypeError, match="mesh is a Interval: Mean expects the boxes"):
        Mean(LINE, 0.0)


def test_wrong_counts_are_refused() -> None:
    mesh = Mesh(LINE, 1)
    with pytest.raises(ValueError, match="component is -1: expected at least 0"):
        Mean(mesh, 0.0, component=-1)
    with pytest.raises(ValueError, match="points is 0: expected at least 1"):
        Mean(mesh, 0.0, points=0)
