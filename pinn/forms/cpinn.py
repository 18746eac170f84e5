"""Conservative PINN (cPINN): what flows out of one subdomain flows into the next."""

from torch import Tensor

from pinn.derivatives.jets import Jet, Wanted
from pinn.domains.partition import Partition
from pinn.forms.decomposed import Decomposed
from pinn.problem import Problem

__all__ = ["Conservative"]


class Conservative(Decomposed):
    r"""Conservative PINN: the flux through an interface is the same on both sides.

    .. math:: L_\text{flux} &= \frac1{N_I} \sum |F(u^-) \cdot n - F(u^+) \cdot n|^2, \\
              L_\text{avg} &= \frac1{2 N_I} \sum |u^\pm - \{u\}|^2

    with the average ``{u} = (u^- + u^+) / 2``; then the residuals of the subdomains and
    the conditions, as in ``Strong``. Jagtap, Kharazmi and Karniadakis 2020, CMAME 365,
    113028. The flux of Burgers' equation is ``u^2 / 2 - nu u_x`` on
    both sides; the published program has ``u_xx`` on one. Each side reads the
    coefficients of its own material, if they jump at the cut. Cuts are in space only,
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
        >>> import torch
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
        faces, flux = self.interfaces, self.problem.normal_flux
        out = flux(faces.before, left, faces.normal)
        return out - flux(faces.behind, right, faces.normal)
