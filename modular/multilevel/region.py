"""A trust region: how far the model of the curvature is believed."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from modular._checks import check_positive
from modular.multilevel.lsr1 import LSR1
from modular.multilevel.subproblem import solve

__all__ = ["Function", "Point", "Region", "Trial"]

_LONGEST = 1e6


class Function(Protocol):
    """What is minimised."""

    def __call__(self, theta: Tensor, /) -> tuple[Tensor, Tensor]:
        """Return value and gradient. Shapes ``()`` and ``(n,)``."""


@dataclass(frozen=True)
class Point:
    """A place, and what a function is there, as Conn, Gould and Toint 2000 keep it.

    Args:
        theta: Where. Shape ``(n,)``.
        value: The function. Shape ``()``.
        gradient: Its gradient. Shape ``(n,)``.

    Example:
        >>> Point.at(lambda theta: (theta @ theta / 2, theta), torch.ones(2)).value
        tensor(1.)
    """

    theta: Tensor
    value: Tensor
    gradient: Tensor

    @classmethod
    def at(cls, f: Function, theta: Tensor) -> "Point":
        """Look at a function.

        Args:
            f: Returns value and gradient.
            theta: Where. Shape ``(n,)``.

        Returns:
            The point.
        """
        return cls(theta, *f(theta))


@dataclass(frozen=True)
class Trial:
    """A step that was tried.

    Args:
        ratio: Actual over predicted decrease, rho.
        accepted: Whether it was taken.
        predicted: Decrease that the model promised.
        length: Of the step.
        coarse: Whether a coarser level proposed it.
    """

    ratio: float
    accepted: bool
    predicted: float
    length: float
    coarse: bool = False


@dataclass
class Region:
    """Trust-region steps with an L-SR1 model.

    A step is accepted if the ratio of actual and predicted decrease exceeds ``least``;
    the radius doubles if it exceeds 3/4 and the step was as long as allowed, and halves
    if it is below 1/10. Rejected steps, too, teach the curvature. Conn, Gould and Toint
    2000; constants of Krejic et al. 2024.

    Args:
        radius: delta, changes from step to step.
        curvature: The model.
        least: Smallest ratio of an accepted step.

    Raises:
        ValueError: If the radius is not positive.

    Example:
        >>> def bowl(theta):
        ...     return theta @ theta / 2, theta
        >>> region, at = Region(1.0, LSR1(memory=2)), Point.at(bowl, torch.ones(2))
        >>> at, trial = region.step(bowl, at)
        >>> round(trial.ratio, 6), trial.accepted
        (1.0, True)
    """

    radius: float
    curvature: LSR1
    least: float = 1e-4

    def __post_init__(self) -> None:
        check_positive("radius", self.radius)

    def step(
        self,
        f: Function,
        at: Point,
        limit: float = float("inf"),
        secant: Function | None = None,
    ) -> tuple[Point, Trial]:
        """Try the best step of the model.

        Args:
            f: Returns value and gradient.
            at: Where.
            limit: Longest step that another level allows.
            secant: Function whose gradients teach the curvature, where it is another;
                both ends of a pair must see the same samples.

        Returns:
            The point after, which is the one before if the step was rejected; and what
            happened.

        Raises:
            FloatingPointError: If value or gradient are NaN or infinite here.
        """
        if not (at.value.isfinite() and at.gradient.isfinite().all()):
            raise FloatingPointError(
                f"the function is {float(at.value)} here and its gradient "
                f"{float(at.gradient.norm())} long: look for extreme values in data "
                "and weights"
            )
        found = solve(self.curvature, at.gradient, min(self.radius, limit))
        there = Point.at(f, at.theta + found.p)
        ends = at, there
        if secant is not None:
            ends = Point.at(secant, at.theta), Point.at(secant, there.theta)
        self.learn(found.p, *ends)
        return self.judge(at, there, found.predicted)

    def learn(self, s: Tensor, start: Point, end: Point) -> None:
        """Teach the curvature what a step has seen.

        Args:
            s: The step. Shape ``(n,)``.
            start: Where it began.
            end: Where it ended, accepted or not.
        """
        change = end.gradient - start.gradient
        if change.isfinite().all():
            self.curvature.update(s, change)

    def judge(
        self, at: Point, there: Point, predicted: float, coarse: bool = False
    ) -> tuple[Point, Trial]:
        """Accept or reject a step, and adapt the radius.

        Args:
            at: Where it began.
            there: Where it would end.
            predicted: Decrease that a model promised.
            coarse: Whether a coarser level proposed it.

        Returns:
            The point after, and what happened.
        """
        length = float((there.theta - at.theta).norm())
        actual = float(at.value - there.value)
        # near the end both decreases are rounding: believe them equal
        noise = 10 * torch.finfo(at.value.dtype).eps * max(1.0, abs(float(at.value)))
        ratio = (actual + noise) / (predicted + noise)
        accepted = ratio > self.least and actual >= 0 and bool(there.value.isfinite())
        if ratio > 0.75 and length >= 0.9 * self.radius:
            self.radius = min(2 * self.radius, _LONGEST)
        elif not ratio > 0.1:
            self.radius = max(min(self.radius, length) / 2, 1e-12)
        trial = Trial(ratio, accepted, predicted, length, coarse)
        return there if accepted else at, trial
