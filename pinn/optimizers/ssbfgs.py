"""Self-scaled BFGS: one member of Broyden's class, its Hessian scaled anew."""

import torch
from torch import Tensor

from pinn.optimizers.quasi_newton import SelfScaled, broyden

__all__ = ["SSBFGS"]


class SSBFGS(SelfScaled):
    r"""Self-scaled BFGS: the inverse Hessian is scaled by ``1 / tau`` at each step.

    .. math:: \tau = \min\Bigl(1, \frac{s^T y}{s^T B s}\Bigr), \qquad \phi = 1

    Al-Baali 1998, Comput. Optim. Appl. 9(2); Urban et al. 2025, eq. (11).

    Args:
        params: Parameters in float64, one group.
        max_iter: Iterations per step; each step evaluates the loss once more.
        max_params: Refuse more parameters than this: 4000 take 122 MiB.

    Raises:
        TypeError: If the parameters are not in float64.
        ValueError: If there is more than one group, or there are too many parameters.

    Example:
        >>> x = torch.tensor([3.0, -2.0], dtype=torch.float64, requires_grad=True)
        >>> optimizer = SSBFGS([x])
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (x**2 * torch.tensor([1.0, 10.0])).sum()
        ...     loss.backward()
        ...     return loss
        >>> for _ in range(2):
        ...     loss = optimizer.step(closure)
        >>> bool(closure() < 1e-12)
        True
    """

    def _update(
        self, H: Tensor, s: Tensor, y: Tensor, sBs: Tensor, first: bool
    ) -> None:
        sy = torch.dot(s, y)
        b = (sBs / sy).item()
        tau = (torch.dot(y, y) / sy).item() if first else min(1.0, 1.0 / b)
        H.mul_(1 / tau)
        broyden(H, s, y, 1.0, 1.0)
