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

    records: list[Record] = field(default_factory=list)

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
