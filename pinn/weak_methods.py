"""Weak methods by name, and finite elements beside them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pinn.domains.mesh import Mesh
from pinn.domains.triangulation import Triangulation
from pinn.forms.collocation import Collocation
from pinn.forms.vpinn import Variational
from pinn.methods import condition_points, constrained, scaled
from pinn.networks.jet_fnn import JetFNN
from pinn.optimizers.ssbroyden import SSBroyden
from pinn.problem import Problem

__all__ = ["FEM", "HPVPINN", "VPINN"]

Optimizer = torch.optim.Optimizer


@dataclass(frozen=True)
class HPVPINN:
    """hp-VPINN, trained by SSBroyden.

    Kharazmi, Zhang and Karniadakis 2021, CMAME 374, 113547; see
    :class:`pinn.Variational`. Theirs is trained by Adam. SSBroyden is ahead of
    Levenberg-Marquardt on nearly all of DeepXDE's examples; on a steep layer with many
    tests in an element Levenberg-Marquardt is the safer one, as an argument of
    :func:`pinn.solve`. Both are among the results.

    Args:
        elements: Per axis, a count or the edges, as in :class:`pinn.Mesh`.
        degree: Bubble tests per axis and element.
        points: Quadrature points per axis and element; None is ``degree + 10``.
        num_sides: Points on the boundary, and as many at the first time.
        hidden: Widths of the hidden layers.
        hats: Whether to test with hats too; None is: if there are several elements.
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
    hats: bool | None = None
    hard: bool = False
    weights: Sequence[float] | None = None

    def data(self, problem: Problem) -> Collocation:
        """Make the data.

        Args:
            problem: The problem.

        Returns:
            Data for a ``deepxde.Model``.
        """
        return Variational(
            problem,
            Mesh(problem.geometry, self.elements, degree=self.degree),
            *condition_points(problem, self.num_sides),
            points=self.points,
            hats=self.hats,
            hard=self.hard,
        )

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
        hats: Whether to test with hats too; None is: if there are several elements.
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

    Gustafsson and McBain 2020, J. Open Source Softw. 5(52).

    Args:
        elements: Per axis, a count or the edges, as in :class:`pinn.Mesh`; or
            triangles.
        degree: 1 or 2.

    Example:
        >>> FEM(64).degree
        2
    """

    elements: int | Sequence | Triangulation = 32
    degree: int = 2

    def mesh(self, problem: Problem) -> Mesh | Triangulation:
        """Make the elements.

        Args:
            problem: The problem.

        Returns:
            Boxes that fill its domain; the triangles, where they are given.
        """
        if isinstance(self.elements, Triangulation):
            return self.elements
        return Mesh(problem.geometry, self.elements)
