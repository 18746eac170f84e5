"""Extended PINN (XPINN): the residual is the same on both sides of any cut."""

from torch import Tensor

from pinn.derivatives.jets import Jet, Wanted
from pinn.forms.decomposed import Decomposed

__all__ = ["Extended"]


class Extended(Decomposed):
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
        faces, residual = self.interfaces, self.problem.strong_residual
        return residual(faces.before, left) - residual(faces.behind, right)
