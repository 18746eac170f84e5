"""Residuals that each read points of their own: found by probing, then differentiated.

If every entry of what a network returned is read by one residual at most, the gradient
of the residuals' sum by these entries holds the slopes of all. Whose slope an entry
holds is read off a second sum, in which each residual has a random weight of its own,
and verified on a third: a residual that reads the points of others is never taken for
one that does not, but with the probability that random numbers coincide.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pinn.derivatives.tape import Record

__all__ = ["Apart", "read_apart"]

_EXACT = 1e-10
_FEW = 16  # parameters that residuals may read beside the network


@dataclass
class Apart:
    """Residuals that read points of their own.

    Args:
        rows: Their numbers. Shape ``(rows,)``.
        records: Evaluations that they read.
        slopes: Per record the slopes, ``(channels, points, components)``.
        owners: Per record the residual of each point, counted from the first, or -1.
        direct: Per parameter that they read beside the network, its slopes,
            ``(rows, entries)``.
    """

    rows: Tensor
    records: list[Record]
    slopes: list[Tensor]
    owners: list[Tensor]
    direct: dict[int, Tensor]

    def blocks(self, place: dict, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield numbers of rows, and the rows; a row comes once.

        Args:
            place: Columns of every parameter, by its id.
            count: Columns.

        Yields:
            Numbers, shape ``(rows,)``, and rows, shape ``(rows, count)``.
        """
        if len(self.records) == 1 and not self.direct and self._one_point_each():
            for points, J in self.records[0].pull(self.slopes[0], place, count):
                owner = self.owners[0][points]
                kept = owner >= 0
                yield self.rows[owner[kept]], J[kept]
            return
        whole = self.slopes[0].new_zeros(len(self.rows), count)
        for record, slope, owner in zip(
            self.records, self.slopes, self.owners, strict=True
        ):
            for points, J in record.pull(slope, place, count):
                kept = owner[points] >= 0
                whole.index_add_(0, owner[points][kept], J[kept])
        for name, columns in self.direct.items():
            whole[:, place[name]] += columns
        yield self.rows, whole

    def _one_point_each(self) -> bool:
        """Tell whether no residual reads two points."""
        owner = self.owners[0][self.owners[0] >= 0]
        return len(owner.unique()) == len(owner)


def read_apart(
    r: Tensor, rows: Tensor, records: Sequence[Record], params: Sequence[Tensor]
) -> Apart | None:
    """Find whether some residuals read points of their own, and differentiate them.

    Args:
        r: All residuals, with their graph. Shape ``(residuals,)``.
        rows: Which of them. Shape ``(rows,)``.
        records: What networks were asked.
        params: Parameters.

    Returns:
        The residuals with their slopes, or None if some share a point, or read more
        than a few parameters beside the networks.
    """
    generator = torch.Generator("cpu").manual_seed(0)
    draws = torch.rand(2, len(rows), generator=generator, dtype=torch.float64)
    weights = torch.cat([torch.ones(1, len(rows)), 1 + draws]).to(r)
    leaves = [record.leaf for record in records]
    found = [_gradients(r[rows], w, [*leaves, *params]) for w in weights]
    beside = {
        id(p): p
        for p, g in zip(params, found[0][len(leaves) :], strict=True)
        if g is not None
    }
    if sum(p.numel() for p in beside.values()) > _FEW:
        return None
    read, slopes, owners = [], [], []
    for k, record in enumerate(records):
        if found[0][k] is None:
            continue
        owner = _owners([g[k] for g in found], weights)
        if owner is None:
            return None
        if (owner >= 0).any():
            read.append(record)
            slopes.append(found[0][k])
            owners.append(owner)
    if not read:
        return None
    direct = {name: _columns(r[rows], p) for name, p in beside.items()}
    return Apart(rows, read, slopes, owners, direct)


def _gradients(r: Tensor, w: Tensor, inputs: Sequence[Tensor]) -> tuple:
    """Differentiate a weighted sum."""
    return torch.autograd.grad(r, inputs, w, retain_graph=True, allow_unused=True)


def _owners(sums: Sequence[Tensor], weights: Tensor) -> Tensor | None:
    """Find the residual that reads each point, or None if two read the same.

    Args:
        sums: Gradient of the sum with each row of weights, ``(channels, points,
            components)``; the first weights are one.
        weights: Shape ``(3, rows)``.

    Returns:
        Numbers, -1 where nothing reads a point. Shape ``(points,)``.
    """
    flat = [g.transpose(0, 1).flatten(1) for g in sums]
    size, largest = flat[0].abs().max(1)
    at = largest[:, None]
    idle = torch.stack(flat).abs().amax((0, 2)) == 0
    ratio = (flat[1].gather(1, at) / flat[0].gather(1, at))[:, 0]
    order = weights[1].argsort()
    near = torch.searchsorted(weights[1][order], ratio.contiguous())
    owner = torch.zeros_like(near)
    best = torch.full_like(ratio, torch.inf)
    for step in (-1, 0):
        k = order[(near + step).clamp(0, len(order) - 1)]
        gap = (weights[1][k] - ratio).abs()
        owner, best = torch.where(gap < best, k, owner), torch.minimum(gap, best)
    for g, w in zip(flat[1:], weights[1:], strict=True):
        gap = (g - w[owner][:, None] * flat[0]).abs().amax(1)
        if not bool(((gap <= _EXACT * size) | idle).all()):
            return None
    return torch.where(idle, -1, owner)


def _columns(r: Tensor, p: Tensor) -> Tensor:
    """Differentiate residuals by a few numbers: the gradient is linear in weights."""
    w = torch.ones_like(r, requires_grad=True)
    (slope,) = torch.autograd.grad(r, p, w, create_graph=True)
    columns = [
        torch.autograd.grad(s, w, retain_graph=True, materialize_grads=True)[0]
        for s in slope.flatten()
    ]
    return torch.stack(columns, 1).detach()
