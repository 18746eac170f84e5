"""Points on the border of a domain in space, and its corners."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["border_points", "check_uncut", "corners", "onto_border", "undisturbed"]

_MARGIN = 1e-6
_HALVINGS = 60


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put back the global generators that DeepXDE draws from."""
    states = random.getstate(), np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def border_points(geometry: Any, count: int = 1000) -> np.ndarray:
    """Draw points on the border in space, the same at every call: ``(count, dim)``."""
    space = getattr(geometry, "geometry", geometry)
    with undisturbed():
        return space.random_boundary_points(count)


def corners(geometry: Any, x: np.ndarray) -> np.ndarray:
    """Tell which points are at corners or edges, where no normal is defined.

    Args:
        geometry: A box, a polygon, a triangle, or made of such by union and difference;
            in time or not. Others have none.
        x: Points, ``(batch, dim)``.

    Returns:
        Booleans, ``(batch,)``.
    """
    if hasattr(geometry, "timedomain"):
        return corners(geometry.geometry, x[:, :-1])
    if hasattr(geometry, "geom1"):
        return corners(geometry.geom1, x) | corners(geometry.geom2, x)
    if geometry.dim > 1 and hasattr(geometry, "xmin"):
        ends = np.isclose(x, geometry.xmin) | np.isclose(x, geometry.xmax)
        return ends.sum(axis=1) > 1
    vertices = getattr(geometry, "vertices", None)
    if hasattr(geometry, "x3"):  # a triangle, whose corners have names
        vertices = [geometry.x1, geometry.x2, geometry.x3]
    if vertices is not None:
        vertices = np.asarray(vertices)[None]
        return np.isclose(x[:, None], vertices).all(axis=2).any(axis=1)
    return np.zeros(len(x), dtype=bool)


def check_uncut(geometry: Any, lower: np.ndarray, upper: np.ndarray) -> None:
    """Refuse elements that the border runs through: a hole between the corners."""
    border = border_points(geometry)
    dim = border.shape[1]
    margin = _MARGIN * (upper - lower)
    low, high = (lower + margin)[:, :dim], (upper - margin)[:, :dim]
    for k in range(len(lower)):
        inside = ((border > low[k]) & (border < high[k])).all(axis=1)
        if inside.any():
            place = border[inside][0].round(3).tolist()
            raise ValueError(
                f"the border of the geometry runs through the element from "
                f"{lower[k].tolist()} to {upper[k].tolist()}, at {place}: expected "
                "edges along the border"
            )


def onto_border(
    geometry: Any, x: np.ndarray, normals: np.ndarray, reach: float
) -> np.ndarray:
    """Move points along their normals to where the geometry ends, by halving.

    Args:
        geometry: In space.
        x: Points near the border. Shape ``(points, dim)``.
        normals: Unit normals, outwards. Shape ``(points, dim)``.
        reach: How far to look.

    Returns:
        Points on the border; those with no border within reach as they were. Shape
        ``(points, dim)``.
    """
    low = np.full((len(x), 1), -reach)
    high = -low
    crosses = geometry.inside(x + low * normals) & ~geometry.inside(x + high * normals)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        inside = geometry.inside(x + middle * normals)[:, None]
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    on = geometry.on_boundary(x)  # as it is, where it is exact already
    return np.where((crosses & ~on)[:, None], x + low * normals, x)
