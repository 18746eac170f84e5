"""Residual networks as time steps, and what a coarser grid in time makes of them."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from modular._checks import check_count, check_positive
from modular.multilevel.cycle import Transfer
from modular.multilevel.region import Function
from modular.multilevel.weave import Weave

__all__ = ["TimeHierarchy", "TimeNet", "TimeTransfer"]


class TimeNet(nn.Module):
    r"""A residual network as Euler's method: ``h <- h + dt block(h)``.

    Haber and Ruthotto 2017, "Stable architectures for deep neural networks".

    Args:
        opening: Maps data to the first state.
        blocks: Layers of equal shape, one for each time step.
        closing: Maps the last state to scores.
        dt: Length of a time step.

    Raises:
        ValueError: If ``dt`` is not positive, there is no block, one differs from the
            first in the names or shapes of its parameters, or the network has buffers.

    Example:
        >>> blocks = [nn.Sequential(nn.Linear(3, 3), nn.Tanh()) for _ in range(8)]
        >>> net = TimeNet(nn.Linear(2, 3), blocks, nn.Linear(3, 2), dt=1 / 8)
        >>> net(torch.zeros(5, 2)).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        opening: nn.Module,
        blocks: Sequence[nn.Module],
        closing: nn.Module,
        *,
        dt: float,
    ) -> None:
        super().__init__()
        check_positive("dt", dt)
        if not blocks:
            raise ValueError("there are 0 blocks: expected at least one")
        self.opening, self.closing, self.dt = opening, closing, dt
        self.blocks = nn.ModuleList(blocks)
        shapes = [_shapes(block) for block in blocks]
        for k, found in enumerate(shapes):
            for name in {**shapes[0], **found}:
                if found.get(name) != shapes[0].get(name):
                    raise ValueError(
                        f"block {k} has {name!r} of shape {found.get(name)} but block "
                        f"0 has {shapes[0].get(name)}: expected blocks of equal shape"
                    )
        for name, _ in self.named_buffers():
            raise ValueError(
                f"the network has the buffer {name!r}, which has no prolongation: "
                "expected layers without running statistics, as LayerNorm"
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return scores.

        Args:
            x: Data. Shape ``(batch, ...)``.

        Returns:
            Scores. Shape ``(batch, classes)``.
        """
        h = self.opening(x)
        for block in self.blocks:
            h = h + self.dt * block(h)
        return self.closing(h)


def _shapes(block: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(p.shape) for name, p in block.named_parameters()}


class TimeTransfer(Transfer):
    """The prolongation of all parameters of a time network, block by block.

    Opening and closing layers are copied. Haber, Ruthotto, Holtham and Jun 2018.

    Args:
        weave: How steps belong together.
        steps: Blocks of the coarse network.
        sizes: Parameters of the opening layer, of one block and of the closing layer.
        like: A tensor of the parameters' dtype and device. Shape ``(...)``.
        per_time: Whether blocks are measured in time, see :class:`TimeHierarchy`.

    Example:
        >>> from modular.multilevel import Constant
        >>> transfer = TimeTransfer(Constant(), 2, (1, 3, 1), torch.zeros(()))
        >>> transfer.prolong(torch.arange(8.0)).tolist()
        [0.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 4.0, 5.0, 6.0, 7.0]
    """

    def __init__(
        self,
        weave: Weave,
        steps: int,
        sizes: tuple[int, int, int],
        like: Tensor,
        per_time: bool = False,
    ) -> None:
        self.sizes = sizes
        half = 0.5**0.5 if per_time else 1.0  # fine over coarse root of dt
        self.P = half * weave.matrix(steps).to(like)
        self.R = weave.iterates(steps).to(like) / half
        self.norm = max(1.0, float(torch.linalg.matrix_norm(self.P, 2)))

    def prolong(self, t: Tensor) -> Tensor:
        """Return ``P t``."""
        return self._apply(self.P, t)

    def restrict_gradient(self, g: Tensor) -> Tensor:
        """Return ``P^T g``."""
        return self._apply(self.P.T, g)

    def restrict_iterate(self, theta: Tensor) -> Tensor:
        """Return every second block, or weighted means."""
        return self._apply(self.R, theta)

    def _apply(self, matrix: Tensor, theta: Tensor) -> Tensor:
        first, block, last = self.sizes
        inner = theta[first : len(theta) - last].view(-1, block)
        ends = theta[:first], theta[len(theta) - last :]
        return torch.cat([ends[0], (matrix @ inner).flatten(), ends[1]])


class TimeHierarchy:
    """A time network, and coarser ones with twice the step each.

    They are in ``nets``, finest first (the coarse ones are templates: parameters are
    given to the functions), what passes between them in ``transfers``.
    Kopanicakova and Krause 2022; Gaedke-Merzhaeuser, Kopanicakova and Krause 2021.

    Args:
        net: The finest network. ``load`` puts found parameters into it.
        levels: How many networks.
        weave: How their steps belong together.
        per_time: Whether unknowns of a block are its parameters times the root of
            ``dt``, so that the length of a step is that of a function of time,
            ``||p||^2 = dt sum_k ||p_k||^2`` on every level, and the constant
            prolongation keeps lengths. Else they are the parameters, of which finer
            grids have ever more with ever smaller gradients.

    Raises:
        TypeError: If ``levels`` is not an int.
        ValueError: If it is not positive, or steps cannot be halved so often.

    Example:
        >>> from modular.multilevel import Constant
        >>> blocks = [nn.Linear(3, 3) for _ in range(8)]
        >>> net = TimeNet(nn.Linear(2, 3), blocks, nn.Linear(3, 2), dt=1 / 8)
        >>> hierarchy = TimeHierarchy(net, levels=3, weave=Constant())
        >>> [(len(net.blocks), net.dt) for net in hierarchy.nets]
        [(8, 0.125), (4, 0.25), (2, 0.5)]
    """

    def __init__(
        self, net: TimeNet, levels: int, weave: Weave, *, per_time: bool = False
    ) -> None:
        check_count("levels", levels, least=1)
        self.nets, self.transfers = [net], []
        self.per_time = per_time
        parts = net.opening, net.blocks[0], net.closing
        first, block, last = (sum(p.numel() for p in m.parameters()) for m in parts)
        for _ in range(levels - 1):
            fine = self.nets[-1]
            steps = weave.coarse(len(fine.blocks))
            opening, *blocks = copy.deepcopy([fine.opening, *fine.blocks[:steps]])
            closing = copy.deepcopy(fine.closing)
            self.nets.append(TimeNet(opening, blocks, closing, dt=2 * fine.dt))
            like = next(net.parameters()).detach()
            sizes = first, block, last
            self.transfers.append(TimeTransfer(weave, steps, sizes, like, per_time))

    def theta(self) -> Tensor:
        """Return the unknowns of the finest network: its parameters, in a row.

        Returns:
            The unknowns. Shape ``(n,)``.
        """
        found = nn.utils.parameters_to_vector(self._named(0).values()).detach()
        return found * self._units(0)

    def load(self, theta: Tensor) -> None:
        """Put unknowns into the finest network.

        Args:
            theta: The unknowns. Shape ``(n,)``.
        """
        named = self._named(0).values()
        nn.utils.vector_to_parameters(theta / self._units(0), named)

    def function(
        self, level: int, x: Tensor, y: Tensor, loss: Callable[..., Any]
    ) -> Function:
        """Return the loss of a level as a function of its unknowns.

        Args:
            level: Which, 0 is the finest.
            x: Data. Shape ``(batch, ...)``.
            y: Targets. Shape ``(batch, ...)``.
            loss: Compares scores with targets.

        Returns:
            A function that returns value and gradient.
        """
        net, named = self.nets[level], self._named(level)
        shapes = [p.shape for p in named.values()]
        sizes = [p.numel() for p in named.values()]
        units = self._units(level)

        def f(theta: Tensor) -> tuple[Tensor, Tensor]:
            theta = theta.detach().requires_grad_()
            parts = [
                part.view(shape)
                for part, shape in zip(
                    (theta / units).split(sizes), shapes, strict=True
                )
            ]
            found = dict(zip(named, parts, strict=True))
            value = loss(functional_call(net, found, (x,)), y)
            (gradient,) = torch.autograd.grad(value, theta)
            return value.detach(), gradient

        return f

    def _units(self, level: int) -> Tensor:
        """Return unknowns over parameters. Shape ``(n,)``."""
        net = self.nets[level]
        unit = net.dt**0.5 if self.per_time else 1.0
        return torch.cat(
            [
                torch.full_like(p, unit if name.startswith("blocks") else 1.0).flatten()
                for name, p in self._named(level).items()
            ]
        ).detach()

    def _named(self, level: int) -> dict[str, Tensor]:
        """Return the parameters of a level: opening, blocks, closing."""
        net = self.nets[level]
        named: dict[str, Tensor] = {}
        for prefix in ("opening", "blocks", "closing"):
            part = getattr(net, prefix)
            named |= {f"{prefix}.{n}": p for n, p in part.named_parameters()}
        return named
