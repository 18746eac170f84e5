"""The maps of a layer that work entry by entry, each compiled to one loop.

Most of the time of a pass goes not into products but into reading and writing what lies
between them: a dozen maps, each through all of its memory. ``torch.compile`` makes one
loop of them; so little is left that the derivatives of the activation are computed
anew on the way back, not kept. The formulas are those of :mod:`pinn.derivatives.fused`.
"""

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pinn.derivatives.activations import THIRD, Activation
from pinn.derivatives.fused import Kept, Pass, knows

__all__ = ["CompiledPass", "activate", "deactivate", "kind_of_pass"]

_LARGE = 30_000  # entries
Pairs = Sequence[tuple[int, int]]


def activate(z: Tensor, activation: Activation, pairs: Pairs) -> Tensor:
    """Send ``z``, ``z_i``, ``z_ij`` to ``f``, ``f' z_i`` and ``f' z_ij + f" z_i z_j``.

    Args:
        z: The stack before an activation. Shape ``(channels, ...)``.
        activation: ``f``.
        pairs: Per second derivative, the channels of the two first ones.

    Returns:
        The stack behind it, of the same shape.
    """
    value, slope, bend = activation(z[0])
    y = [value, *(slope * c for c in z[1:].unbind())]
    for k, (i, j) in enumerate(pairs, start=len(y) - len(pairs)):
        y[k] = y[k] + bend * z[i] * z[j]
    return torch.stack(y)


def deactivate(bar: Tensor, z: Tensor, activation: Activation, pairs: Pairs) -> Tensor:
    """Turn the loss's derivative by ``y = activate(z)`` into the one by ``z``.

    Args:
        bar: Derivative by ``y``. Shape ``(channels, ...)``.
        z: As in :func:`activate`.
        activation: ``f``.
        pairs: As in :func:`activate`.

    Returns:
        The derivative by ``z``, of the same shape.
    """
    value, slope, bend = activation(z[0])
    third = THIRD[activation](z[0], value, slope, bend)
    out = [slope * c for c in bar.unbind()]
    for c in range(1, len(out)):
        out[0] = out[0] + bend * bar[c] * z[c]
    for k, (i, j) in enumerate(pairs, start=len(out) - len(pairs)):
        out[0] = out[0] + third * z[i] * z[j] * bar[k]
        out[i] = out[i] + bend * bar[k] * z[j]
        out[j] = out[j] + bend * bar[k] * z[i]
    return torch.stack(out)


@functools.cache
def _compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Compile at first use: loading the compiler costs seconds that few runs need."""
    return torch.compile(function, dynamic=True)


class CompiledPass(Pass):
    """A :class:`pinn.derivatives.Pass` whose activations are compiled.

    In large blocks with derivatives: for others the call costs more than it saves.
    """

    def _activate(self, z: Tensor, activation: Activation, kept: Kept) -> Tensor:
        if len(z) == 1 or z.numel() < _LARGE:
            return super()._activate(z, activation, kept)
        kept.z = z
        return _compiled(activate)(z, activation, self.pairs)

    def _deactivate(self, bar: Tensor, kept: Kept, activation: Activation) -> Tensor:
        if kept.f:
            return super()._deactivate(bar, kept, activation)
        return _compiled(deactivate)(bar, kept.z, activation, self.pairs)


def kind_of_pass(compiled: bool, activations: Sequence[Activation]) -> type[Pass]:
    """Choose how blocks of points go through the layers.

    Args:
        compiled: Whether through ``torch.compile``.
        activations: Per hidden layer.

    Returns:
        The kind of pass.

    Raises:
        ValueError: If they are to be compiled but learned, or not from
            ``pinn.networks``.
    """
    if compiled and not knows(activations):
        raise ValueError(
            "compiled is True but the activation is learned, or none of tanh, sin, "
            "swish: expected compiled=False"
        )
    return CompiledPass if compiled else Pass
