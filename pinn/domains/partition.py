"""A domain cut into subdomains by planes, and the faces between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinn.domains.mesh import box_of, boxes_between, edges_along

__all__ = ["Interface", "Partition", "check_partition"]


@dataclass(frozen=True)
class Interface:
    """A face that two subdomains share.

    Args:
        left: Subdomain before the face.
        right: Subdomain behind it.
        axis: Axis that the face is normal to.
        lower: Lower corner of the face, ``dim`` numbers.
        upper: Upper corner of the face, ``dim`` numbers.
    """

    left: int
    right: int
    axis: int
    lower: tuple[float, ...]
    upper: tuple[float, ...]


class Partition:
    """A domain cut into subdomains by planes.

    Jagtap and Karniadakis 2020, Communications in Computational Physics 28(5).

    Args:
        geometry: A ``deepxde.geometry`` object that is a box, in time or not.
        cuts: Per axis, the positions of the cuts; missing trailing axes are not cut.
            Time is the last axis.

    Raises:
        TypeError: If ``cuts`` is no list of lists.
        ValueError: If a cut lies outside the domain, cuts do not rise, or there are
            more lists than axes.

    Example:
        >>> import deepxde as dde
        >>> partition = Partition(dde.geometry.Interval(-1, 1), [[-0.6, 0.2, 0.5]])
        >>> len(partition), partition.locate(torch.tensor([[0.3]])).item()
        (4, 2)
    """

    def __init__(self, geometry: Any, cuts: Sequence[Sequence[float]] = ()) -> None:
        self.geometry = geometry
        lo, hi = box_of(geometry)
        if len(cuts) > len(lo):
            raise ValueError(
                f"cuts has {len(cuts)} entries but the domain {len(lo)} axes: "
                "expected one list per axis at most"
            )
        for axis, positions in enumerate(cuts):
            if np.ndim(positions) != 1:
                raise TypeError(f"cuts[{axis}] is {positions!r}: expected a list")
        self.cuts = [list(c) for c in cuts] + [[]] * (len(lo) - len(cuts))
        for axis, positions in enumerate(self.cuts):
            for cut in positions:
                if not lo[axis] < cut < hi[axis]:
                    raise ValueError(
                        f"cuts[{axis}] has {cut} but the domain runs from "
                        f"{lo[axis]} to {hi[axis]}: expected cuts inside it"
                    )
        edges = [
            edges_along(axis, [lo[axis], *positions, hi[axis]], lo[axis], hi[axis])
            for axis, positions in enumerate(self.cuts)
        ]
        lower, upper = boxes_between(edges)
        self.lower = torch.as_tensor(lower, device="cpu")
        self.upper = torch.as_tensor(upper, device="cpu")
        self._grid = tuple(len(e) - 1 for e in edges)

    def __len__(self) -> int:
        return len(self.lower)

    def locate(self, x: Tensor) -> Tensor:
        """Find each point's subdomain; on a cut, the one behind it.

        Args:
            x: Points. Shape ``(batch, dim)``.

        Returns:
            Indices. Shape ``(batch,)``.
        """
        index = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        for axis, positions in enumerate(self.cuts):
            cuts = torch.tensor(positions, dtype=x.dtype, device=x.device)
            along = torch.bucketize(x[:, axis].contiguous(), cuts, right=True)
            index = index * self._grid[axis] + along
        return index

    @property
    def interfaces(self) -> list[Interface]:
        """All faces between two neighbours, axis by axis."""
        numbers = np.arange(len(self)).reshape(self._grid)
        found = []
        for axis in range(len(self._grid)):
            before = numbers.take(range(self._grid[axis] - 1), axis=axis)
            behind = numbers.take(range(1, self._grid[axis]), axis=axis)
            for left, right in zip(before.ravel(), behind.ravel(), strict=True):
                low, high = self.lower[right].clone(), self.upper[right].clone()
                high[axis] = low[axis]
                face = tuple(low.tolist()), tuple(high.tolist())
                found.append(Interface(int(left), int(right), axis, *face))
        return found


def check_partition(partition: object) -> None:
    """Refuse a mesh, or anything else, for a partition."""
    if not isinstance(partition, Partition):
        kind = type(partition).__name__
        raise TypeError(f"partition is a {kind}: expected a pinn.Partition")
