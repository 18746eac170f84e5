"""Triangles fill what they are made for, and their corners are on its border."""

from typing import Any

import numpy as np
import pytest

from pinn import Mesh, Triangulation
from pinn._backend import dde
from pinn.domains.border import onto_border

shapes = dde.geometry
DISK = shapes.Disk([0.2, -0.1], 0.5)
DOMAINS = {
    "disk": (DISK, np.pi / 4),
    "ellipse": (shapes.Ellipse([0, 0], 1, 0.5, 0.3), np.pi / 2),
    "triangle": (shapes.Triangle([0, 0], [1, 0], [0, 1]), 0.5),
    "L": (shapes.Polygon([[0, 0], [1, 0], [1, -1], [-1, -1], [-1, 1], [0, 1]]), 3.0),
    "hole": (shapes.Rectangle([-1, -1], [1, 1]) - DISK, 4 - np.pi / 4),
    "half": (shapes.Rectangle([0.2, -1], [1, 1]) & DISK, np.pi / 8),
    "two": (DISK | shapes.Rectangle([2, 2], [3, 3]), 1 + np.pi / 4),
}


@pytest.mark.parametrize("name", DOMAINS)
def test_the_area_is_that_of_the_domain_at_second_order(name: str) -> None:
    geometry, area = DOMAINS[name]
    off = [abs(Mesh.from_geometry(geometry, s).area() - area) for s in (0.1, 0.05)]
    assert off[1] < 4e-3 * area
    assert off[1] < 1e-12 or 3 < off[0] / off[1] < 5


@pytest.mark.parametrize("name", DOMAINS)
def test_triangles_are_inside_and_of_the_size_asked_for(name: str) -> None:
    geometry, area = DOMAINS[name]
    mesh = Triangulation.from_geometry(geometry, 0.1)
    middles = mesh.corners[mesh.triangles].mean(dim=1)
    assert geometry.inside(middles.numpy()).all()
    sides = mesh.corners[mesh.triangles] - mesh.corners[mesh.triangles[:, [1, 2, 0]]]
    lengths = sides.norm(dim=2).numpy()
    assert lengths.max() < 0.2 and np.median(lengths) == pytest.approx(0.08, abs=0.03)
    assert 1 < len(mesh) * 0.1**2 * 3**0.5 / 4 / area < 3


def test_points_move_onto_the_border_along_their_normals() -> None:
    angle = np.linspace(0, 6, 40)[:, None]
    n = np.hstack([np.cos(angle), np.sin(angle)])
    for radius in (0.45, 0.55):
        x = onto_border(DISK, DISK.center + radius * n, n, 0.2)
        assert np.allclose(x, DISK.center + 0.5 * n, atol=1e-12)
        assert DISK.on_boundary(x).all()
    far = DISK.center + 0.1 * n
    assert np.array_equal(onto_border(DISK, far, n, 0.2), far), "no border in reach"
    exact = DISK.center + 0.5 * n
    assert np.array_equal(onto_border(DISK, exact, n, 0.2), exact)


@pytest.mark.parametrize(
    "geometry, kind",
    [
        (shapes.Interval(0, 1), "Interval"),
        (shapes.Cuboid([0, 0, 0], [1, 1, 1]), "Cuboid"),
        (shapes.GeometryXTime(DISK, shapes.TimeDomain(0, 1)), "GeometryXTime"),
    ],
)
def test_other_geometries_are_refused(geometry: Any, kind: str) -> None:
    with pytest.raises(TypeError, match=f"geometry is a {kind}: expected a rectangle"):
        Triangulation.from_geometry(geometry, 0.1)


def test_sizes_and_empty_domains_are_refused() -> None:
    with pytest.raises(ValueError, match="size"):
        Triangulation.from_geometry(DISK, 0.0)
    with pytest.raises(ValueError, match="no area"):
        Triangulation.from_geometry(DISK & shapes.Disk([5, 5], 1), 0.1)
