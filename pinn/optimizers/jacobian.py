"""The Jacobian of Levenberg-Marquardt: of residuals by parameters, block by block.

Residuals are differentiated by what they read of the networks, through a few products
(:mod:`pinn.derivatives.tape`), and that by the parameters, point by point. Where every
residual reads points of its own, as in collocation, one gradient of their sum holds all
their slopes by the network, and one backward pass all their rows. Elsewhere, as in weak
forms, rows are differentiated in batches, and the chain rule is one product of two
matrices per batch, over the points that these rows read.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from pinn.derivatives.tape import Record, Tape, recording
from pinn.optimizers.separable import read_apart

__all__ = ["Block", "Residuals", "jacobian", "stream"]

_ROWS = 64  # residuals differentiated at a time
Residuals = Callable[[], Tensor]
Block = tuple[Tensor, Tensor]


def jacobian(
    residuals: Residuals, params: Sequence[Tensor], max_entries: int
) -> tuple[Tensor, Tensor]:
    """Evaluate residuals and differentiate each by every parameter.

    Args:
        residuals: The residual vector.
        params: Parameters.
        max_entries: Refuse a Jacobian with more entries than this.

    Returns:
        The residuals, shape ``(residuals,)``, and the Jacobian, shape
        ``(residuals, parameters)``.

    Raises:
        ValueError: If the Jacobian would be too large.
    """
    r, blocks = stream(residuals, params)
    count = sum(p.numel() for p in params)
    check_entries(r.numel(), count, r.numel() * count, max_entries)
    J = r.new_zeros(r.numel(), count)
    for rows, block in blocks:
        J[rows] = block
    return r, J


def check_entries(rows: int, columns: int, entries: int, most: int) -> None:
    """Refuse what would not fit into the memory."""
    if entries > most:
        raise ValueError(
            f"the system of {rows} residuals by {columns} parameters has {entries} "
            f"entries: expected at most {most}"
        )


def stream(
    residuals: Residuals, params: Sequence[Tensor]
) -> tuple[Tensor, Iterator[Block]]:
    """Evaluate residuals, and differentiate them block by block as one asks.

    Args:
        residuals: The residual vector.
        params: Parameters; they must not change before the last block is taken.

    Returns:
        The residuals, shape ``(residuals,)``, and an iterator over blocks: numbers of
        rows, shape ``(rows,)``, and the rows, shape ``(rows, parameters)``. Rows that
        are zero may be left out.
    """
    with torch.enable_grad(), recording() as tape:
        r = residuals()
    return r.detach(), _blocks(r, params, tape)


def _blocks(r: Tensor, params: Sequence[Tensor], tape: Tape) -> Iterator[Block]:
    """Differentiate part after part, each the fastest way that is exact."""
    count, place = 0, {}
    for p in params:
        place[id(p)] = slice(count, count + p.numel())
        count += p.numel()
    told = tape.blocks if sum(tape.blocks) == len(r) else [len(r)]
    known: dict[tuple[int, int, int], Tensor] = {}
    start = 0
    for size in told:
        rows = torch.arange(start, start + size, device=r.device)
        start += size
        apart = None
        if tape.records and size > _ROWS:
            apart = read_apart(r, rows, tape.records, params)
        if apart is not None:
            yield from apart.blocks(place, count)
            continue
        for few in rows.split(_ROWS):
            yield few, _by_rows(r, few, params, (tape.records, place, count, known))


def _by_rows(
    r: Tensor,
    rows: Tensor,
    params: Sequence[Tensor],
    about: tuple[list[Record], dict, int, dict],
) -> Tensor:
    """Differentiate a batch of rows, and apply the chain rule."""
    records, place, count, known = about
    inputs = [*(record.leaf for record in records), *params]
    units = torch.zeros(len(rows), r.numel(), dtype=r.dtype, device=r.device)
    units[torch.arange(len(rows)), rows] = 1
    options = {"is_grads_batched": True, "retain_graph": True, "allow_unused": True}
    found = torch.autograd.grad(r, inputs, units, **options)
    block = r.new_zeros(len(rows), count)
    for k, record in enumerate(records):
        if found[k] is not None:
            _chain(block, found[k], k, record, place, known)
    for p, slope in zip(params, found[len(records) :], strict=True):
        if slope is not None:
            block[:, place[id(p)]] += slope.reshape(len(slope), -1)
    return block


def _chain(
    block: Tensor,
    slope: Tensor,
    k: int,
    record: Record,
    place: dict[int, slice],
    known: dict[tuple[int, int, int], Tensor],
) -> None:
    """Add what one record passes on: ``(rows, channels, points, components)``."""
    for channel in range(slope.shape[1]):
        for component in range(slope.shape[3]):
            part = slope[:, channel, :, component]
            points = part.any(0).nonzero().flatten()
            if not len(points):
                continue
            key = k, channel, component
            if key not in known:
                known[key] = record.slopes(channel, component, place, block.shape[1])
            if len(points) == part.shape[1]:
                block.addmm_(part, known[key])
            else:
                block.addmm_(part[:, points], known[key][points])
