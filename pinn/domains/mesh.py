"""Boxes that tile a domain: elements of the weak form."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinn._checks import check_count, check_shape
from pinn.domains.border import check_uncut
from pinn.domains.triangulation import Triangulation

__all__ = [
    "Mesh",
    "box_of",
    "boxes_between",
    "check_boxes",
    "edges_along",
    "inside_of",
]

_CORNER = 1e-6
_MADE: Any = None  # by the class, from the other arguments


def box_of(geometry: Any) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner of a DeepXDE geometry's bounding box, time last."""
    if hasattr(geometry, "timedomain"):
        lower, upper = box_of(geometry.geometry)
        time = geometry.timedomain
        return np.append(lower, float(time.t0)), np.append(upper, float(time.t1))
    if not hasattr(geometry, "bbox"):
        kind = type(geometry).__name__
        raise TypeError(f"geometry is a {kind}: expected one of deepxde.geometry")
    lower, upper = geometry.bbox
    return np.array(lower, dtype=float), np.array(upper, dtype=float)


def inside_of(geometry: Any, x: np.ndarray) -> np.ndarray:
    """Tell which points lie in the geometry."""
    if hasattr(geometry, "timedomain"):
        return geometry.geometry.inside(x[:, :-1]) & geometry.timedomain.inside(
            x[:, -1:]
        )
    return geometry.inside(x)


def edges_along(
    axis: int, given: int | Sequence[float], lo: float, hi: float
) -> np.ndarray:
    """Make the element edges along one axis from a count or from positions."""
    if isinstance(given, int):
        check_count(f"elements[{axis}]", given, least=1)
        return np.linspace(lo, hi, given + 1)
    edges = np.asarray(given, dtype=float)
    if edges.ndim != 1 or len(edges) < 2 or (np.diff(edges) <= 0).any():
        raise ValueError(
            f"elements[{axis}] is {given}: expected a count, or rising edges"
        )
    if edges[0] < lo - 1e-12 or edges[-1] > hi + 1e-12:
        raise ValueError(
            f"elements[{axis}] runs from {edges[0]} to {edges[-1]} but the domain from "
            f"{lo} to {hi}: expected edges inside the domain"
        )
    return edges


def boxes_between(edges: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """List all boxes of a tensor grid: lower and upper corners, last axis fastest."""
    lows = np.meshgrid(*[e[:-1] for e in edges], indexing="ij")
    highs = np.meshgrid(*[e[1:] for e in edges], indexing="ij")
    return (
        np.stack([g.ravel() for g in lows], axis=1),
        np.stack([g.ravel() for g in highs], axis=1),
    )


def check_boxes(who: str, mesh: Any) -> None:
    """Refuse what is no mesh of boxes, triangles by name."""
    if not isinstance(mesh, Mesh):
        raise TypeError(
            f"mesh is a {type(mesh).__name__}: {who} expects the boxes of a pinn.Mesh; "
            "triangles are for pinn.fem and pinn.Mean"
        )


@dataclass(frozen=True, eq=False)
class Mesh:
    """Elements that tile a box, or a union of boxes such as an L, and their degrees.

    Kharazmi, Zhang and Karniadakis 2021, CMAME 374, 113547.

    Args:
        geometry: A ``deepxde.geometry`` object, in time or not.
        elements: Per axis, a number of equal elements or the positions of the edges;
            one number stands for all axes. Time is the last axis.
        degree: Bubble test functions per axis and element.
        lower: Lower corners of the elements, set by ``refine``; leave it. Shape
            ``(boxes, dim)``.
        upper: Upper corners, likewise. Shape ``(boxes, dim)``.
        degrees: Degree of each element, likewise. Shape ``(boxes,)``.

    Raises:
        TypeError: If a count is not an int, or ``elements`` are triangles.
        ValueError: If edges do not rise or leave the domain, no element lies in the
            domain, or one lies in it only in part.

    Example:
        >>> import deepxde as dde
        >>> mesh = Mesh(dde.geometry.Interval(-1, 1), [[-1, -0.1, 0.1, 1]], degree=60)
        >>> len(mesh), mesh.upper.flatten().tolist()
        (3, [-0.1, 0.1, 1.0])
    """

    geometry: Any
    elements: int | Sequence[int | Sequence[float]] = 1
    degree: int = 5
    lower: Tensor = _MADE
    upper: Tensor = _MADE
    degrees: Tensor = _MADE

    def __post_init__(self) -> None:
        check_count("degree", self.degree, least=1)
        if self.lower is not None:
            return  # made by refine
        lo, hi = box_of(self.geometry)
        given = self.elements
        if isinstance(given, Triangulation):
            raise TypeError(
                "elements is a Triangulation: expected counts or edges of boxes; "
                "triangles are for pinn.fem and pinn.Mean"
            )
        given = [given] * len(lo) if isinstance(given, int) else list(given)
        if len(given) != len(lo):
            raise ValueError(
                f"elements has {len(given)} entries but the domain {len(lo)} axes: "
                "expected one entry per axis"
            )
        edges = [edges_along(a, given[a], lo[a], hi[a]) for a in range(len(lo))]
        lower, upper = self._within(*boxes_between(edges))
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)
        degrees = torch.full((len(lower),), self.degree, device="cpu")
        object.__setattr__(self, "degrees", degrees)

    @staticmethod
    def from_geometry(geometry: Any, size: float) -> Triangulation:
        """Fill a domain of any shape with triangles instead of boxes.

        Args:
            geometry: As of :meth:`pinn.Triangulation.from_geometry`.
            size: Length of the sides, about.

        Returns:
            Triangles, for :func:`pinn.fem` and :class:`pinn.Mean`.
        """
        return Triangulation.from_geometry(geometry, size)

    def __len__(self) -> int:
        return len(self.lower)

    def _within(self, lower: np.ndarray, upper: np.ndarray) -> tuple[Tensor, Tensor]:
        """Keep the boxes in the domain; refuse those that are in it only in part."""
        centre, half = (lower + upper) / 2, (upper - lower) / 2
        kept = inside_of(self.geometry, centre)
        if not kept.any():
            raise ValueError(
                f"mesh has no elements: none of the {len(kept)} boxes of elements="
                f"{self.elements} lies in the geometry"
            )
        signs = np.stack(
            np.meshgrid(*[[-1.0, 1.0]] * lower.shape[1], indexing="ij"), axis=-1
        ).reshape(-1, lower.shape[1])
        for sign in signs:  # corners, drawn in a little
            corner = centre + (1 - _CORNER) * sign * half
            split = inside_of(self.geometry, corner) != kept
            if split.any():
                k = int(np.flatnonzero(split)[0])
                raise ValueError(
                    f"element {k}, from {lower[k].tolist()} to {upper[k].tolist()}, "
                    "lies in the geometry only in part: expected edges along its border"
                )
        check_uncut(self.geometry, lower[kept], upper[kept])
        as_tensor = torch.as_tensor
        return as_tensor(lower[kept], device="cpu"), as_tensor(
            upper[kept], device="cpu"
        )

    def refine(self, marks: Tensor, *, degree: int = 0) -> "Mesh":
        """Split the marked elements in half along each axis, or raise their degree.

        Args:
            marks: Which elements. Shape ``(elements,)``, boolean.
            degree: 0 splits (h-refinement); otherwise it is added to the degree
                (p-refinement).

        Returns:
            A new mesh.

        Raises:
            TypeError: If ``marks`` is not boolean, or ``degree`` not an int.
            ValueError: If the shape does not fit, or ``degree`` is negative.

        Example:
            >>> import deepxde as dde
            >>> mesh = Mesh(dde.geometry.Interval(0, 1), 2, degree=4)
            >>> finer = mesh.refine(torch.tensor([False, True]))
            >>> finer.lower.flatten().tolist()
            [0.0, 0.5, 0.75]
            >>> mesh.refine(torch.tensor([False, True]), degree=2).degrees.tolist()
            [4, 6]
        """
        if marks.dtype != torch.bool:
            raise TypeError(f"marks has dtype {marks.dtype}: expected torch.bool")
        check_shape("marks", marks, (len(self),))
        check_count("degree", degree, least=0)
        marks = marks.cpu()
        if degree:
            degrees = self.degrees + degree * marks
            return replace(self, degree=int(degrees.max()), degrees=degrees)
        lower, upper = self.lower[marks], self.upper[marks]
        degrees = self.degrees[marks]
        for axis in range(self.lower.shape[1]):
            middle = (lower[:, axis] + upper[:, axis]) / 2
            left, right = upper.clone(), lower.clone()
            left[:, axis] = right[:, axis] = middle
            lower, upper = torch.cat([lower, right]), torch.cat([left, upper])
            degrees = degrees.repeat(2)
        return replace(
            self,
            lower=torch.cat([self.lower[~marks], lower]),
            upper=torch.cat([self.upper[~marks], upper]),
            degrees=torch.cat([self.degrees[~marks], degrees]),
        )
