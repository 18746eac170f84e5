"""Points on the interfaces between subdomains, and both networks there."""

from typing import Any

import torch
from torch import Tensor

from pinn._checks import check_count
from pinn.derivatives.jets import Jet, Wanted
from pinn.domains.mesh import box_of, inside_of
from pinn.domains.partition import Partition, check_partition

__all__ = ["Interfaces"]


class Interfaces:
    """Points on all interfaces of a partition, and the two subdomains at each.

    Jagtap, Kharazmi and Karniadakis 2020, CMAME 365, 113028. ``x`` holds the points,
    ``(points, dim)``; ``normal`` the unit normals from left to right; ``left`` and
    ``right`` the subdomains before and behind each point; ``area`` the area that each
    point stands for. Where a domain that is no box has no point on one side, there is
    no interface. ``before`` and ``behind`` are the points a hair to the left and to the
    right, to evaluate coefficients that jump there.

    Args:
        partition: The subdomains.
        count: Points per interface, evenly spread.

    Raises:
        TypeError: If it is no partition.
        ValueError: If ``count`` is not positive.

    Example:
        >>> from pinn import Partition, zoo
        >>> cut = Partition(zoo.burgers().geometry, [[0.2]])
        >>> Interfaces(cut, 4).x.tolist()
        [[0.2, 0.125], [0.2, 0.375], [0.2, 0.625], [0.2, 0.875]]
    """

    def __init__(self, partition: Partition, count: int = 99) -> None:
        check_partition(partition)
        check_count("count", count, least=1)
        x, normal, left, right, area = [], [], [], [], []
        dim = partition.lower.shape[1]
        for face in partition.interfaces:
            low, high = (
                torch.tensor(corner, dtype=torch.float64, device="cpu")
                for corner in (face.lower, face.upper)
            )
            along = [k for k in range(dim) if k != face.axis]
            share = _spread(len(along), count)
            points = low.repeat(len(share), 1)
            points[:, along] += share * (high - low)[along]
            x.append(points)
            unit = torch.zeros_like(points)
            unit[:, face.axis] = 1
            normal.append(unit)
            left.append(torch.full((len(points),), face.left))
            right.append(torch.full((len(points),), face.right))
            size = (high - low)[along].prod().item()
            area.append(torch.full_like(points[:, 0], size / len(points)))
        empty = torch.empty(0, dim, dtype=torch.float64, device="cpu")
        self.x, self.normal = torch.cat([empty, *x]), torch.cat([empty, *normal])
        none = torch.empty(0, dtype=torch.int64, device="cpu")
        self.left, self.right = torch.cat([none, *left]), torch.cat([none, *right])
        self.area = torch.cat([empty[:, 0], *area])
        lower, upper = box_of(partition.geometry)
        self._span = torch.as_tensor(upper - lower, device="cpu")
        self._keep_inside(partition)

    def _keep_inside(self, partition: Partition) -> None:
        """Drop points where one side lies outside a domain that is no box."""
        step = 1e-6 * self._span * self.normal
        kept = torch.ones(len(self.x), dtype=torch.bool, device="cpu")
        for side in (self.x - step, self.x + step):
            kept &= torch.as_tensor(inside_of(partition.geometry, side.numpy()))
        for name in ("x", "normal", "left", "right", "area"):
            setattr(self, name, getattr(self, name)[kept])

    @property
    def before(self) -> Tensor:
        """The points, a hair to the left: coefficients may jump at an interface."""
        return self.x - self._hair()

    @property
    def behind(self) -> Tensor:
        """The points, a hair to the right."""
        return self.x + self._hair()

    def _hair(self) -> Tensor:
        """A step along the normals that round-off does not swallow."""
        size = self._span + self.x.abs()
        return 64 * torch.finfo(self.x.dtype).eps * size * self.normal

    def to(self, like: Tensor) -> "Interfaces":
        """Move to a tensor's device and dtype; nothing happens if already there.

        Args:
            like: The tensor. Shape ``(...)``.

        Returns:
            This object.
        """
        if self.x.dtype != like.dtype or self.x.device != like.device:
            for name in ("x", "normal", "area", "_span"):
                setattr(self, name, getattr(self, name).to(like))
            self.left, self.right = (
                self.left.to(like.device),
                self.right.to(like.device),
            )
        return self

    def sides(self, net: Any, wanted: Wanted) -> tuple[Jet, Jet]:
        """Evaluate both networks at every point.

        Args:
            net: A :class:`pinn.SubdomainFNN`.
            wanted: Derivatives to compute.

        Returns:
            The jets from the left and from the right.
        """
        return net.traces(self.x, self.left, wanted), net.traces(
            self.x, self.right, wanted
        )


def _spread(dim: int, count: int) -> Tensor:
    """Spread points over a unit cube, none on its surface."""
    if dim == 0:
        return torch.zeros(1, 0, dtype=torch.float64, device="cpu")
    if dim == 1:
        steps = torch.arange(count, dtype=torch.float64, device="cpu")
        return ((steps + 0.5) / count)[:, None]
    engine = torch.quasirandom.SobolEngine(dim)
    engine.fast_forward(1)  # the first point is a corner
    return engine.draw(count, dtype=torch.float64)
