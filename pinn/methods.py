"""Strong methods by name, each with the network and optimiser that suit it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from pinn.callbacks.sampling import RAD
from pinn.domains.partition import Partition
from pinn.forms.collocation import Collocation
from pinn.forms.cpinn import Conservative
from pinn.forms.strong import Strong
from pinn.forms.xpinn import Extended
from pinn.networks.jet_fnn import JetFNN
from pinn.networks.subdomain_fnn import SubdomainFNN
from pinn.networks.transforms import BoxFeatures
from pinn.optimizers.ssbroyden import SSBroyden
from pinn.problem import Problem

__all__ = [
    "CPINN",
    "XPINN",
    "HardPINN",
    "Vanilla",
    "condition_points",
    "constrained",
    "far_from_one",
    "scaled",
]

Optimizer = torch.optim.Optimizer


def condition_points(problem: Problem, sides: int) -> tuple[int, int]:
    """Points on the boundary, and at the first time if there is one."""
    boundary = 2 if problem.dim == 1 else sides
    return boundary, (sides if problem.in_time else 0)


def constrained(net: Any, problem: Problem) -> torch.nn.Module:
    """Let a network fulfil the problem's conditions by construction."""
    if problem.hard is None:
        raise ValueError("the problem has no hard constraint: expected hard=...")
    net.apply_output_transform(problem.hard)
    return net


def resampling(period: int | None, points: int, seed: int) -> list:
    """Draw the points anew now and then, from at least twice as many candidates."""
    if period is None:
        return []
    return [RAD(period, candidates=max(20_000, 2 * points), seed=seed)]


def far_from_one(problem: Problem) -> bool:
    """Tell whether coordinates saturate an activation, or leave it straight."""
    lower, upper = problem.bounds
    largest, narrowest = abs(np.stack([lower, upper])).max(), (upper - lower).min()
    return bool(largest > 8 or narrowest < 0.25)


def scaled(net: Any, problem: Problem) -> Any:
    """Scale the inputs of a network if the domain is far from the size of one."""
    lower, upper = problem.bounds
    if far_from_one(problem):
        net.apply_feature_transform(BoxFeatures(lower.tolist(), upper.tolist()))
    return net


@dataclass(frozen=True)
class Vanilla:
    """The vanilla PINN, conditions as losses, trained by SSBroyden.

    Raissi, Perdikaris and Karniadakis 2019, J. Comput. Phys. 378. Theirs is trained by
    L-BFGS.

    Args:
        num_domain: Points inside the domain.
        num_sides: Points on the boundary, and as many at the first time.
        hidden: Widths of the hidden layers.
        resample: Steps of the optimiser between two draws by :class:`pinn.RAD`; None
            keeps the points.
        weights: Weight of every loss; None is 1 each.

    Example:
        >>> Vanilla(num_domain=500).hidden
        (20, 20, 20)
    """

    num_domain: int = 2500
    num_sides: int = 100
    hidden: Sequence[int] = (20, 20, 20)
    resample: int | None = 50
    weights: Sequence[float] | None = None
    hard: ClassVar[bool] = False

    def data(self, problem: Problem) -> Collocation:
        """Make the data.

        Args:
            problem: The problem.

        Returns:
            Data for a ``deepxde.Model``.
        """
        counts = condition_points(problem, self.num_sides)
        return Strong(problem, self.num_domain, *counts, hard=self.hard)

    def net(self, problem: Problem, generator: torch.Generator) -> torch.nn.Module:
        """Make the network.

        Args:
            problem: The problem.
            generator: Source of randomness of the weights.

        Returns:
            The network.
        """
        sizes = [problem.dim, *self.hidden, problem.components]
        net = scaled(JetFNN(sizes, generator=generator), problem)
        return constrained(net, problem) if self.hard else net

    def optimizer(self, net: torch.nn.Module, data: Collocation) -> Optimizer:
        """Make the optimiser.

        Args:
            net: The network.
            data: The data.

        Returns:
            The optimiser.
        """
        return SSBroyden(net.parameters())

    def callbacks(self, seed: int) -> list:
        """Make the callbacks.

        Args:
            seed: Seed of what they draw.

        Returns:
            Callbacks of DeepXDE.
        """
        return resampling(self.resample, self.num_domain, seed)


@dataclass(frozen=True)
class HardPINN(Vanilla):
    """The PINN that fulfils the conditions by construction (PCNN).

    Args:
        num_domain: Points inside the domain.
        num_sides: As many points more on the boundary, and at the first time.
        hidden: Widths of the hidden layers.
        resample: Steps of the optimiser between two draws by :class:`pinn.RAD`; None
            keeps the points.
        weights: Weight of every loss; None is 1 each.

    Example:
        >>> HardPINN().hard
        True
    """

    hard: ClassVar[bool] = True


@dataclass(frozen=True)
class _Cut:
    """What cPINN and XPINN share."""

    cuts: Sequence[Sequence[float]]
    num_domain: int = 2000
    num_sides: int = 100
    num_interface: int = 50
    hidden: Sequence[int] = (12, 12, 12)
    weights: Sequence[float] | None = None
    hard: bool = False
    resample: int | None = None

    def partition(self, problem: Problem) -> Partition:
        """Make the subdomains."""
        return Partition(problem.geometry, self.cuts)

    def net(self, problem: Problem, generator: torch.Generator) -> torch.nn.Module:
        """Make the networks."""
        sizes = [problem.dim, *self.hidden, problem.components]
        net = SubdomainFNN(self.partition(problem), sizes, generator=generator)
        return constrained(net, problem) if self.hard else net

    def optimizer(self, net: torch.nn.Module, data: Collocation) -> Optimizer:
        """Make the optimiser.

        Args:
            net: The network.
            data: The data.

        Returns:
            The optimiser.
        """
        return SSBroyden(net.parameters())

    def callbacks(self, seed: int) -> list:
        """Make the callbacks.

        Args:
            seed: Seed of what they draw.

        Returns:
            Callbacks of DeepXDE.
        """
        return resampling(self.resample, self.num_domain, seed)

    def _data(self, kind: Callable, problem: Problem) -> Collocation:
        """Make the data of either kind."""
        return kind(
            problem,
            self.partition(problem),
            self.num_domain,
            *condition_points(problem, self.num_sides),
            num_interface=self.num_interface,
            hard=self.hard,
        )


@dataclass(frozen=True)
class CPINN(_Cut):
    """Conservative PINN, trained by SSBroyden.

    Jagtap, Kharazmi and Karniadakis 2020, CMAME 365, 113028; see
    :class:`pinn.Conservative`.

    Args:
        cuts: Per axis in space, the positions of the cuts.
        num_domain: Points inside the domain.
        num_sides: Points on the boundary, and as many at the first time.
        num_interface: Points per interface.
        hidden: Widths of the hidden layers of each network.
        weights: Weight of every loss; None is 1 each.
        hard: Whether to fulfil the conditions by construction.
        resample: Steps of the optimiser between two draws by :class:`pinn.RAD`; None
            keeps the points.

    Example:
        >>> CPINN([[-0.6, 0.2, 0.5]]).num_interface
        50
    """

    def data(self, problem: Problem) -> Collocation:
        """Make the data.

        Args:
            problem: The problem.

        Returns:
            Data for a ``deepxde.Model``.
        """
        return self._data(Conservative, problem)


@dataclass(frozen=True)
class XPINN(_Cut):
    """Extended PINN, trained by SSBroyden.

    Jagtap and Karniadakis 2020, Communications in Computational Physics 28(5); see
    :class:`pinn.Extended`.

    Args:
        cuts: Per axis, the positions of the cuts, time last.
        num_domain: Points inside the domain.
        num_sides: Points on the boundary, and as many at the first time.
        num_interface: Points per interface.
        hidden: Widths of the hidden layers of each network.
        weights: Weight of every loss; None is 1 each.
        hard: Whether to fulfil the conditions by construction.
        resample: Steps of the optimiser between two draws by :class:`pinn.RAD`; None
            keeps the points.

    Example:
        >>> XPINN([[], [0.5]]).hidden
        (12, 12, 12)
    """

    def data(self, problem: Problem) -> Collocation:
        """Make the data.

        Args:
            problem: The problem.

        Returns:
            Data for a ``deepxde.Model``.
        """
        return self._data(Extended, problem)
