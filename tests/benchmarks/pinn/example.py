"""What one of DeepXDE's examples is, stated for both sides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinn import Problem, first_order
from pinn._backend import dde

pi, sin, cos, exp = torch.pi, torch.sin, torch.cos, torch.exp


@dataclass(frozen=True)
class Theirs:
    """The settings of DeepXDE's own script.

    Args:
        pde: Its residual, ``pde(x, y)``.
        points: Inside, on the border, at the first time.
        widths: Of the hidden layers.
        activation: Of the network.
        start: How its weights are drawn.
        adam: Steps of Adam, at a rate of 0.001.
        lbfgs: Whether L-BFGS follows.
        weights: Of the losses; "balanced" divides five by the first of them.
        hard: What is done to the network's output.
        decay: Of Adam's rate.
        net: The network, where it is none of the plain ones.
        conditions: Where they are not those of the problem.
    """

    pde: Callable[[Tensor, Tensor], Any]
    points: tuple[int, ...]
    widths: Sequence[int]
    activation: str = "tanh"
    start: str = "Glorot uniform"
    adam: int = 10_000
    lbfgs: bool = False
    weights: Sequence[float] | str | None = None
    hard: Callable[[Tensor, Tensor], Tensor] | None = None
    decay: tuple | None = None
    net: Callable[[], torch.nn.Module] | None = None
    conditions: Sequence[Any] | None = None


@dataclass(frozen=True)
class Example:
    """A problem of ours, what the weak methods are given, and DeepXDE's settings.

    Args:
        problem: The balance law, its conditions and its solution.
        theirs: DeepXDE's settings; conditions and domain are the problem's.
        cuts: Of cPINN and XPINN.
        wave: Whether the methods with a weak form take the first-order form.
        elements: Of finite elements.
    """

    problem: Problem
    theirs: Theirs
    cuts: Sequence[Sequence[float]]
    wave: bool = False
    elements: Any = 64

    def weak(self) -> Problem:
        """Return what elements and subdomains are given."""
        soft = replace(self.problem, hard=None)
        return first_order(soft) if self.wave else self.problem


def on(axis: int, value: float) -> Callable[[np.ndarray, bool], bool]:
    """Say where a coordinate has a value, on the border."""
    return lambda x, border: border and np.isclose(x[axis], value)


def border(x: np.ndarray, on_border: bool) -> bool:
    """Say that a condition holds on all of it."""
    return on_border


def nothing(x: Any) -> Any:
    """Return a column of zeros."""
    return 0 * x[:, :1]


def strip(left: float, right: float, end: float) -> Any:
    """Make an interval during a time."""
    line = dde.geometry.Interval(left, right)
    return dde.geometry.GeometryXTime(line, dde.geometry.TimeDomain(0, end))


def diffusing(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
    """Return the flux of Poisson's equation."""
    return -p


def second(y: Tensor, x: Tensor, k: int = 0, component: int = 0) -> Tensor:
    """Return a second derivative the way DeepXDE's scripts do."""
    return dde.grad.hessian(y, x, component=component, i=k, j=k)


def first(y: Tensor, x: Tensor, k: int = 0, component: int = 0) -> Tensor:
    """Return a first derivative the way DeepXDE's scripts do."""
    return dde.grad.jacobian(y, x, i=component, j=k)
