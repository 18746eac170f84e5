"""Networks trained by Bregman distances: no activation is ever differentiated."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from modular._checks import check_count, check_finite, check_kind, check_positive
from modular.lifted.prox import Prox

__all__ = ["BregmanNet", "ImplicitSGD"]


class BregmanNet(nn.Module):
    r"""A network of linear layers and proximal activations, and its lifted energy.

    .. math:: E(W, b, x) = \frac1N \sum_i \sum_{l=1}^{L} B_l(x_l^i, z_l^i), \qquad
              z_l = W_l x_{l-1} + b_l, \quad x_0 = \text{data}, \quad x_L = y

    with the distances of :class:`Prox`. With ``x_l = s_l(z_l)`` all terms but the last
    vanish, and the last is the loss of the network. Wang and Benning 2023, "Lifted
    Bregman training of neural networks", JMLR 24(232).

    Args:
        sizes: Units of the data and of every layer.
        activations: One for each layer, the loss's in the last.
        generator: Draws the weights, of variance ``2 / inputs``; None is torch's global
            one.

    Raises:
        TypeError: If an activation is no :class:`Prox`.
        ValueError: If there is not one activation for each layer.

    Example:
        >>> from modular.lifted import ReLU, Softmax
        >>> net = BregmanNet([4, 8, 3], [ReLU(), Softmax()])
        >>> net(torch.zeros(5, 4)).shape
        torch.Size([5, 3])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activations: Sequence[Prox],
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if len(activations) != len(sizes) - 1 or not activations:
            raise ValueError(
                f"there are {len(activations)} activations for {len(sizes) - 1} layers:"
                " expected one for each"
            )
        for prox in activations:
            check_kind("activation", prox, Prox, ", as ReLU()")
        self.activations = tuple(activations)
        pairs = zip(sizes, sizes[1:], strict=False)
        linear = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)
        self.layers = cast(Sequence[nn.Linear], linear)
        for layer in self.layers:
            nn.init.normal_(
                layer.weight, std=(2 / layer.in_features) ** 0.5, generator=generator
            )
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of the last activation, probabilities for ``Softmax``.

        Args:
            x: Data. Shape ``(batch, n)``.

        Returns:
            Outputs. Shape ``(batch, m)``.
        """
        return self.states(x)[-1]

    def states(self, x: Tensor) -> list:
        """Return what every layer returns in a plain forward pass.

        Args:
            x: Data. Shape ``(batch, n)``.

        Returns:
            One tensor for each layer.
        """
        found = []
        for layer, s in zip(self.layers, self.activations, strict=True):
            x = s(layer(x))
            found.append(x)
        return found

    def inputs(self, x: Tensor, states: list) -> list:
        """Return ``z_l``, what goes into every activation, from given states.

        Args:
            x: Data. Shape ``(batch, n)``.
            states: One tensor for each layer.

        Returns:
            One tensor for each layer.
        """
        before = [x, *states[:-1]]
        return [layer(h) for layer, h in zip(self.layers, before, strict=True)]

    def energy(self, x: Tensor, states: list) -> Tensor:
        """Return ``E``, a mean over the batch.

        Args:
            x: Data. Shape ``(batch, n)``.
            states: One tensor for each layer, the last is the target.

        Returns:
            The energy. Shape ``()``.
        """
        zs = self.inputs(x, states)
        terms = zip(self.activations, states, zs, strict=True)
        return torch.stack([s.distance(y, z).mean() for s, y, z in terms]).sum()


@dataclass(frozen=True)
class ImplicitSGD:
    r"""Train a lifted network by implicit stochastic gradient steps.

    .. math:: (W, b)^{t+1} = \arg\min_{W, b} \min_{x_1 \dots x_{L-1}} E(W, b, x)
              + \tfrac{1}{2 \tau} \| (W, b) - (W, b)^t \|^2

    on one batch, by block coordinate descent: in each of ``inner`` rounds the states
    move, from the last to the first, then the weights, all layers independently. A
    state moves by a proximal gradient step, ``mu`` one over the curvature of its smooth
    part ``||W_{l+1}||^2``:

    .. math:: x_l \leftarrow \mathrm{prox}_{\mu (\frac12 \|\cdot\|^2 + \Psi_l)}
              \big( x_l - \mu [ W_{l+1}^T (s(z_{l+1}) - x_{l+1}) - z_l ] \big)

    and weights by a gradient step, ``(s(z_l) - x_l) x_{l-1}^T``, of the length that the
    curvature of the layer allows. Implicit steps: Toulis and Airoldi 2017; lifted:
    Wang and Benning 2023, where the inner problem is solved by the proximal gradient in
    all unknowns at once. States begin as a forward pass leaves them.

    Args:
        tau: Step of the outer method.
        inner: Rounds on each batch.
        momentum: Whether weights move on by Nesterov's rule within a batch.

    Raises:
        TypeError: If ``inner`` is not an int.
        ValueError: If ``tau`` or ``inner`` is not positive.

    Example:
        >>> from modular.lifted import BregmanNet, ReLU, Softmax
        >>> g = torch.Generator().manual_seed(0)
        >>> net = BregmanNet([4, 8, 3], [ReLU(), Softmax()], generator=g)
        >>> x, y = torch.randn(20, 4, generator=g), torch.eye(3)[torch.arange(20) % 3]
        >>> losses = [ImplicitSGD(tau=1.0).step(net, x, y) for _ in range(30)]
        >>> losses[-1] < losses[0]
        True
    """

    tau: float
    inner: int = 10
    momentum: bool = False

    def __post_init__(self) -> None:
        check_positive("tau", self.tau)
        check_count("inner", self.inner, least=1)

    @torch.no_grad()
    def step(self, net: BregmanNet, x: Tensor, y: Tensor) -> float:
        """Move the weights of a network by one batch.

        Args:
            net: The network, trained in place.
            x: Data. Shape ``(batch, n)``.
            y: Targets, for ``Softmax`` probabilities such as one-hot labels. Shape
                ``(batch, m)``.

        Returns:
            The network's loss on the batch before, a number.

        Raises:
            ValueError: If targets do not fit, or are outside of the domain of the last
                activation.
            FloatingPointError: If the loss is NaN or infinite.
        """
        states = net.states(x)
        if y.shape != states[-1].shape:
            raise ValueError(
                f"y has shape {tuple(y.shape)}: expected {tuple(states[-1].shape)}, as "
                "the network returns"
            )
        check_finite("y", y)
        last = net.activations[-1]
        if last.potential(y).isinf().any():
            raise ValueError(
                f"y is not among the outputs of {last!r}, where its potential is "
                "infinite: expected targets that it can return"
            )
        states[-1] = y
        loss = float(net.energy(x, states))
        if not loss < float("inf"):
            raise FloatingPointError(
                f"the loss is {loss}: try a smaller tau, which is {self.tau}"
            )
        anchor = [(w.weight.clone(), w.bias.clone()) for w in net.layers]
        past = anchor
        for i in range(self.inner):
            move_states(net, x, states)
            ahead = i / (i + 3) if self.momentum else 0.0
            past = self._move_weights(net, [x, *states], (anchor, past), ahead)
        return loss

    def _move_weights(
        self, net: BregmanNet, states: list[Tensor], kept: tuple, ahead: float
    ) -> list[tuple[Tensor, Tensor]]:
        """Move every layer down its own term; return where it was."""
        layers = zip(
            net.layers, net.activations, states[:-1], states[1:], *kept, strict=True
        )
        now = []
        for layer, s, h, target, start, before in layers:
            here = layer.weight.clone(), layer.bias.clone()
            for p, b in zip((layer.weight, layer.bias), before, strict=True):
                p.add_(p - b, alpha=ahead)
            off = (s(layer(h)) - target) / len(h)
            curvature = float(torch.linalg.matrix_norm(h, 2)) ** 2 / len(h) + 1
            step = 1 / (curvature + 1 / self.tau)
            pulls = off.T @ h, off.sum(dim=0)
            for p, pull, a in zip(
                (layer.weight, layer.bias), pulls, start, strict=True
            ):
                p.sub_(step * (pull + (p - a) / self.tau))
            now.append(here)
        return now


@torch.no_grad()
def move_states(net: BregmanNet, x: Tensor, states: list[Tensor]) -> None:
    """Move the states between the layers once, from the last to the first.

    Args:
        net: The network.
        x: Data. Shape ``(batch, n)``.
        states: One tensor for each layer, moved in place; the last stays.
    """
    for k in range(len(states) - 2, -1, -1):
        layer, after = net.layers[k], net.layers[k + 1]
        z = layer(x if k == 0 else states[k - 1])
        off = net.activations[k + 1](after(states[k])) - states[k + 1]
        mu = 1 / max(float(torch.linalg.matrix_norm(after.weight, 2)) ** 2, 1e-12)
        v = states[k] - mu * (off @ after.weight - z)
        states[k] = net.activations[k].step(v, mu)
