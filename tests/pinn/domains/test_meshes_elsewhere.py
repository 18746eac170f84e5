"""Triangles and boxes of three coordinates, wherever elements are taken."""

import pytest
import torch
from matplotlib.collections import PolyCollection

from pinn import (
    CPINN,
    FEM,
    HPVPINN,
    Conservative,
    Extended,
    Mesh,
    Partition,
    Problem,
    Strong,
    SubdomainFNN,
    Triangulation,
    Vanilla,
    Variational,
    WeakForm,
    load,
    solve,
)
from pinn._backend import dde
from pinn.forms.interfaces import Interfaces
from pinn.plot import plot_mesh, plot_points

shapes = dde.geometry
DISK, SQUARE = shapes.Disk([0, 0], 1), shapes.Rectangle([-1, -1], [1, 1])
CUBE = shapes.Cuboid([0, 0, 0], [1, 1, 1])
TRIANGLES = Mesh.from_geometry(DISK, 0.4)


def problem_on(geometry: object) -> Problem:
    """``-div grad u = 1``, zero at the border."""
    zero = dde.icbc.DirichletBC(geometry, lambda x: 0, lambda x, on: on)
    return Problem(geometry, lambda x, u, p: -p, lambda x, u: 1 + 0 * u, [zero])


BOXES_ONLY = {
    "WeakForm": lambda p: WeakForm(p, TRIANGLES),
    "Variational": lambda p: Variational(p, TRIANGLES, 10),
    "HPVPINN": lambda p: solve(p, HPVPINN(TRIANGLES), iterations=1),
    "Mesh": lambda p: Mesh(DISK, TRIANGLES),
}


@pytest.mark.parametrize("name", BOXES_ONLY)
def test_triangles_are_refused_in_one_sentence_where_boxes_are_needed(name) -> None:
    """They ended in an AttributeError, or in a list that was none."""
    with pytest.raises(TypeError, match="is a Triangulation: .*expect.* boxes.*for pi"):
        BOXES_ONLY[name](problem_on(DISK))


def test_triangles_are_no_geometry_and_no_partition() -> None:
    for make in (Partition, Mesh):
        with pytest.raises(TypeError, match="geometry is a Triangulation: expected on"):
            make(TRIANGLES)
    for elements in (TRIANGLES, Mesh(SQUARE, 2)):
        name = type(elements).__name__
        for take in (
            lambda e: SubdomainFNN(e, [2, 4, 1]),
            lambda e: Interfaces(e, 3),
            lambda e: Conservative(problem_on(SQUARE), e),
        ):
            with pytest.raises(TypeError, match=f"partition is a {name}: expected a"):
                take(elements)


def test_training_on_another_domain_or_on_a_part_is_refused() -> None:
    """The equation was asked for there and nowhere else, without a word."""
    larger, line = shapes.Rectangle([-2, -2], [2, 2]), shapes.Interval(-1, 1)
    part = Mesh(SQUARE, [[-1, 0], 2])
    for mesh in (Mesh(larger, 2), Mesh(line, 2), part):
        with pytest.raises(ValueError, match="does not (fill|lie in) the problem"):
            Variational(problem_on(SQUARE), mesh)
    for mesh in (Mesh(larger, 2), Mesh(line, 2)):
        with pytest.raises(ValueError, match="does not lie in the problem's domain"):
            WeakForm(problem_on(SQUARE), mesh)
    assert WeakForm(problem_on(SQUARE), part).tests > 0, "it only looks at a part"
    assert WeakForm(problem_on(SQUARE), Mesh(SQUARE, [[-1, 0, 1], 2])).tests > 0
    marks = torch.tensor([True, False, False, False])
    assert WeakForm(problem_on(SQUARE), Mesh(SQUARE, 2).refine(marks)).tests > 0


@pytest.mark.parametrize("method", [Conservative, Extended])
def test_subdomains_of_another_domain_or_another_network_are_refused(method) -> None:
    square = problem_on(SQUARE)
    for other in (shapes.Rectangle([-1, -1], [1, 3]), shapes.Interval(-1, 1)):
        with pytest.raises(ValueError, match="expected a partition of the same"):
            method(square, Partition(other, [[0.0]]), 10)
    data = method(square, Partition(SQUARE, [[0.0]]), 10, 10)
    x = torch.zeros(3, 2, dtype=torch.float64)
    assert data.blocks(SubdomainFNN(Partition(SQUARE, [[0]]), [2, 4, 1]), x)
    elsewhere = SubdomainFNN(Partition(SQUARE, [[0.25]]), [2, 4, 1])
    with pytest.raises(ValueError, match=r"net is cut at \[\[0.25\], \[\]\] and the"):
        data.blocks(elsewhere, x)


def test_triangles_are_drawn() -> None:
    values = torch.arange(float(len(TRIANGLES)))
    drawn, plain = plot_mesh(TRIANGLES, values), plot_mesh(TRIANGLES)
    for picture in (drawn, plain):
        (patches,) = picture.axes[0].collections
        assert isinstance(patches, PolyCollection)
        assert len(patches.get_paths()) == len(TRIANGLES)
    shade = torch.as_tensor(drawn.axes[0].collections[0].get_array())
    assert (shade.diff() > 0).all()
    with pytest.raises(ValueError, match=r"values has shape \(3,\): expected"):
        plot_mesh(TRIANGLES, torch.ones(3))


def test_pictures_of_other_dimensions_are_refused() -> None:
    """Two of three coordinates were drawn, and a line against its own numbers."""
    with pytest.raises(ValueError, match="mesh has 3 coordinates: expected 1 or 2"):
        plot_mesh(Mesh(CUBE, 2))
    for geometry, dim in ((CUBE, 3), (shapes.Interval(0, 1), 1)):
        data = Strong(problem_on(geometry), 10, 2)
        with pytest.raises(ValueError, match=f"problem has {dim} coordinates: exp"):
            plot_points(data)


def test_a_solution_on_triangles_is_kept_and_drawn(tmp_path) -> None:
    """``u = (1 - |x|^2) / 4``; another triangulation is refused."""
    problem, method = problem_on(DISK), FEM(TRIANGLES)
    solution, path = solve(problem, method), tmp_path / "disk.pt"
    x = torch.tensor([[0.0, 0.0], [0.5, -0.5]])
    exact = (1 - x.square().sum(1, keepdim=True)) / 4
    torch.testing.assert_close(solution.predict(x), exact, rtol=0, atol=0.01)
    solution.save(path)
    again = load(path, problem, method)
    assert torch.equal(again.predict(x), solution.predict(x))
    assert again.plot().axes
    with pytest.raises(ValueError, match="does not fit this problem"):
        load(path, problem, FEM(Triangulation.from_geometry(DISK, 0.3)))


def test_three_coordinates_are_solved_and_kept_by_every_method(tmp_path) -> None:
    problem, path = problem_on(CUBE), tmp_path / "cube.pt"
    few = {"num_domain": 40, "num_sides": 10, "hidden": (4,)}
    for method in (
        FEM(3),
        Vanilla(**few),
        CPINN([[], [0.5]], **few),
        HPVPINN(1, degree=2, num_sides=10, hidden=(4,)),
    ):
        solution = solve(problem, method, iterations=1)
        solution.save(path)
        x = torch.full((2, 3), 0.4)
        assert torch.equal(load(path, problem, method).predict(x), solution.predict(x))
        with pytest.raises(ValueError, match="problem has 3 coordinates"):
            solution.plot()
