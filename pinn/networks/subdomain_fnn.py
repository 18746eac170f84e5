"""One network per subdomain, all evaluated in one batched product."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pinn._backend import dde
from pinn._checks import check_callable, check_shape
from pinn.derivatives.activations import Activation, LocallyAdaptive, tanh
from pinn.derivatives.compiled import kind_of_pass
from pinn.derivatives.jets import Jet, Wanted
from pinn.domains.partition import Partition, check_partition
from pinn.networks.composition import Memo, transform_jet
from pinn.networks.jet_fnn import check_sizes, complete, run_layers, seed_stack, unstack

__all__ = ["SubdomainFNN"]


class _Group(torch.nn.Module):
    """Networks of one shape, their weights stacked."""

    def __init__(
        self,
        members: Sequence[int],
        sizes: tuple[int, ...],
        activation: Activation,
        adaptive: float | None,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        dtype, count = dde.config.real(torch), len(members)
        self.members, self.sizes = list(members), sizes
        self.weights, self.biases = torch.nn.ParameterList(), torch.nn.ParameterList()
        for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
            W = torch.empty(count, inputs, outputs, dtype=dtype)
            scale = (2 / (inputs + outputs)) ** 0.5  # Glorot normal
            self.weights.append(W.normal_(generator=generator) * scale)
            self.biases.append(torch.zeros(count, outputs, dtype=dtype))
        self.activations: Any = [activation] * (len(sizes) - 2)
        if adaptive is not None:
            made = [LocallyAdaptive(activation, adaptive) for _ in self.activations]
            self.activations = torch.nn.ModuleList(made).to(dtype)


class SubdomainFNN(dde.nn.NN):
    """Independent fully connected networks on the subdomains of a partition.

    A point is sent to the network of its subdomain; the points of all subdomains of
    equal depth and width go through one batched product per layer. Inputs are scaled to
    [-1, 1] on each subdomain.

    Jagtap and Karniadakis 2020, Communications in Computational Physics 28(5); all in
    one product as in Moseley, Markham and Nissen-Meyer 2023, Adv. Comput. Math. 49(4).

    Args:
        partition: The subdomains.
        layer_sizes: Inputs, hidden widths, outputs: one list for all subdomains, or one
            per subdomain.
        activation: ``tanh``, ``sin``, ``swish`` from ``pinn.networks``.
        adaptive: Scale ``n`` of locally adaptive slopes, one per layer and shape; None
            for fixed ones.
        compiled: As of :class:`pinn.JetFNN`.
        generator: Source of randomness; None is torch's global one.

    Raises:
        TypeError: If a size is not an int, ``activation`` not a function, or
            ``partition`` something else.
        ValueError: If the number of lists is not that of the subdomains, the networks
            differ in inputs or outputs, or an activation cannot be compiled.

    Example:
        >>> import deepxde as dde
        >>> from pinn import Partition
        >>> partition = Partition(dde.geometry.Interval(-1, 1), [[0.0]])
        >>> net = SubdomainFNN(partition, [1, 10, 1])
        >>> net(torch.zeros(3, 1, dtype=torch.float64)).shape
        torch.Size([3, 1])
    """

    def __init__(
        self,
        partition: Partition,
        layer_sizes: Sequence[int] | Sequence[Sequence[int]],
        activation: Activation = tanh,
        *,
        adaptive: float | None = None,
        compiled: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_callable("activation", activation)
        check_partition(partition)
        many = not isinstance(layer_sizes[0], int)
        given: list[Any] = [*layer_sizes] if many else [layer_sizes] * len(partition)
        if len(given) != len(partition):
            raise ValueError(
                f"layer_sizes has {len(given)} lists but the partition "
                f"{len(partition)} subdomains: expected one list each"
            )
        shapes = [check_sizes(shape) for shape in given]
        ends = {(shape[0], shape[-1]) for shape in shapes}
        if len(ends) > 1:
            raise ValueError(
                f"layer_sizes have inputs and outputs {sorted(ends)}: "
                "expected the same for all subdomains"
            )
        self.partition, self.components = partition, shapes[0][-1]
        self.groups: Any = torch.nn.ModuleList()
        for shape in dict.fromkeys(shapes):
            members = [k for k, other in enumerate(shapes) if other == shape]
            self.groups.append(_Group(members, shape, activation, adaptive, generator))
        groups: list[Any] = list(self.groups)
        slopes = [f for group in groups for f in group.activations]
        self._kind = kind_of_pass(compiled, slopes)
        self.register_buffer("lower", partition.lower.to(dde.config.real(torch)))
        self.register_buffer("upper", partition.upper.to(dde.config.real(torch)))
        self._memo = Memo()

    def forward(self, inputs: Tensor) -> Tensor:
        """Evaluate each point with the network of its subdomain.

        Args:
            inputs: Points. Shape ``(batch, dim)``.

        Returns:
            Values. Shape ``(batch, components)``.
        """
        return self.jet(inputs, Wanted()).u

    def jet(self, x: Tensor, wanted: Wanted) -> Jet:
        """Evaluate values and derivatives, each point with its own subdomain's network.

        Args:
            x: Points. Shape ``(batch, dim)``.
            wanted: Derivatives to compute.

        Returns:
            The jet.
        """
        index = self._memo(x, "locate", lambda: self.partition.locate(x))
        return self.traces(x, index, wanted)

    def traces(self, x: Tensor, index: Tensor, wanted: Wanted) -> Jet:
        """Evaluate each point with a network of choice: the two sides of an interface.

        Args:
            x: Points. Shape ``(batch, dim)``.
            index: Subdomain whose network is taken. Shape ``(batch,)``.
            wanted: Derivatives to compute.

        Returns:
            The jet.

        Raises:
            ValueError: If there is not one index per point.
        """
        check_shape("index", index, (len(x),))
        wanted = complete(wanted)
        routes = self._memo(index, "routes", lambda: self._routes(index))
        channels = 1 + len(wanted.first) + len(wanted.second)
        out = x.new_zeros(channels, len(x), self.components)
        for group, (rows, slots) in zip(self.groups, routes, strict=True):
            if len(rows):
                found = self._evaluate(group, x, index, rows, slots, wanted)
                out = out.index_add(1, rows, found)
        jet = unstack(out, wanted, x.shape[1])
        if self._output_transform is None:
            return jet
        return transform_jet(self._output_transform, x, jet, wanted, self._memo)

    def _routes(self, index: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Per group: its points, and the places they take in its padded batch."""
        routes = []
        for group in self.groups:
            member = torch.full((len(self.partition),), -1, device=index.device)
            for k, subdomain in enumerate(group.members):
                member[subdomain] = k
            which = member[index]
            rows = (which >= 0).nonzero().flatten()
            rows = rows[which[rows].argsort(stable=True)]
            which = which[rows]
            counts = which.bincount(minlength=len(group.members))
            starts = counts.cumsum(0) - counts
            place = torch.arange(len(rows), device=index.device) - starts[which]
            width = int(counts.max()) if len(rows) else 0
            routes.append((rows, torch.stack([which * width + place, which])))
        return routes

    def _evaluate(
        self,
        group: _Group,
        x: Tensor,
        index: Tensor,
        rows: Tensor,
        slots: Tensor,
        wanted: Wanted,
    ) -> Tensor:
        """Run one group's padded batch: ``(channels, points, components)``."""

        def make() -> tuple[Tensor, Tensor]:
            return x, self._pad(len(group.members), x, index, rows, slots, wanted)

        if x.requires_grad or self._input_transform is not None:
            batch = make()[1]
        else:  # kept together with x, so that no other tensor can take its id
            key = ("batch", id(group), id(x), x._version, wanted)
            batch = self._memo(index, key, make)[1]
        weights, biases = list(group.weights), list(group.biases)
        out = run_layers(batch, weights, biases, group.activations, wanted, self._kind)
        return out.transpose(0, 1).flatten(1, 2)[:, slots[0]]

    def _pad(
        self,
        count: int,
        x: Tensor,
        index: Tensor,
        rows: Tensor,
        slots: Tensor,
        wanted: Wanted,
    ) -> Tensor:
        """Stack the inputs: ``(networks, channels, most points, inputs)``."""
        if self._input_transform is not None:
            features = transform_jet(self._input_transform, x, None, wanted, self._memo)
            stack = seed_stack(x, features, wanted, x.shape[1])[:, rows]
        else:
            own = index[rows]
            lower, upper = self.lower[own], self.upper[own]
            scale = 2 / (upper - lower)
            scaled = (x[rows] - lower) * scale - 1
            stack = seed_stack(scaled, None, wanted, x.shape[1])
            stack = torch.cat([stack[:1], stack[1:] * scale])
        width = int((slots[1].bincount(minlength=count)).max())
        padded = stack.new_zeros(stack.shape[0], count * width, stack.shape[-1])
        padded = padded.index_copy(1, slots[0], stack)
        return padded.unflatten(1, (count, width)).transpose(0, 1)
