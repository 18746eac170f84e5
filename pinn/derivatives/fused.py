"""The layers of a network and their derivatives, with a backward pass by hand.

The same numbers as :func:`pinn.networks.propagate`, in less time: points go in blocks
that fit into the cache, points come last so that every layer is a few products of a
small matrix with a wide one, and no graph is recorded. With ``z`` the stack before an
activation ``f``, ``y`` the one behind it, and a bar for the loss's derivative,

``bar z_ij = f' bar y_ij``,
``bar z_i = f' bar y_i + f'' sum_j bar y_ij z_j (1 + [i = j])`` and
``bar z = f' bar y + f'' (sum_i bar y_i z_i + sum_ij bar y_ij z_ij) + f"' sum_ij bar
y_ij z_i z_j``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pinn.derivatives.activations import THIRD, Activation
from pinn.derivatives.jets import Wanted

__all__ = ["Kept", "Pass", "can_fuse", "cut", "fused", "knows", "pairs_of"]

_BLOCK = 3000  # points at a time
Eager = Callable[..., Tensor]


@dataclass
class Kept:
    """What one layer leaves for the way back: input, ``z``, derivatives of ``f``."""

    inputs: Tensor
    z: Tensor | None = None
    f: tuple[Tensor, ...] = ()


@dataclass
class Pass:
    """One block of points on its way through the layers.

    Stacks are ``(channels, nets, width, points)``.

    Args:
        pairs: Per second derivative, the channels of the two first ones.
        count: First derivatives.
        layers: What every layer has kept.
    """

    pairs: Sequence[tuple[int, int]]
    count: int
    layers: list[Kept] = field(default_factory=list)

    def forward(
        self,
        stack: Tensor,
        weights: Sequence[Tensor],
        biases: Sequence[Tensor],
        activations: Sequence[Activation],
        keep: bool,
    ) -> Tensor:
        """Send the block through; weights are ``(nets, outputs, inputs)``."""
        last = len(weights) - 1
        for k, (W, b) in enumerate(zip(weights, biases, strict=True)):
            z = _product(W, stack)
            z[0] += b[:, :, None]
            kept = Kept(stack)
            if k < last:
                stack = self._activate(z, activations[k], kept)
            if keep:
                self.layers.append(kept)
        return z

    def _activate(self, z: Tensor, activation: Activation, kept: Kept) -> Tensor:
        """Apply an activation to the values, and the chain rule to the rest."""
        value, slope, bend = activation(z[0])
        y = torch.empty_like(z)
        y[0] = value
        torch.mul(slope, z[1:], out=y[1:])
        for k, (i, j) in enumerate(self.pairs, start=1 + self.count):
            y[k].addcmul_(bend, z[i] * z[j])
        kept.z, kept.f = z, (y[0], slope, bend)
        return y

    def backward(
        self,
        bar: Tensor,
        weights: Sequence[Tensor],
        activations: Sequence[Activation],
        found: Callable[[int, Tensor, Tensor], None],
    ) -> Tensor:
        """Go back; ``found(layer, input, bar of z)`` gets what weights need.

        Returns the bar of the first layer's ``z``.
        """
        for k in reversed(range(len(weights))):
            kept = self.layers[k]
            found(k, kept.inputs, bar)
            if k:
                bar = _product(weights[k].mT, bar)
                bar = self._deactivate(bar, self.layers[k - 1], activations[k - 1])
        return bar

    def _deactivate(self, bar: Tensor, kept: Kept, activation: Activation) -> Tensor:
        """Turn the bar of ``y`` into the bar of ``z``."""
        z, (value, slope, bend) = kept.z, kept.f
        assert z is not None, "every layer but the last keeps it"
        out = slope * bar
        if len(bar) == 1:
            return out
        mixed = bar[1] * z[1]
        for c in range(2, len(bar)):
            mixed.addcmul_(bar[c], z[c])
        out[0].addcmul_(bend, mixed)
        if self.pairs:
            third = THIRD[activation](z[0], value, slope, bend)
        for k, (i, j) in enumerate(self.pairs, start=1 + self.count):
            out[0].addcmul_(third, (z[i] * z[j]).mul_(bar[k]))
            bent = bend * bar[k]
            out[i].addcmul_(bent, z[j])
            out[j].addcmul_(bent, z[i])
        return out


def _product(W: Tensor, stack: Tensor) -> Tensor:
    """Multiply every channel by each network's matrix."""
    channels = len(stack)
    W = W.expand(channels, *W.shape).flatten(0, 1)
    return torch.bmm(W, stack.flatten(0, 1)).unflatten(0, (channels, -1))


def pairs_of(wanted: Wanted) -> tuple[tuple[int, int], ...]:
    """Return the channels of the first derivatives that each second one needs."""
    where = {axis: k for k, axis in enumerate(wanted.first, start=1)}
    return tuple((where[i], where[j]) for i, j in wanted.second)


def cut(nets: int, points: int) -> Iterator[tuple[slice, slice]]:
    """Cut networks and points into blocks of about equal work."""
    many = max(1, _BLOCK // max(points, 1))
    parts = max(1, round(points / _BLOCK))
    size = -(-points // parts)
    for m in range(0, nets, many):
        for n in range(0, points, max(size, 1)):
            yield slice(m, min(m + many, nets)), slice(n, min(n + size, points))


def can_fuse(activations: Sequence[Activation]) -> bool:
    """Tell whether the backward pass by hand knows all that is asked of it.

    Args:
        activations: Per hidden layer.

    Returns:
        False for learned activations and inside ``torch.func``: then the layers are
        differentiated by autograd.
    """
    return knows(activations) and not _inside_func()


def knows(activations: Sequence[Activation]) -> bool:
    """Tell whether the third derivatives of all activations are there."""
    return all(getattr(f, "__hash__", None) and f in THIRD for f in activations)


def _inside_func() -> bool:
    """Tell whether a transform of ``torch.func``, or a batched gradient, is at work."""
    asked = getattr(torch._C, "_are_functorch_transforms_active", None)
    return asked is None or asked()


def _is_batched(bar: Tensor) -> bool:
    """Tell whether several gradients are computed at once (``is_grads_batched``)."""
    return "Batched" in str(torch._C._dispatch_keys(bar))


class _Layers(torch.autograd.Function):
    """All layers as one node of the graph."""

    @staticmethod
    def forward(
        ctx: Any,
        stack: Tensor,
        wanted: Wanted,
        activations: Sequence[Activation],
        eager: Eager,
        keep: bool,
        kind: type[Pass],
        *params: Tensor,
    ) -> Tensor:
        depth = len(params) // 2
        weights, biases = params[:depth], params[depth:]
        lead = stack.dim() == 3
        wide = stack[None] if lead else stack  # (nets, channels, points, width)
        W = [(w[None] if lead else w).mT for w in weights]
        b = [v[None] if lead else v for v in biases]
        nets, channels, points = wide.shape[:3]
        out = wide.new_empty(nets, channels, points, W[-1].shape[1])
        ctx.passes = []
        for m, n in cut(nets, points):
            one = kind(pairs_of(wanted), len(wanted.first))
            block = wide[m, :, n].permute(1, 0, 3, 2).contiguous()
            pieces = [w[m] for w in W], [v[m] for v in b]
            z = one.forward(block, *pieces, activations, keep)
            out[m, :, n] = z.permute(1, 0, 3, 2)
            ctx.passes.append((m, n, one))
        if keep:
            ctx.save_for_backward(stack, *params)
            ctx.rest = wanted, activations, eager
        return out[0] if lead else out

    @staticmethod
    def backward(ctx: Any, bar: Tensor) -> tuple[Tensor | None, ...]:
        stack, *params = ctx.saved_tensors
        wanted, activations, eager = ctx.rest
        depth = len(params) // 2
        weights, biases = params[:depth], params[depth:]
        again = torch.is_grad_enabled()  # derivatives of this derivative are wanted
        if again or _inside_func() or _is_batched(bar):
            with torch.enable_grad():
                out = eager(stack, weights, biases, activations, wanted)
                asked = [t for t in (stack, *params) if t.requires_grad]
                slope = iter(torch.autograd.grad(out, asked, bar, create_graph=again))
            found = [next(slope) if t.requires_grad else None for t in (stack, *params)]
            return found[0], *[None] * 5, *found[1:]
        lead = stack.dim() == 3
        wide = bar[None] if lead else bar
        W = [(w[None] if lead else w).mT for w in weights]
        moved = torch.empty_like(stack[None] if lead else stack)
        slopes = [torch.zeros_like(w) for w in W]
        shifts = [w.new_zeros(w.shape[:2]) for w in W]
        for m, n, one in ctx.passes:

            def add(k: int, y: Tensor, z: Tensor, m: slice = m) -> None:
                slopes[k][m] += (z @ y.mT).sum(0)
                shifts[k][m] += z[0].sum(-1)

            block = wide[m, :, n].permute(1, 0, 3, 2).contiguous()
            first = one.backward(block, [w[m] for w in W], activations, add)
            if ctx.needs_input_grad[0]:
                moved[m, :, n] = _product(W[0][m].mT, first).permute(1, 0, 3, 2)
        grads = [moved, *(s.mT for s in slopes), *shifts]
        grads = [g[0] if lead else g for g in grads]
        return grads[0] if ctx.needs_input_grad[0] else None, *[None] * 5, *grads[1:]


def fused(
    stack: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    activations: Sequence[Activation],
    wanted: Wanted,
    *,
    eager: Eager,
    kind: type[Pass] = Pass,
) -> Tensor:
    """Send a stack through all layers.

    Args:
        stack: Shape ``(..., channels, points, inputs)`` with one leading axis or none.
        weights: Per layer, shape ``(..., inputs, outputs)``.
        biases: Per layer, shape ``(..., outputs)``.
        activations: Per hidden layer.
        wanted: Derivatives in the stack.
        eager: The same by autograd, for derivatives of derivatives.
        kind: How a block goes through.

    Returns:
        Shape ``(..., channels, points, outputs)``.
    """
    keep = torch.is_grad_enabled()
    return _Layers.apply(
        stack, wanted, list(activations), eager, keep, kind, *weights, *biases
    )
