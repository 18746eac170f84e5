"""Networks on subdomains: conservative (cPINN) and extended (XPINN) coupling."""

from abc import abstractmethod

import torch
from torch import Tensor

from pinn._checks import check_count
from pinn.collocation import Collocation
from pinn.jets import Jet, Wanted
from pinn.mesh import Partition
from pinn.problem import Problem

__all__ = ["Conservative", "Extended", "Interfaces"]


class Interfaces:
    """Points on all interfaces of a partition, and the two subdomains at each.

    Jagtap, Kharazmi and Karniadakis 2020, CMAME 365, 113028. ``x`` holds the points,
    ``(points, dim)``; ``normal`` the unit normals from left to right; ``left`` and
    ``right`` the subdomains before and behind each point; ``area`` the area that each
    point stands for.

    Args:
        partition: The subdomains.
        count: Points per interface, evenly spread.

    Raises:
        ValueError: If ``count`` is not positive.

    Example:
        >>> from pinn import Partition, zoo
        >>> cut = Partition(zoo.burgers().geometry, [[0.2]])
        >>> Interfaces(cut, 4).x.tolist()
        [[0.2, 0.125], [0.2, 0.375], [0.2, 0.625], [0.2, 0.875]]
    """

    def __init__(self, partition: Partition, count: int = 99) -> None:
        check_count("count", count, least=1)
        x, normal, left, right, area = [], [], [], [], []
        dim = partition.lower.shape[1]
        for face in partition.interfaces:
            low, high = (
                torch.tensor(corner, dtype=torch.float64, device="cpu")
                for corner in (face.lower, face.upper)
            )
            along = [k for k in range(dim) if k != face.axis]
            share = _spread(len(along), count)
            points = low.repeat(len(share), 1)
            points[:, along] += share * (high - low)[along]
            x.append(points)
            unit = torch.zeros_like(points)
            unit[:, face.axis] = 1
            normal.append(unit)
            left.append(torch.full((len(points),), face.left))
            right.append(torch.full((len(points),), face.right))
            size = (high - low)[along].prod().item()
            area.append(torch.full_like(points[:, 0], size / len(points)))
        empty = torch.empty(0, dim, dtype=torch.float64, device="cpu")
        self.x, self.normal = torch.cat([empty, *x]), torch.cat([empty, *normal])
        none = torch.empty(0, dtype=torch.int64, device="cpu")
        self.left, self.right = torch.cat([none, *left]), torch.cat([none, *right])
        self.area = torch.cat([empty[:, 0], *area])

    def to(self, like: Tensor) -> "Interfaces":
        """Move to a tensor's device and dtype; nothing happens if already there.

        Args:
            like: The tensor. Shape ``(...)``.

        Returns:
            This object.
        """
        if self.x.dtype != like.dtype or self.x.device != like.device:
            for name in ("x", "normal", "area"):
                setattr(self, name, getattr(self, name).to(like))
            self.left, self.right = (
                self.left.to(like.device),
                self.right.to(like.device),
            )
        return self

    def sides(self, net: torch.nn.Module, wanted: Wanted) -> tuple[Jet, Jet]:
        """Evaluate both networks at every point.

        Args:
            net: A :class:`pinn.SubdomainFNN`.
            wanted: Derivatives to compute.

        Returns:
            The jets from the left and from the right.
        """
        return net.traces(self.x, self.left, wanted), net.traces(
            self.x, self.right, wanted
        )


def _spread(dim: int, count: int) -> Tensor:
    """Spread points over a unit cube, none on its surface."""
    if dim == 0:
        return torch.zeros(1, 0, dtype=torch.float64, device="cpu")
    if dim == 1:
        steps = torch.arange(count, dtype=torch.float64, device="cpu")
        return ((steps + 0.5) / count)[:, None]
    engine = torch.quasirandom.SobolEngine(dim)
    engine.fast_forward(1)  # the first point is a corner
    return engine.draw(count, dtype=torch.float64)


class _Decomposed(Collocation):
    """Residuals inside the subdomains, and what couples them at the interfaces."""

    def __init__(  # noqa: PLR0913 - as DeepXDE\'s own
        self,
        problem: Problem,
        partition: Partition,
        num_domain: int = 0,
        num_boundary: int = 0,
        num_initial: int = 0,
        *,
        num_interface: int = 99,
        hard: bool = False,
        train_distribution: str = "Hammersley",
        num_test: int | None = None,
    ) -> None:
        problem.check_balance_law(type(self).__name__)
        self._check_cuts(problem, partition)
        self.partition = partition
        self.interfaces = Interfaces(partition, num_interface)
        super().__init__(
            problem,
            num_domain,
            num_boundary,
            num_initial,
            hard=hard,
            train_distribution=train_distribution,
            num_test=num_test,
        )

    def blocks(self, net: torch.nn.Module, x: Tensor) -> list[Tensor]:
        """Evaluate residuals, coupling and average terms.

        Args:
            net: A :class:`pinn.SubdomainFNN` on the same partition.
            x: Points. Shape ``(batch, dim)``.

        Returns:
            Per equation the residual, shape ``(batch, 1)``; per equation the coupling,
            and per component the difference from the average, one column each.

        Raises:
            TypeError: If the network has no subdomains.
        """
        if not hasattr(net, "traces"):
            kind = type(net).__name__
            raise TypeError(
                f"net is a {kind}: {type(self).__name__} expects a SubdomainFNN"
            )
        jet = net.jet(x, self.problem.wanted)
        residual = self.problem.strong_residual(x, jet)
        blocks = list(residual.split(1, dim=1))
        if not len(self.interfaces.x):
            return blocks
        faces = self.interfaces.to(x)
        left, right = faces.sides(net, self._wanted_at_interfaces())
        blocks += self._coupling(left, right).split(1, dim=1)
        average = (left.u + right.u) / 2
        blocks += torch.cat([left.u - average, right.u - average]).split(1, dim=1)
        return blocks

    def _check_cuts(self, problem: Problem, partition: Partition) -> None:
        """Take any cut."""

    @abstractmethod
    def _wanted_at_interfaces(self) -> Wanted:
        """Name the derivatives that the coupling reads."""

    @abstractmethod
    def _coupling(self, left: Jet, right: Jet) -> Tensor:
        """Evaluate what has to be equal on both sides: ``(points, equations)``."""


class Conservative(_Decomposed):
    r"""Conservative PINN: the flux through an interface is the same on both sides.

    .. math:: L_\text{flux} &= \frac1{N_I} \sum |F(u^-) \cdot n - F(u^+) \cdot n|^2, \\
              L_\text{avg} &= \frac1{2 N_I} \sum |u^\pm - \{u\}|^2

    with the average ``{u} = (u^- + u^+) / 2``; then the residuals of the subdomains and
    the conditions, as in ``Strong``. Jagtap, Kharazmi and Karniadakis 2020, CMAME 365,
    113028. The flux of Burgers' equation is ``u^2 / 2 - nu u_x`` on
    both sides; the published program has ``u_xx`` on one. Cuts are in space only,
    because the flux along time is ``u`` itself. Order of the losses: residual per
    equation, flux jump per equation, average per component, conditions.

    Args:
        problem: The balance law.
        partition: The subdomains, cut in space.
        num_domain: Points inside the domain.
        num_boundary: Points on the boundary in space.
        num_initial: Points at the first time.
        num_interface: Points per interface.
        hard: Whether the network fulfils the conditions by construction.
        train_distribution: DeepXDE's name of the sampling.
        num_test: Points for test losses and metrics.

    Raises:
        ValueError: If the problem is not a balance law, or time is cut.

    Example:
        >>> from pinn import Partition, SubdomainFNN, zoo
        >>> problem = zoo.burgers()
        >>> partition = Partition(problem.geometry, [[-0.6, 0.2, 0.5]])
        >>> data = Conservative(problem, partition, 200, 20, 20)
        >>> net = SubdomainFNN(partition, [2, 10, 1])
        >>> [len(b) for b in data.blocks(net, torch.zeros(7, 2, dtype=torch.float64))]
        [7, 297, 594]
    """

    def _check_cuts(self, problem: Problem, partition: Partition) -> None:
        """Refuse cuts in time."""
        if problem.in_time and partition.cuts[-1]:
            raise ValueError(
                f"time is cut at {partition.cuts[-1]}: Conservative expects cuts in "
                "space only (Extended takes any)"
            )

    def _wanted_at_interfaces(self) -> Wanted:
        return self.problem.flux_wanted

    def _coupling(self, left: Jet, right: Jet) -> Tensor:
        """Evaluate the jump of ``F . n``."""
        x, normal = self.interfaces.x, self.interfaces.normal
        flux = self.problem.normal_flux
        return flux(x, left, normal) - flux(x, right, normal)


class Extended(_Decomposed):
    r"""Extended PINN: the residual is the same on both sides of an interface.

    .. math:: L_R = \frac1{N_I} \sum |R(u^-) - R(u^+)|^2, \qquad
              R = \operatorname{div} F - s

    with the average term as in ``Conservative``. Any cut, in time too; nothing says
    that what flows out of one subdomain flows into the next.
    Jagtap and Karniadakis 2020, Communications in Computational Physics 28(5).

    Args:
        problem: The balance law.
        partition: The subdomains.
        num_domain: Points inside the domain.
        num_boundary: Points on the boundary in space.
        num_initial: Points at the first time.
        num_interface: Points per interface.
        hard: Whether the network fulfils the conditions by construction.
        train_distribution: DeepXDE's name of the sampling.
        num_test: Points for test losses and metrics.

    Raises:
        ValueError: If the problem is not a balance law.

    Example:
        >>> from pinn import Partition, zoo
        >>> problem = zoo.heat()
        >>> partition = Partition(problem.geometry, [[0.5], [0.5]])
        >>> len(Extended(problem, partition, 100, 10, 10).interfaces.x)
        396
    """

    def _wanted_at_interfaces(self) -> Wanted:
        return self.problem.wanted

    def _coupling(self, left: Jet, right: Jet) -> Tensor:
        """Evaluate the jump of the residual."""
        residual, x = self.problem.strong_residual, self.interfaces.x
        return residual(x, left) - residual(x, right)
