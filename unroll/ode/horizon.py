"""The last time of a solution as one more number that is learned."""

import math

import torch
from torch import Tensor

from unroll._checks import check_positive
from unroll.ode.tableau import Field

__all__ = ["Horizon"]


class Horizon:
    r"""Learn how long to integrate, where time has a price.

    .. math:: \mathcal L = \Phi(x(T)) + \tfrac{c}{2} T^2, \qquad
              Q_T = c T + s, \quad Q_{TT} \approx c + s^2, \quad
              s = \Phi_x^T f(T, x(T)),

    .. math:: T \leftarrow T - \eta \,
              \frac{Q_T + s \, \Phi_\theta^T \delta\theta}{Q_{TT}}

    with running means of both, and with the feedback of the change ``delta theta`` that
    the parameters have just made. Liu, Chen and Theodorou 2021, NeurIPS (SNOpt),
    section 3.4. It rests where ``T = -s / c``.

    Args:
        time: First horizon ``T``, after a start at time 0.
        price: ``c``.
        lr: Part ``eta`` of a step that is made.
        memory: Part of the running means that is kept.
        least: Shortest horizon.

    Raises:
        ValueError: If ``memory`` is not in [0, 1), or another number not positive.

    Example:
        >>> horizon, b = Horizon(time=1.0, price=1.0, lr=0.5, memory=0.0), 3.0
        >>> for _ in range(60):  # x' = 1 from 0: x(T) = T, loss (T - 3)^2 / 2 + T^2 / 2
        ...     x = torch.full((1, 1), horizon.time)
        ...     _ = horizon.step(lambda t, x: torch.ones_like(x), x, x - b)
        >>> round(horizon.time, 4)
        1.5
    """

    def __init__(
        self,
        time: float,
        price: float,
        lr: float = 0.1,
        memory: float = 0.9,
        least: float = 0.1,
    ) -> None:
        for name, value in (
            ("time", time),
            ("price", price),
            ("lr", lr),
            ("least", least),
        ):
            check_positive(name, value)
        if not 0 <= memory < 1:
            raise ValueError(f"memory is {memory}: expected a number in [0, 1)")
        self.time, self.price, self.lr = float(time), price, lr
        self.memory, self.least = memory, least
        self.slope, self.bend, self._weight = 0.0, 0.0, 0.0

    def times(self, steps: int, like: Tensor) -> Tensor:
        """Return times from 0 to the horizon.

        Args:
            steps: How many steps lead there.
            like: A tensor with the dtype and device to take. Shape ``(batch, ...)``.

        Returns:
            Times, of shape ``(times,)``, one more than steps.
        """
        return torch.linspace(
            0, self.time, steps + 1, dtype=like.dtype, device=like.device
        )

    @torch.no_grad()
    def step(self, field: Field, x: Tensor, by_x: Tensor, moved: float = 0.0) -> float:
        """Move the horizon, and return it.

        Args:
            field: Right side ``f(t, x)``.
            x: State at the horizon. Shape ``(batch, ...)``.
            by_x: Gradient of the loss by it, without the price of time. Shape
                ``(batch, ...)``.
            moved: Feedback: the inner product of the loss's gradient by the parameters
                with the change that they have just made.

        Returns:
            The new horizon.

        Raises:
            FloatingPointError: If a number is not finite.
            ValueError: If the shapes differ.
        """
        if x.shape != by_x.shape:
            raise ValueError(
                f"x has shape {tuple(x.shape)} and by_x {tuple(by_x.shape)}: expected "
                "the same"
            )
        t = torch.as_tensor(self.time, dtype=x.dtype, device=x.device)
        s = (field(t, x) * by_x).sum().item()
        if not math.isfinite(s + moved):
            raise FloatingPointError(
                f"the loss changes with the horizon by {s}, and moved is {moved}: "
                "expected finite numbers"
            )
        keep = self.memory
        self._weight = keep * self._weight + (
            1 - keep
        )  # so that the first mean is right
        self.slope = keep * self.slope + (1 - keep) * (self.price * self.time + s)
        self.bend = keep * self.bend + (1 - keep) * (self.price + s**2)
        change = self.slope + s * moved * self._weight
        self.time = max(self.least, self.time - self.lr * change / self.bend)
        return self.time
