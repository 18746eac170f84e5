"""What cPINN and XPINN share: one residual per subdomain, and what couples them."""

from abc import abstractmethod
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from pinn.derivatives.jets import Jet, Wanted, jet_of
from pinn.domains.mesh import box_of
from pinn.domains.partition import Partition, check_partition
from pinn.forms.collocation import Collocation
from pinn.forms.interfaces import Interfaces
from pinn.problem import Problem

__all__ = ["Decomposed"]


class Decomposed(Collocation):
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
        _check_domain(problem, partition)
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
            ValueError: If they are cut elsewhere.
        """
        if not hasattr(net, "traces"):
            kind = type(net).__name__
            raise TypeError(
                f"net is a {kind}: {type(self).__name__} expects a SubdomainFNN"
            )
        theirs, ours = cast(Any, net).partition.cuts, self.partition.cuts
        if theirs != ours:
            raise ValueError(
                f"net is cut at {theirs} and the data at {ours}: expected one partition"
            )
        jet = jet_of(net, x, self.problem.wanted)
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


def _check_domain(problem: Problem, partition: Partition) -> None:
    """Refuse subdomains of another domain."""
    check_partition(partition)
    theirs, ours = (np.stack(box_of(g)) for g in (partition.geometry, problem.geometry))
    if theirs.shape != ours.shape or not np.allclose(theirs, ours, rtol=0, atol=1e-9):
        raise ValueError(
            f"partition is of a domain from {theirs[0].tolist()} to "
            f"{theirs[1].tolist()} and the problem's is from {ours[0].tolist()} to "
            f"{ours[1].tolist()}: expected a partition of the same"
        )
