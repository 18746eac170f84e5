"""What a run leaves behind: the solution, and how it got there."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from pinn._checks import check_points
from pinn.checkpoint import write
from pinn.metrics import beside, flux_jump, mass_defect, relative_error, test_points
from pinn.plot import animate_solution, plot_solution
from pinn.problem import Problem

__all__ = ["WITNESSES", "History", "Solution"]

WITNESSES = 200  # values that tell a solution from another


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
        unknowns: What the problem's unknowns were found to be, by name.
        interrupted: Whether an interrupt ended the training before its time.

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
    unknowns: Mapping[str, float] = field(default_factory=dict)
    interrupted: bool = False

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

    def save(self, path: str | os.PathLike) -> None:
        """Write the solution to a file, for :func:`pinn.load`.

        What is kept are weights and numbers: the problem and the method are stated
        again when it is read. A few values of the solution go with them, so that
        another problem, method or transform is refused.

        Args:
            path: The file; it is whole at any time.

        Raises:
            ValueError: If the folder does not exist.
        """
        x = test_points(self.problem, WITNESSES)
        state = {
            "state": dict(cast(torch.nn.Module, self.net).state_dict()),
            "history": [self.history.seconds, self.history.loss, self.history.error],
            "seconds": self.seconds,
            "interrupted": self.interrupted,
            "witness": self.predict(x),
        }
        write(Path(path), state)

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
