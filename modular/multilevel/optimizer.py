"""The trust region as an optimiser of torch."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from modular.multilevel.lsr1 import LSR1
from modular.multilevel.region import Point, Region, Trial

__all__ = ["TrustRegion"]


class TrustRegion(torch.optim.Optimizer):
    """Train by trust-region steps with an L-SR1 model; there is no learning rate.

    ``step(closure)`` looks at the loss twice, here and at the trial, both times on the
    same batch; ``trials`` tells what every step did. Erway et al. 2020, "Trust-region
    algorithms for training responses: machine learning methods using indefinite
    Hessian approximations".

    Args:
        params: Parameters, in one group.
        radius: Of the first step.
        memory: Pairs that are kept.
        gamma: Curvature where nothing is known.

    Raises:
        TypeError: If ``memory`` is not an int.
        ValueError: If there are several groups, or a number is not positive.

    Example:
        >>> x = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
        >>> optimizer = TrustRegion([x], radius=10.0)
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (x * x).sum() / 2
        ...     loss.backward()
        ...     return loss
        >>> _ = optimizer.step(closure)
        >>> float(x.detach().norm()) < 1e-6
        True
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        *,
        radius: float = 1.0,
        memory: int = 10,
        gamma: float = 1.0,
    ) -> None:
        super().__init__(params, {})
        if len(self.param_groups) != 1:
            raise ValueError(
                f"there are {len(self.param_groups)} groups: expected one, the radius "
                "is of all parameters together"
            )
        self.region = Region(radius, LSR1(memory, gamma))
        self.trials: list[Trial] = []

    def step(  # type: ignore[override]
        self, closure: Callable[[], Any] | None = None
    ) -> Tensor:
        """Try one step.

        Args:
            closure: Clears gradients, computes the loss, goes backward, returns it.

        Returns:
            The loss before. Shape ``()``.

        Raises:
            ValueError: If there is no closure.
            FloatingPointError: If loss or gradient are NaN or infinite.
        """
        if closure is None:
            raise ValueError("closure is None: expected a function, called twice")
        parameters = self.param_groups[0]["params"]

        def f(theta: Tensor) -> tuple[Tensor, Tensor]:
            nn.utils.vector_to_parameters(theta, parameters)
            with torch.enable_grad():
                value = closure().detach()
            gradients = [
                torch.zeros_like(p) if p.grad is None else p.grad for p in parameters
            ]
            return value, nn.utils.parameters_to_vector(gradients).detach().clone()

        start = nn.utils.parameters_to_vector(parameters).detach().clone()
        at = Point.at(f, start)
        end, trial = self.region.step(f, at)
        nn.utils.vector_to_parameters(end.theta.clone(), parameters)
        self.trials.append(trial)
        return at.value
