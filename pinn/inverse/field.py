"""A coefficient that varies from place to place, and is to be found."""

import itertools
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from pinn._checks import check_count, check_finite, check_shape
from pinn.inverse.unknown import Unknown

__all__ = ["Field"]


class Field(torch.nn.Module):
    r"""A coefficient that is learned with the network: call it with points.

    .. math:: c(x) = \sum_j c_j \varphi_j(x)

    with the hats ``phi_j`` of a grid, linear between its knots (in several coordinates
    linear in each), constant beyond the outermost. One :class:`Unknown` a knot, named
    ``name[j]``; give ``field.unknowns`` to the problem. Data say little about fine
    detail: see :class:`pinn.inverse.Smoothness`.
    Kaipio and Somersalo 2005, Statistical and Computational Inverse Problems, ch. 3.

    Args:
        name: Its name in results.
        grid: Knots along each coordinate that it varies with: increasing numbers.
        axes: Which coordinates these are.
        start: First guess, everywhere.
        positive: Whether it can be positive only.
        scale: Its size, positive.

    ``unknowns`` are those of the knots, the last coordinate's fastest.

    Raises:
        TypeError: If ``name`` is not a string, or an axis is not an int.
        ValueError: If there is not one axis for each list of knots, an axis comes twice
            or is negative, knots are fewer than two, not finite or do not increase, or
            as :class:`Unknown` does.

    Example:
        >>> import torch
        >>> k = Field("k", [[0.0, 0.5, 1.0]], start=2.0)
        >>> k.set(torch.tensor([1.0, 2.0, 4.0]))
        >>> k(torch.tensor([[0.25], [0.75], [7.0]], dtype=torch.float64)).tolist()
        [[1.5], [3.0], [4.0]]
        >>> [unknown.name for unknown in k.unknowns]
        ['k[0]', 'k[1]', 'k[2]']
    """

    def __init__(
        self,
        name: str,
        grid: Sequence[Sequence[float]],
        axes: Sequence[int] = (0,),
        *,
        start: float,
        positive: bool = False,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        if len(grid) != len(axes) or len(set(axes)) != len(axes) or not axes:
            raise ValueError(
                f"axes are {tuple(axes)} for {len(grid)} lists of knots: expected one "
                "axis for each, all different"
            )
        self.grid = [torch.as_tensor(knots).detach().cpu().double() for knots in grid]
        for axis, knots in zip(axes, self.grid, strict=True):
            check_count("axes", axis, least=0)
            check_shape("knots", knots, ("knots",))
            check_finite("knots", knots)
            if len(knots) < 2 or not (knots.diff() > 0).all():
                raise ValueError(
                    f"knots are {knots.tolist()}: expected two or more, increasing"
                )
        self.axes = tuple(axes)
        self.shape = tuple(len(knots) for knots in self.grid)
        places = itertools.product(*map(range, self.shape))
        self.unknowns = torch.nn.ModuleList(
            Unknown(
                f"{name}[{', '.join(map(str, place))}]",
                start,
                positive=positive,
                scale=scale,
            )
            for place in places
        )

    @property
    def values(self) -> Tensor:
        """Values at the knots, differentiable. Shape ``(knots, ...)``, one per axis."""
        return torch.stack([unknown() for unknown in self.unknowns]).view(self.shape)

    def set(self, values: Tensor) -> None:
        """Give the knots values.

        Args:
            values: One per knot. Shape ``(knots, ...)``.

        Raises:
            ValueError: If the shape is another.
        """
        check_shape("values", values, self.shape)
        for unknown, value in zip(
            self.unknowns, values.flatten().tolist(), strict=True
        ):
            cast(Unknown, unknown).set(value)

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate the coefficient.

        Args:
            x: Points. Shape ``(batch, dim)``.

        Returns:
            Values, differentiable by ``x`` and by the unknowns. Shape ``(batch, 1)``.
        """
        sides = []  # per axis: the knots left and right of a point, and their shares
        for axis, knots in zip(self.axes, self.grid, strict=True):
            at, knots = x[:, axis], knots.to(x)
            right = torch.searchsorted(knots, at.detach().contiguous())
            right = right.clamp(1, len(knots) - 1)
            low, high = knots[right - 1], knots[right]
            share = ((at - low) / (high - low)).clamp(0, 1)
            sides.append(((right - 1, 1 - share), (right, share)))
        values, found = self.values.to(x), torch.zeros_like(x[:, 0])
        for corner in itertools.product(*sides):
            hat = torch.ones_like(found)
            for _, share in corner:
                hat = hat * share
            found = found + hat * values[tuple(index for index, _ in corner)]
        return found[:, None]

    def roughness(self) -> Tensor:
        r"""Split the integral of the squared gradient into squares of numbers.

        .. math:: \sum_i r_i^2 = \int |\nabla c|^2 \, dx

        exactly in one coordinate; across the others by the trapezoidal rule.

        Returns:
            One ``r`` for each edge of the grid, linear in values. Shape ``(edges,)``.
        """
        rows, values = [], self.values
        for axis, knots in enumerate(self.grid):
            slopes = values.diff(dim=axis)
            for other, across in enumerate(self.grid):
                like = [1] * len(self.grid)
                like[other] = -1
                share = 1 / knots.diff() if other == axis else _trapezoid(across)
                slopes = slopes * share.to(values).sqrt().view(like)
            rows.append(slopes.flatten())
        return torch.cat(rows)


def _trapezoid(knots: Tensor) -> Tensor:
    """Weights of the trapezoidal rule."""
    widths = knots.diff()
    zero = widths.new_zeros(1)
    return (torch.cat([zero, widths]) + torch.cat([widths, zero])) / 2
