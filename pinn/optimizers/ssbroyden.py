"""Self-scaled Broyden (SSBroyden): the member of the class is chosen anew, too."""

import torch
from torch import Tensor

from pinn.optimizers.quasi_newton import SelfScaled, broyden

__all__ = ["SSBroyden"]


class SSBroyden(SelfScaled):
    r"""Self-scaled Broyden: scale and member of the class are chosen at each step.

    With ``b = s^T B s / s^T y``, ``h = y^T H y / s^T y``, ``a = b h - 1``,

    .. math:: \rho = \min\bigl(1, h (1 - \sqrt{a / (1 + a)})\bigr), \quad
              \theta = \max\Bigl(\frac{\rho - 1}{a},
              \min\bigl(\tfrac1\rho, \tfrac{1 - b}{b}\bigr)\Bigr), \quad
              \phi = \frac{1 - \theta}{1 + a \theta}

    and ``tau`` from ``min(1, 1 / b)`` and ``(1 + a theta)^{1 / (1 - n)}``. Al-Baali and
    Khalfan 2012, Optim. Methods Softw. 27(3); Urban, Stefanou and Pons 2025, J. Comput.
    Phys. 523, 113656, eqs. (13) to (23), their "SSBroyden2".

    Args:
        params: Parameters in float64, one group.
        max_iter: Iterations per step; each step evaluates the loss once more.
        max_params: Refuse more parameters than this: 4000 take 122 MiB.

    Raises:
        TypeError: If the parameters are not in float64.
        ValueError: If there is more than one group, or there are too many parameters.

    Example:
        >>> x = torch.zeros(2, dtype=torch.float32, requires_grad=True)
        >>> SSBroyden([x])
        Traceback (most recent call last):
        TypeError: SSBroyden got parameters in torch.float32: expected torch.float64,
            ...
    """

    def _update(
        self, H: Tensor, s: Tensor, y: Tensor, sBs: Tensor, first: bool
    ) -> None:
        sy = torch.dot(s, y)
        b = (sBs / sy).item()
        h = (torch.dot(y, H @ y) / sy).item()
        a = max(b * h - 1, 1e-14)  # never negative, but for round-off (Cauchy-Schwarz)
        rho = min(1.0, h * (1 - (a / (1 + a)) ** 0.5))
        theta = max((rho - 1) / a, min(1 / rho, (1 - b) / b))
        sigma = max(1 + theta * a, 1e-14)
        phi = (1 - theta) / sigma
        if first:
            tau = h / sigma
        else:
            most = min(1.0, 1 / b)
            scaled = most * (sigma ** (1 / (1 - len(s))) if len(s) > 1 else 1.0)
            tau = min(scaled, sigma) if theta <= 0 else min(scaled, most / theta)
        broyden(H, s, y, tau, phi)
