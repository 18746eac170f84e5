"""What a run leaves behind: the solution, and how it got there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from pinn._checks import check_points
from pinn.metrics import beside, flux_jump, mass_defect, relative_error
from pinn.plot import animate_solution, plot_solution
from pinn.problem import Problem

__all__ = ["History", "Solution"]


@dataclass(frozen=True, eq=False)
class History:
    """How a run went, look by look.

    Args:
        seconds: CPU seconds of training, looking left out. Shape ``(looks,)``.
        loss: Training loss, summed. Shape ``(looks,)``.
        error: Relative L2 error; NaN without an exact solution. Shape ``(looks,)``.
    """

    seconds: Tensor
    loss: Tensor
    error: Tensor


@dataclass(frozen=True, eq=False)
class Solution:
    """What :func:`pinn.solve` found.

    What a comparison should tell: McGreivy and Hakim 2024, Nat. Mach. Intell. 6.

    Args:
        problem: The problem.
        net: The network, or the finite-element function.
        parameters: Its parameters, or degrees of freedom.
        seconds: CPU seconds of training, or of the solver.
        history: How it went.
        model: The ``deepxde.Model``; None for finite elements.

    Example:
        >>> from pinn import FEM, Solution, solve, zoo
        >>> solution = solve(zoo.heat(), FEM(8))
        >>> isinstance(solution, Solution), solution.error() < 0.01
        (True, True)
    """

    problem: Problem
    net: Callable[[Tensor], "Tensor"]
    parameters: int
    seconds: float
    history: History
    model: object = None

    def predict(self, x: Tensor) -> Tensor:
        """Evaluate the solution.

        Args:
            x: Points. Shape ``(batch, dim)``.

        Returns:
            Values, in the points' dtype. Shape ``(batch, components)``.

        Raises:
            TypeError: If ``x`` is not a floating-point tensor.
            ValueError: If ``x`` is not of shape ``(batch, dim)``, or not finite.
        """
        check_points("x", x, self.problem.dim)
        with torch.no_grad():
            return self.net(beside(self.net, x)).to(x.dtype)

    def error(self, x: Tensor | None = None) -> float:
        """Compare with the exact solution.

        Args:
            x: Points; None is an even grid. Shape ``(batch, dim)``.

        Returns:
            The relative L2 error.
        """
        return relative_error(self.problem, self.net, x)

    def flux_jump(self) -> float:
        """Measure the largest jump of the flux between subdomains.

        Returns:
            The jump; 0 for one network.
        """
        partition = getattr(self.net, "partition", None)
        if partition is None:
            return 0.0
        return flux_jump(self.problem, cast(torch.nn.Module, self.net), partition)

    def mass_defect(self) -> float:
        """Measure how far the solution is from conserving.

        Returns:
            Largest defect over time, see :func:`pinn.mass_defect`.
        """
        return mass_defect(self.problem, self.net)

    def plot(self) -> object:
        """Draw the solution, and its error if that is known.

        Returns:
            A matplotlib figure.
        """
        return plot_solution(self.problem, self.predict)

    def animate(self, frames: int = 30) -> object:
        """Animate the solution in time.

        Args:
            frames: Pictures.

        Returns:
            A matplotlib animation.
        """
        return animate_solution(self.problem, self.predict, frames)
