"""The vanilla PINN: the balance law at points."""

import torch
from torch import Tensor

from pinn._backend import dde
from pinn.derivatives.deepxde_cache import cache_works, fill_cache
from pinn.derivatives.jets import Wanted, jet_of
from pinn.forms.collocation import Collocation

__all__ = ["Strong"]


class Strong(Collocation):
    r"""Mean square of the strong residual at points, one loss per equation.

    .. math:: L_e = \frac1N \sum_n \bigl(\operatorname{div} F_e(x_n) - s_e(x_n)\bigr)^2

    then one loss per condition. Raissi, Perdikaris and Karniadakis 2019, J. Comput.
    Phys. 378. A problem stated by ``residual=pde`` is taken as it is.

    Args:
        problem: The problem.
        num_domain: Points inside the domain.
        num_boundary: Points on the boundary in space.
        num_initial: Points at the first time.
        hard: Whether the network fulfils the conditions by construction; then they make
            no loss.
        train_distribution: DeepXDE's name of the sampling: "uniform", "pseudo", "LHS",
            "Halton", "Hammersley" or "Sobol".
        num_test: Points for test losses and metrics; None takes the training points.

    Raises:
        TypeError: If ``problem`` is not a :class:`pinn.Problem`.
        ValueError: If there are initial points but no time.

    Example:
        >>> import deepxde as dde
        >>> from pinn import JetFNN, zoo
        >>> data = Strong(zoo.heat(), 100, 20, 20)
        >>> model = dde.Model(data, JetFNN([2, 10, 1]))
        >>> model.compile("adam", lr=1e-3, verbose=0)
        >>> history, state = model.train(iterations=1, verbose=0)
        >>> len(state.loss_train)  # the equation, the boundary, the initial value
        3
    """

    def blocks(self, net: torch.nn.Module, x: Tensor) -> list[Tensor]:
        """Evaluate the strong residuals, one block per equation.

        Args:
            net: The network.
            x: Points. Shape ``(batch, dim)``.

        Returns:
            Residuals, each of shape ``(batch, 1)``.
        """
        if self.problem.flux is None:
            return self._of_pde(net, x)
        jet = jet_of(net, x, self.problem.wanted)
        return list(self.problem.strong_residual(x, jet).split(1, dim=1))

    def _of_pde(self, net: torch.nn.Module, x: Tensor) -> list[Tensor]:
        """Call DeepXDE's ``pde(x, y)``, without nested autograd where possible."""
        x = x.detach().requires_grad_()
        if hasattr(net, "jet") and cache_works():
            y = fill_cache(x, jet_of(net, x, Wanted.all(self.problem.dim)))
        else:
            y = net(x)
        assert self.problem.residual is not None, "a problem has a flux or a residual"
        r = self.problem.residual(x, y)
        dde.grad.clear()
        return list(r) if isinstance(r, (list, tuple)) else list(r.split(1, dim=1))
