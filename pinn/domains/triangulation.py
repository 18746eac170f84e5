"""Triangles that fill a domain of the plane, whatever its border."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinn._backend import dde
from pinn._checks import check_positive
from pinn.domains.border import onto_border

__all__ = ["Triangulation", "on_curve", "points_in"]

_FINE = 4000  # points that measure the length of a curve
_CURVES = ("Disk", "Ellipse", "StarShaped")


@dataclass(frozen=True, eq=False)
class Triangulation:
    """Triangles that fill a domain of the plane: disks, polygons, holes.

    Straight triangles with corners on the border: a curve becomes a polygon, an error
    of second order in their size. Shewchuk 1996, Lecture Notes in Computer Science
    1148, whose generator makes them; shapely cuts and joins the outlines.

    Args:
        geometry: A ``deepxde.geometry`` object of two coordinates, not in time.
        corners: All corners. Shape ``(corners, 2)``.
        triangles: Numbers of each triangle's corners. Shape ``(triangles, 3)``.

    Example:
        >>> import deepxde as dde
        >>> ring = dde.geometry.Disk([0, 0], 1) - dde.geometry.Disk([0, 0], 0.5)
        >>> mesh = Triangulation.from_geometry(ring, 0.1)
        >>> abs(mesh.area() - 0.75 * 3.1416) < 0.01
        True
    """

    geometry: Any
    corners: Tensor
    triangles: Tensor

    @classmethod
    def from_geometry(cls, geometry: Any, size: float) -> "Triangulation":
        """Fill a domain with triangles of about one size.

        Args:
            geometry: A rectangle, disk, ellipse, star, triangle or polygon of
                ``deepxde.geometry``, or unions, differences and intersections of such.
            size: Length of the sides, at most, about.

        Returns:
            The triangles.

        Raises:
            TypeError: If the geometry is of another kind, or in time.
            ValueError: If ``size`` is not positive, or nothing is left of the domain.
        """
        from meshpy import triangle  # compiled, and needed only here

        check_positive("size", size)
        points: list[list[float]] = []
        edges: list[tuple[int, int]] = []
        holes: list[tuple[float, float]] = []
        for polygon in _polygons(geometry, size):
            for ring in (polygon.exterior, *polygon.interiors):
                xy = np.asarray(ring.segmentize(size).coords)[:-1]
                number = len(points) + np.arange(len(xy))
                edges += list(zip(number, np.roll(number, -1), strict=True))
                points += xy.tolist()
            holes += [_within(ring) for ring in polygon.interiors]
        plan = triangle.MeshInfo()
        plan.set_points(points)
        plan.set_facets([(int(a), int(b)) for a, b in edges])
        plan.set_holes(holes)
        made = triangle.build(
            plan,
            max_volume=size**2 * 3**0.5 / 4,
            min_angle=25,
            allow_boundary_steiner=False,
        )
        corners = torch.as_tensor(np.array(made.points), device="cpu")
        return cls(geometry, corners, torch.as_tensor(np.array(made.elements)).long())

    def __len__(self) -> int:
        return len(self.triangles)

    def area(self) -> float:
        """Add up the triangles.

        Returns:
            Their area.
        """
        first, *others = self.corners[self.triangles].unbind(1)
        (a, b), (c, d) = ((other - first).T for other in others)
        return float((a * d - b * c).abs().sum()) / 2


def points_in(
    mesh: Triangulation, nodes: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Fold a Gauss rule of the square into every triangle.

    One side of the square shrinks to a corner: with ``q`` nodes per axis the sums are
    exact for polynomials of degree ``2 q - 2``. Duffy 1982, SIAM J. Numer. Anal. 19(6).

    Args:
        mesh: Triangles.
        nodes: Of a rule on [-1, 1]. Shape ``(points,)``.
        weights: Its weights. Shape ``(points,)``.

    Returns:
        Points, ``(all, 2)``, triangle after triangle, and their weights, ``(all,)``.
    """
    s, t = torch.cartesian_prod((nodes + 1) / 2, (nodes + 1) / 2).T
    a, b, c = mesh.corners[mesh.triangles].to(nodes).unbind(1)
    x = a[:, None] + s[:, None] * (b - a)[:, None] + (s * t)[:, None] * (c - b)[:, None]
    (p, q), (r, z) = (b - a).T, (c - a).T
    share = torch.outer(weights, weights).flatten() / 4 * s
    return x.reshape(-1, 2), torch.outer((p * z - q * r).abs(), share).flatten()


def on_curve(mesh: Triangulation, x: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Move points of the sides at the border onto the border itself.

    Args:
        mesh: Triangles.
        x: Points on their sides at the border. Shape ``(points, 2)``.
        normals: Unit normals of the sides there. Shape ``(points, 2)``.

    Returns:
        The points of the border along the normals. Shape ``(points, 2)``.
    """
    sides = mesh.corners[mesh.triangles] - mesh.corners[mesh.triangles[:, [1, 2, 0]]]
    return onto_border(mesh.geometry, x, normals, float(sides.norm(dim=2).max()) / 2)


def _polygons(geometry: Any, size: float) -> list:
    """Return the outlines of the parts of a domain."""
    import shapely

    found = _outline(geometry, size)
    parts = [p for p in getattr(found, "geoms", [found]) if p.area > 0]
    if not parts:
        raise ValueError("geometry has no area: expected a domain that is not empty")
    if not all(isinstance(part, shapely.Polygon) for part in parts):
        raise ValueError("geometry has parts that touch in lines or points only")
    return parts


def _outline(geometry: Any, size: float) -> Any:
    """Return a domain as polygons whose corners are on its border."""
    import shapely

    kind = type(geometry).__name__
    if kind in ("CSGUnion", "CSGDifference", "CSGIntersection"):
        parts = (_outline(g, size) for g in (geometry.geom1, geometry.geom2))
        return getattr(shapely, kind.removeprefix("CSG").lower())(*parts)
    if isinstance(geometry, dde.geometry.Rectangle):
        return shapely.box(*geometry.xmin, *geometry.xmax)
    if isinstance(geometry, dde.geometry.Triangle):
        return shapely.Polygon([geometry.x1, geometry.x2, geometry.x3])
    if isinstance(geometry, dde.geometry.Polygon):
        return shapely.Polygon(geometry.vertices)
    if kind in _CURVES:
        return shapely.Polygon(_on_curve(geometry, size))
    raise TypeError(
        f"geometry is a {kind}: expected a rectangle, disk, ellipse, star, triangle or "
        "polygon, or unions, differences and intersections of such, not in time"
    )


def _on_curve(geometry: Any, size: float) -> np.ndarray:
    """Choose points of a closed curve, about evenly."""
    fine = geometry.uniform_boundary_points(_FINE)
    length = np.linalg.norm(fine - np.roll(fine, 1, axis=0), axis=1).sum()
    return geometry.uniform_boundary_points(max(8, int(np.ceil(length / size))))


def _within(ring: Any) -> tuple[float, float]:
    """Return a point inside a closed line."""
    import shapely

    point = shapely.Polygon(ring).representative_point()
    return point.x, point.y
