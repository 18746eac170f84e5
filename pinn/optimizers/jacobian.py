"""The Jacobian of Levenberg-Marquardt: of residuals by parameters, not row by row.

Residuals are differentiated by what they read of the networks, through a few products
(:mod:`pinn.derivatives.tape`), and that by the parameters, point by point; the chain
rule is one product of two matrices per block of rows, over the points that these rows
read.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pinn.derivatives.tape import Record, recording

__all__ = ["jacobian"]

_ROWS = 64  # residuals differentiated at a time


def jacobian(
    residuals: Callable[[], Tensor], params: Sequence[Tensor], max_entries: int
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
    count, place = 0, {}
    for p in params:
        place[id(p)] = slice(count, count + p.numel())
        count += p.numel()
    with torch.enable_grad(), recording() as tape:
        r = residuals()
    if r.numel() * count > max_entries:
        raise ValueError(
            f"the Jacobian of {r.numel()} residuals by {count} parameters has "
            f"{r.numel() * count} entries: expected at most {max_entries}"
        )
    J = r.new_zeros(r.numel(), count)
    inputs = [*(record.leaf for record in tape.records), *params]
    known: dict[tuple[int, int, int], Tensor] = {}
    for rows in torch.arange(r.numel(), device=r.device).split(_ROWS):
        units = torch.zeros(len(rows), r.numel(), dtype=r.dtype, device=r.device)
        units[torch.arange(len(rows)), rows] = 1
        found = torch.autograd.grad(
            r,
            inputs,
            units,
            is_grads_batched=True,
            retain_graph=True,
            allow_unused=True,
        )
        block = J[rows[0] : rows[-1] + 1]
        for k, record in enumerate(tape.records):
            if found[k] is not None:
                _chain(block, found[k], k, record, place, known)
        for p, slope in zip(params, found[len(tape.records) :], strict=True):
            if slope is not None:
                block[:, place[id(p)]] += slope.reshape(len(slope), -1)
    return r.detach(), J


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
