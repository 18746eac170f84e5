"""A number of an equation that is to be found."""

import math

import torch
from torch import Tensor

from pinn._checks import check_positive

__all__ = ["Unknown"]


class Unknown(torch.nn.Module):
    r"""A number that is learned with the network: call it to read its value.

    .. math:: C = s \theta, \qquad \text{or} \quad C = s e^\theta \quad
              \text{if it is positive}

    with the learned ``theta`` and the scale ``s``; a scale of the size of the answer
    lets one step of an optimiser fit network and number alike. The object holds the
    value of the run that was last; what each run found is in ``Solution.unknowns``.
    Raissi, Perdikaris and Karniadakis 2019, J. Comput. Phys. 378, section 4.

    Args:
        name: Its name in results.
        start: First guess.
        positive: Whether it can be positive only.
        scale: Its size, positive.

    Raises:
        TypeError: If ``name`` is not a string.
        ValueError: If ``scale``, or ``start`` of a positive unknown, is not positive,
            or ``start`` is not finite.

    Example:
        >>> viscosity = Unknown("nu", start=0.1, positive=True, scale=0.01)
        >>> round(viscosity().item(), 9)
        0.1
    """

    def __init__(
        self, name: str, start: float, *, positive: bool = False, scale: float = 1.0
    ) -> None:
        super().__init__()
        if not isinstance(name, str):
            raise TypeError(f"name is {name!r}: expected a string")
        check_positive("scale", scale)
        if positive:
            check_positive("start", start)
        if not math.isfinite(start):
            raise ValueError(f"start is {start}: expected a finite number")
        self.name, self.start = name, float(start)
        self.positive, self.scale = positive, float(scale)
        self.theta = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.set(start)

    def forward(self) -> Tensor:
        """Return the value, differentiable.

        Returns:
            The value. Shape ``()``.
        """
        return self.scale * (self.theta.exp() if self.positive else self.theta)

    @torch.no_grad()
    def set(self, value: float) -> None:
        """Give it a value.

        Args:
            value: The value.
        """
        share = value / self.scale
        self.theta.fill_(math.log(share) if self.positive else share)

    def reset(self) -> None:
        """Put it back to its start."""
        self.set(self.start)

    def slope(self) -> float:
        """Differentiate the value by ``theta``.

        Returns:
            The slope.
        """
        return self().item() if self.positive else self.scale
