"""The discretisations by name, each with the network and optimiser that suit it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from pinn.collocation import Collocation
from pinn.conservative import Conservative, Extended
from pinn.gauss_newton import LevenbergMarquardt
from pinn.mesh import Mesh, Partition
from pinn.networks import JetFNN
from pinn.optimizers import SSBroyden
from pinn.problem import Problem
from pinn.sampling import RAD
from pinn.strong import Strong
from pinn.subdomains import SubdomainFNN
from pinn.variational import Variational

__all__ = ["CPINN", "FEM", "HPVPINN", "VPINN", "XPINN", "HardPINN", "Vanilla"]

Optimizer = torch.optim.Optimizer


def _counts(problem: Problem, sides: int) -> tuple[int, int]:
    """Points on the boundary, and at the first time if there is one."""
    boundary = 2 if problem.dim == 1 else sides
    return boundary, (sides if problem.in_time else 0)


@dataclass(frozen=True)
class Vanilla:
    """The vanilla PINN, conditions as losses, trained by SSBroyden.

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
    hard: bool = field(default=False, init=False)

    def data(self, problem: Problem) -> Collocation:
        """Make the data."""
        counts = _counts(problem, self.num_sides)
        return Strong(problem, self.num_domain, *counts, hard=self.hard)

    def net(self, problem: Problem, generator: torch.Generator) -> torch.nn.Module:
        """Make the network."""
        sizes = [problem.dim, *self.hidden, problem.components]
        net = JetFNN(sizes, generator=generator)
        if self.hard:
            if problem.hard is None:
                raise ValueError(
                    "the problem has no hard constraint: expected hard=..."
                )
            net.apply_output_transform(problem.hard)
        return net

    def optimizer(self, net: torch.nn.Module, data: Collocation) -> Optimizer:
        """Make the optimiser."""
        return SSBroyden(net.parameters())

    def callbacks(self, seed: int) -> list:
        """Make the callbacks."""
        return [] if self.resample is None else [RAD(self.resample, seed=seed)]


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

    hard: bool = field(default=True, init=False)


@dataclass(frozen=True)
class _Cut:
    """What cPINN and XPINN share."""

    cuts: Sequence[Sequence[float]]
    num_domain: int = 2000
    num_sides: int = 100
    num_interface: int = 50
    hidden: Sequence[int] = (12, 12, 12)
    weights: Sequence[float] | None = None

    def partition(self, problem: Problem) -> Partition:
        """Make the subdomains."""
        return Partition(problem.geometry, self.cuts)

    def net(self, problem: Problem, generator: torch.Generator) -> torch.nn.Module:
        """Make the networks."""
        sizes = [problem.dim, *self.hidden, problem.components]
        return SubdomainFNN(self.partition(problem), sizes, generator=generator)

    def optimizer(self, net: torch.nn.Module, data: Collocation) -> Optimizer:
        """Make the optimiser."""
        return SSBroyden(net.parameters())

    def callbacks(self, seed: int) -> list:
        """Make the callbacks: none."""
        return []

    def _data(self, kind: Callable, problem: Problem) -> Collocation:
        """Make the data of either kind."""
        return kind(
            problem,
            self.partition(problem),
            self.num_domain,
            *_counts(problem, self.num_sides),
            num_interface=self.num_interface,
        )


@dataclass(frozen=True)
class CPINN(_Cut):
    """Conservative PINN, trained by SSBroyden.

    Args:
        cuts: Per axis in space, the positions of the cuts.
        num_domain: Points inside the domain.
        num_sides: Points on the boundary, and as many at the first time.
        num_interface: Points per interface.
        hidden: Widths of the hidden layers of each network.
        weights: Weight of every loss; None is 1 each.

    Example:
        >>> CPINN([[-0.6, 0.2, 0.5]]).num_interface
        50
    """

    def data(self, problem: Problem) -> Collocation:
        """Make the data."""
        return self._data(Conservative, problem)


@dataclass(frozen=True)
class XPINN(_Cut):
    """Extended PINN, trained by SSBroyden.

    Args:
        cuts: Per axis, the positions of the cuts, time last.
        num_domain: Points inside the domain.
        num_sides: Points on the boundary, and as many at the first time.
        num_interface: Points per interface.
        hidden: Widths of the hidden layers of each network.
        weights: Weight of every loss; None is 1 each.

    Example:
        >>> XPINN([[], [0.5]]).hidden
        (12, 12, 12)
    """

    def data(self, problem: Problem) -> Collocation:
        """Make the data."""
        return self._data(Extended, problem)


@dataclass(frozen=True)
class HPVPINN:
    """hp-VPINN, trained by Levenberg-Marquardt.

    Args:
        elements: Per axis, a count or the edges, as in :class:`pinn.Mesh`.
        degree: Bubble tests per axis and element.
        points: Quadrature points per axis and element; None is ``degree + 10``.
        num_sides: Points on the boundary, and as many at the first time.
        hidden: Widths of the hidden layers.
        hats: Whether to test with hats too.
        hard: Whether to fulfil the conditions by construction.
        weights: Weight of every loss; None is 1 each.

    Example:
        >>> HPVPINN([[-1, -0.1, 0.1, 1]], degree=60, points=80).degree
        60
    """

    elements: int | Sequence = 4
    degree: int = 5
    points: int | None = None
    num_sides: int = 40
    hidden: Sequence[int] = (20, 20, 20, 20)
    hats: bool = False
    hard: bool = False
    weights: Sequence[float] | None = None

    def data(self, problem: Problem) -> Collocation:
        """Make the data."""
        return Variational(
            problem,
            Mesh(problem.geometry, self.elements, degree=self.degree),
            *_counts(problem, self.num_sides),
            points=self.points,
            hats=self.hats,
            hard=self.hard,
        )

    def net(self, problem: Problem, generator: torch.Generator) -> torch.nn.Module:
        """Make the network."""
        sizes = [problem.dim, *self.hidden, problem.components]
        net = JetFNN(sizes, generator=generator)
        if self.hard:
            net.apply_output_transform(problem.hard)
        return net

    def optimizer(self, net: torch.nn.Module, data: Collocation) -> Optimizer:
        """Make the optimiser."""
        return LevenbergMarquardt(
            net.parameters(), lambda: data.residual_vector(net, self.weights)
        )

    def callbacks(self, seed: int) -> list:
        """Make the callbacks: none."""
        return []


@dataclass(frozen=True)
class VPINN(HPVPINN):
    """VPINN: one element.

    Args:
        elements: One element; leave it.
        degree: Bubble tests per axis.
        points: Quadrature points per axis; None is ``degree + 10``.
        num_sides: Points on the boundary, and as many at the first time.
        hidden: Widths of the hidden layers.
        hats: Whether to test with hats too.
        hard: Whether to fulfil the conditions by construction.
        weights: Weight of every loss; None is 1 each.

    Example:
        >>> VPINN(degree=20).elements
        1
    """

    elements: int | Sequence = 1


@dataclass(frozen=True)
class FEM:
    """Finite elements, the yardstick: see :func:`pinn.fem`.

    Args:
        elements: Per axis, a count or the edges, as in :class:`pinn.Mesh`.
        degree: 1 or 2.

    Example:
        >>> FEM(64).degree
        2
    """

    elements: int | Sequence = 32
    degree: int = 2
