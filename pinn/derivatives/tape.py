"""A tape of what residuals ask of networks, so that each is differentiated once.

A residual reads the network only through its values and derivatives at points. While a
:class:`Tape` records, networks hand out leaves of the graph in their place. A leaf is
differentiated by the parameters point by point, by the backward pass written by hand.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pinn.derivatives.activations import Activation
from pinn.derivatives.fused import Pass, cut, pairs_of
from pinn.derivatives.jets import Wanted

__all__ = ["Record", "Tape", "current_tape", "recording"]

_TAPE: ContextVar["Tape | None"] = ContextVar("tape", default=None)


@dataclass
class Record:
    """One evaluation of one network: ``leaf`` is ``(channels, points, components)``."""

    leaf: Tensor
    params: Sequence[tuple[Tensor, Tensor]]
    activations: Sequence[Activation]
    passes: list[tuple[slice, Pass]]

    def slopes(self, channel: int, component: int, place: dict, count: int) -> Tensor:
        """Differentiate one entry of the leaf at every point: ``(points, count)``."""
        bar = torch.zeros_like(self.leaf)
        bar[channel, :, component] = 1
        return torch.cat([J for _, J in self.pull(bar, place, count)])

    def pull(
        self, bar: Tensor, place: dict, count: int
    ) -> Iterator[tuple[slice, Tensor]]:
        """Differentiate ``sum(bar * leaf)`` of every point by the parameters.

        One backward pass gives the rows of all points of a block.

        Args:
            bar: Shape ``(channels, points, components)``.
            place: Columns of every parameter, by its id.
            count: Columns.

        Yields:
            Points of a block, and their rows, ``(points, count)``.
        """
        weights = [W.detach()[None] for W, _ in self.params]
        for rows, one in self.passes:
            J = self.leaf.new_zeros(rows.stop - rows.start, count)

            def found(k: int, y: Tensor, z: Tensor, J: Tensor = J) -> None:
                W, b = self.params[k]
                if id(W) in place:  # one outer product per point
                    left, right = z[:, 0].permute(2, 1, 0), y[:, 0].permute(2, 0, 1)
                    J[:, place[id(W)]] += (left @ right).flatten(1)
                if id(b) in place:
                    J[:, place[id(b)]] += z[0, 0].T

            part = bar[:, None, rows].transpose(2, 3).contiguous()
            one.backward(part, weights, self.activations, found)
            yield rows, J


@dataclass
class Tape:
    """What networks were asked while the residuals were computed.

    Args:
        records: One per evaluation.
        blocks: Sizes of the parts that the residual vector is stacked from, if told.
    """

    records: list[Record] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)

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
        self.records.append(Record(leaf, params, list(activations), passes))
        return leaf


def current_tape() -> Tape | None:
    """Return the tape that records, if there is one."""
    return _TAPE.get()


@contextmanager
def recording() -> Iterator[Tape]:
    """Record what networks are asked."""
    tape = Tape()
    token = _TAPE.set(tape)
    try:
        yield tape
    finally:
        _TAPE.reset(token)
