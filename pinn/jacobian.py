"""The Jacobian of residuals by a network's parameters, faster than row by row.

A residual reads the network only through its values and derivatives at points. While a
:class:`Tape` records, networks hand out leaves of the graph in their place. The
residuals are then differentiated by these leaves, through a few products, and the
leaves by the parameters, point by point, by the backward pass written by hand; the
chain rule is one product of two matrices per block of rows, over the points that these
rows read.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pinn.activations import Activation
from pinn.fused import Pass, cut, pairs_of
from pinn.jets import Wanted

__all__ = ["Tape", "current_tape", "jacobian"]

_ROWS = 64  # residuals differentiated at a time
_TAPE: ContextVar["Tape | None"] = ContextVar("tape", default=None)


@dataclass
class _Record:
    """One evaluation of one network: ``leaf`` is ``(channels, points, components)``."""

    leaf: Tensor
    params: Sequence[tuple[Tensor, Tensor]]
    activations: Sequence[Activation]
    passes: list[tuple[slice, Pass]]

    def slopes(self, channel: int, component: int, place: dict, count: int) -> Tensor:
        """Differentiate one entry of the leaf at every point: ``(points, count)``."""
        channels, points, components = self.leaf.shape
        J = self.leaf.new_zeros(points, count)
        weights = [W.detach()[None] for W, _ in self.params]
        for rows, one in self.passes:
            size = rows.stop - rows.start
            bar = J.new_zeros(channels, 1, components, size)
            bar[channel, 0, component] = 1

            def found(k: int, y: Tensor, z: Tensor, rows: slice = rows) -> None:
                W, b = self.params[k]
                if id(W) in place:  # one outer product per point
                    left, right = z[:, 0].permute(2, 1, 0), y[:, 0].permute(2, 0, 1)
                    J[rows, place[id(W)]] += (left @ right).flatten(1)
                if id(b) in place:
                    J[rows, place[id(b)]] += z[0, 0].T

            one.backward(bar, weights, self.activations, found)
        return J


@dataclass
class Tape:
    """What networks were asked while the residuals were computed."""

    records: list[_Record] = field(default_factory=list)

    @torch.no_grad()
    def run(
        self,
        stack: Tensor,
        params: Sequence[tuple[Tensor, Tensor]],
        activations: Sequence[Activation],
        wanted: Wanted,
    ) -> Tensor:
        """Send a stack through all layers and return the output as a leaf.

        Args:
            stack: Shape ``(channels, points, inputs)``.
            params: Per layer the weight, shape ``(outputs, inputs)``, and the bias.
            activations: Per hidden layer.
            wanted: Derivatives in the stack.

        Returns:
            Shape ``(channels, points, outputs)``.
        """
        weights = [W.detach()[None] for W, _ in params]
        biases = [b.detach()[None] for _, b in params]
        channels, points = stack.shape[:2]
        leaf = stack.new_empty(channels, points, weights[-1].shape[1])
        passes = []
        for _, rows in cut(1, points):
            one = Pass(pairs_of(wanted), len(wanted.first))
            block = stack[:, None, rows].transpose(2, 3).contiguous()
            z = one.forward(block, weights, biases, activations, keep=True)
            leaf[:, rows] = z[:, 0].transpose(1, 2)
            passes.append((rows, one))
        leaf.requires_grad_()
        self.records.append(_Record(leaf, params, list(activations), passes))
        return leaf


def current_tape() -> Tape | None:
    """Return the tape that records, if there is one."""
    return _TAPE.get()


@contextmanager
def _recording() -> Iterator[Tape]:
    """Record what networks are asked."""
    token = _TAPE.set(Tape())
    try:
        yield _TAPE.get()
    finally:
        _TAPE.reset(token)


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
    with torch.enable_grad(), _recording() as tape:
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
    record: _Record,
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
