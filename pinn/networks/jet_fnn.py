"""A network that computes its derivatives along with its values.

Values, first and second derivatives are stacked, so that each layer is one matrix
product, and no automatic differentiation is nested inside the loss: Taylor mode, as in
Griewank and Walther 2008, chapter 13. ``torch.compile`` can then work on all of it.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pinn._backend import dde
from pinn._checks import check_callable, check_count
from pinn.derivatives.activations import Activation, LocallyAdaptive, tanh
from pinn.derivatives.compiled import kind_of_pass
from pinn.derivatives.fused import Pass, can_fuse, fused
from pinn.derivatives.jets import Jet, Wanted
from pinn.derivatives.tape import current_tape
from pinn.networks.composition import Memo, transform_jet

__all__ = ["JetFNN", "check_sizes", "propagate", "seed_stack", "unstack"]

_CHANNEL = -3  # stacks are (..., channel, point, width); channel 0 holds the values


def check_sizes(layer_sizes: Sequence[int]) -> tuple[int, ...]:
    """Refuse layer sizes that make no network."""
    sizes = tuple(layer_sizes)
    if len(sizes) < 2:
        raise ValueError(
            f"layer_sizes is {list(sizes)}: expected inputs, hidden widths and outputs"
        )
    for k, size in enumerate(sizes):
        check_count(f"layer_sizes[{k}]", size, least=1)
    return sizes


def seed_stack(x: Tensor, features: Jet | None, wanted: Wanted, dim: int) -> Tensor:
    """Stack the inputs of a network: values, then the wanted derivatives.

    Args:
        x: Points, possibly scaled. Shape ``(..., points, dim)``.
        features: Jet of a feature transform, or None: then first derivatives are unit
            vectors and second ones zero.
        wanted: Derivatives to stack.
        dim: Coordinates.

    Returns:
        Shape ``(..., channels, points, features)``.
    """
    if features is not None:
        first = [features.p[..., i] for i in wanted.first]
        second = [features.H[..., i, j] for i, j in wanted.second]
        return torch.stack([features.u, *first, *second], dim=_CHANNEL)
    units = torch.eye(dim, dtype=x.dtype, device=x.device)
    first = [units[i].expand_as(x) for i in wanted.first]
    second = [torch.zeros_like(x) for _ in wanted.second]
    return torch.stack([x, *first, *second], dim=_CHANNEL)


def propagate(
    stack: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    activations: Sequence[Activation],
    wanted: Wanted,
) -> Tensor:
    """Send a stack through all layers, one matrix product each.

    Args:
        stack: Shape ``(..., channels, points, inputs)``.
        weights: Per layer, shape ``(..., inputs, outputs)``.
        biases: Per layer, shape ``(..., outputs)``.
        activations: Per hidden layer.
        wanted: Derivatives in the stack.

    Returns:
        Shape ``(..., channels, points, outputs)``.
    """
    count = len(wanted.first)
    where = {axis: k for k, axis in enumerate(wanted.first)}
    rows = [where[i] for i, _ in wanted.second]
    columns = [where[j] for _, j in wanted.second]
    last = len(weights) - 1
    for k, (W, b) in enumerate(zip(weights, biases, strict=True)):
        sizes = stack.shape[_CHANNEL:-1]
        product = stack.flatten(_CHANNEL, -2) @ W
        stack = product.unflatten(-2, sizes)
        value = stack.narrow(_CHANNEL, 0, 1) + b[..., None, None, :]
        rest = stack.narrow(_CHANNEL, 1, stack.shape[_CHANNEL] - 1)
        if k == last:
            return torch.cat([value, rest], dim=_CHANNEL)
        value, slope, bend = activations[k](value)
        first = rest.narrow(_CHANNEL, 0, count)
        parts = [value, slope * first]
        if rows:
            second = rest.narrow(_CHANNEL, count, len(rows))
            split = first.unbind(_CHANNEL)
            products = torch.stack(
                [split[i] * split[j] for i, j in zip(rows, columns, strict=True)],
                dim=_CHANNEL,
            )
            parts.append(bend * products + slope * second)
        stack = torch.cat(parts, dim=_CHANNEL)
    return stack


def run_layers(
    stack: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    activations: Sequence[Activation],
    wanted: Wanted,
    kind: type[Pass] = Pass,
) -> Tensor:
    """Send a stack through all layers, by the way that gives all derivatives.

    Args:
        stack: Shape ``(..., channels, points, inputs)``.
        weights: Per layer, shape ``(..., inputs, outputs)``.
        biases: Per layer, shape ``(..., outputs)``.
        activations: Per hidden layer.
        wanted: Derivatives in the stack.
        kind: How blocks of points go through.

    Returns:
        Shape ``(..., channels, points, outputs)``.
    """
    given = stack, weights, biases, activations, wanted
    if not can_fuse(activations):
        return propagate(*given)
    return fused(*given, eager=propagate, kind=kind)


def unstack(stack: Tensor, wanted: Wanted, dim: int) -> Jet:
    """Turn ``(channels, points, components)`` into a jet."""
    count = len(wanted.first)
    first = {axis: stack[1 + k] for k, axis in enumerate(wanted.first)}
    second = {pair: stack[1 + count + k] for k, pair in enumerate(wanted.second)}
    return Jet.assemble(stack[0], first, second, dim)


def complete(wanted: Wanted) -> Wanted:
    """Add the first derivatives that the second ones are computed from."""
    axes = {*wanted.first, *(axis for pair in wanted.second for axis in pair)}
    return Wanted(tuple(sorted(axes)), wanted.second)


class JetFNN(dde.nn.NN):
    """A fully connected network that knows its derivatives.

    Use ``JetFNN`` as any ``deepxde.nn.NN``; feature and output transforms apply to jets
    too.

    Griewank and Walther 2008, Evaluating Derivatives, chapter 13.

    Args:
        layer_sizes: Inputs, hidden widths, outputs.
        activation: ``tanh``, ``sin``, ``swish`` from ``pinn.networks``.
        adaptive: Scale ``n`` of locally adaptive slopes; None for fixed ones.
        compiled: Whether activations and their derivatives go through
            ``torch.compile``; pays for large batches. Takes a C++ compiler.
        generator: Source of randomness of the Glorot normal weights; None is torch's
            global one.

    Raises:
        TypeError: If a size is not an int, or ``activation`` not a function.
        ValueError: If there are fewer than two sizes, one is not positive, or an
            activation cannot be compiled.

    Example:
        >>> from pinn import Wanted
        >>> net = JetFNN([2, 20, 20, 1])
        >>> x = torch.rand(5, 2, dtype=torch.float64)
        >>> jet = net.jet(x, Wanted.all(2))
        >>> torch.allclose(jet.u, net(x)), jet.H.shape
        (True, torch.Size([5, 1, 2, 2]))
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        activation: Activation = tanh,
        *,
        adaptive: float | None = None,
        compiled: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        sizes = check_sizes(layer_sizes)
        check_callable("activation", activation)
        self.layer_sizes = sizes
        dtype = dde.config.real(torch)
        self.linears = torch.nn.ModuleList()
        for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
            linear = torch.nn.Linear(inputs, outputs, dtype=dtype)
            torch.nn.init.xavier_normal_(linear.weight, generator=generator)
            torch.nn.init.zeros_(linear.bias)
            self.linears.append(linear)
        hidden = len(sizes) - 2
        self.activations: Any = [activation] * hidden
        if adaptive is not None:
            made = [
                LocallyAdaptive(activation, adaptive).to(dtype) for _ in range(hidden)
            ]
            self.activations = torch.nn.ModuleList(made)
        self._memo = Memo()
        self._kind = kind_of_pass(compiled, self.activations)

    def forward(self, inputs: Tensor) -> Tensor:
        """Evaluate the network.

        Args:
            inputs: Points. Shape ``(batch, dim)``.

        Returns:
            Values. Shape ``(batch, components)``.
        """
        return self._evaluate(inputs, Wanted()).u

    def jet(self, x: Tensor, wanted: Wanted) -> Jet:
        """Evaluate values and derivatives in one pass.

        Args:
            x: Points. Shape ``(batch, dim)``.
            wanted: Derivatives to compute.

        Returns:
            The jet, differentiable in the parameters.
        """
        return self._evaluate(x, complete(wanted))

    def _evaluate(self, x: Tensor, wanted: Wanted) -> Jet:
        """Features, layers, output transform."""
        dim, features = x.shape[1], None
        if self._input_transform is not None:
            features = transform_jet(self._input_transform, x, None, wanted, self._memo)
        stack = seed_stack(x, features, wanted, dim)
        if stack.shape[-1] != self.layer_sizes[0]:
            raise ValueError(
                f"the first layer gets {stack.shape[-1]} inputs but has "
                f"{self.layer_sizes[0]}: expected layer_sizes[0] = {stack.shape[-1]}"
            )
        tape = current_tape()
        fixed = not stack.requires_grad
        linears: list[Any] = list(self.linears)
        params = [(linear.weight, linear.bias) for linear in linears]
        if tape is not None and fixed and can_fuse(self.activations):
            out = tape.run(stack, params, self.activations, wanted)
        else:
            weights, biases = [W.T for W, _ in params], [b for _, b in params]
            given = stack, weights, biases, self.activations, wanted
            out = run_layers(*given, self._kind)
        jet = unstack(out, wanted, dim)
        if self._output_transform is None:
            return jet
        return transform_jet(self._output_transform, x, jet, wanted, self._memo)
