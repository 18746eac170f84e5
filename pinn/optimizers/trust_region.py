r"""How far to trust the linear model: three ways to choose the damping of a step.

With the step ``d`` of damping ``lambda``, the model expects the sum of squares to fall
by ``-d . J^T r + lambda |d|^2``; the gain ratio ``rho`` is what it truly falls by, over
that. In the basis of eigenvectors of ``J^T J = V diag(s) V^T``, with ``g = V^T J^T r``,

.. math:: |d|^2 = \sum_k \frac{g_k^2}{(s_k + \lambda)^2}, \qquad
          \sum_k g_k^2 \, \frac{s_k + 2 \lambda}{(s_k + \lambda)^2}

are the length of the step and the expected fall, so that every radius has its damping
(the secular equation) at no cost. Nocedal and Wright 2006, chapter 4.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from pinn._checks import check_count
from pinn.optimizers.normal_equations import NormalEquations

__all__ = ["Control", "GainRatio", "Marquardt", "Spectrum", "TargetRatio", "Trial"]

_LEAST, _MOST = 1e-15, 1e15
_SHORTEST = 1e-30


@dataclass
class Trial:
    """One place, and what a control may try there.

    Args:
        equations: The damped equations.
        before: Sum of squares there.
        loss: ``loss(d)`` moves the parameters by ``d`` and returns the sum of squares.
        bend: ``bend(d, lam)`` follows the curvature of the residuals, or returns ``d``.
        attempts: Dampings to try at most.
    """

    equations: NormalEquations
    before: float
    loss: Callable[[Tensor], float]
    bend: Callable[[Tensor, float], Tensor]
    attempts: int

    def expected(self, d: Tensor, lam: float) -> float:
        """Return how much the linear model expects the sum of squares to fall."""
        slope = torch.dot(d, self.equations.gradient).item()
        return lam * torch.dot(d, d).item() - slope


class Control(Protocol):
    """What chooses the damping; it keeps its numbers in a dictionary of floats."""

    def search(self, trial: Trial, state: dict[str, float]) -> bool:
        """Try steps; leave the parameters at the accepted one and tell if there is."""


@dataclass(frozen=True)
class Marquardt:
    """Accept what lowers the sum of squares; damping a third then, else twice.

    Marquardt 1963, J. SIAM 11(2).

    Example:
        >>> Marquardt()
        Marquardt()
    """

    def search(self, trial: Trial, state: dict[str, float]) -> bool:
        """Try steps of rising damping.

        Args:
            trial: What to try.
            state: Its ``damping``.

        Returns:
            Whether a step was accepted.
        """
        for _ in range(trial.attempts):
            lam = state["damping"]
            d = trial.bend(trial.equations.solve(lam), lam)
            if trial.loss(d) < trial.before:
                state["damping"] = max(lam / 3, _LEAST)
                return True
            state["damping"] = min(lam * 2, _MOST)
        return False


@dataclass(frozen=True)
class GainRatio:
    """Change the damping smoothly with the gain ratio, as Nielsen does.

    Accept ``rho > 1e-3``; then damping times ``max(1/5, 1 - (2 rho - 1)^3)`` if
    ``rho > 1/4``, else twice; four times after a failure. Nielsen 1999, report
    IMM-REP-1999-05.

    Example:
        >>> GainRatio()
        GainRatio()
    """

    def search(self, trial: Trial, state: dict[str, float]) -> bool:
        """Try steps of rising damping.

        Args:
            trial: What to try.
            state: Its ``damping``.

        Returns:
            Whether a step was accepted.
        """
        for _ in range(trial.attempts):
            lam = state["damping"]
            d = trial.equations.solve(lam)
            expected = trial.expected(d, lam)
            after = trial.loss(trial.bend(d, lam))
            rho = (trial.before - after) / max(expected, 1e-300)
            if rho > 1e-3:
                factor = max(0.2, 1 - (2 * rho - 1) ** 3) if rho > 0.25 else 2.0
                state["damping"] = min(max(lam * factor, _LEAST), _MOST)
                return True
            state["damping"] = min(lam * 4, _MOST)
        return False


class Spectrum:
    """Steps of any length, from one decomposition.

    Args:
        s: Eigenvalues of ``J^T J``. Shape ``(k,)``.
        V: Its vectors. Shape ``(parameters, k)``.
        g: ``V^T J^T r``. Shape ``(k,)``.
    """

    def __init__(self, s: Tensor, V: Tensor, g: Tensor) -> None:
        self.s, self.V, self.g = s, V, g

    def step(self, lam: float) -> Tensor:
        """Return the step of a damping. Shape ``(parameters,)``."""
        return -(self.V @ (self.g / (self.s + lam)))

    def length(self, lam: float) -> float:
        """Return the length of that step."""
        return (self.g / (self.s + lam)).norm().item()

    def expected(self, lam: float) -> float:
        """Return the fall of the sum of squares that the linear model expects."""
        weight = (self.s + 2 * lam) / (self.s + lam) ** 2
        return (self.g.square() * weight).sum().item()

    def damping(self, radius: float, least: float) -> float:
        """Solve ``length(lam) = radius`` by Newton's method in ``log lam``.

        Bisection guards it.

        Args:
            radius: Wanted length.
            least: Smallest damping; returned if even its step is shorter.

        Returns:
            The damping.
        """
        if self.length(least) <= radius:
            return least
        low, high = math.log(least), math.log(self.g.norm().item() / radius)
        mu = (low + high) / 2
        for _ in range(60):
            lam = math.exp(mu)
            d = self.g / (self.s + lam)
            size = d.norm().item()
            gap = math.log(size / radius)
            if abs(gap) < 1e-12:
                break
            low, high = (mu, high) if gap > 0 else (low, mu)
            slope = -lam * (d.square() / (self.s + lam)).sum().item() / size**2
            mu = mu - gap / slope
            if not low < mu < high:
                mu = (low + high) / 2
        return math.exp(mu)


@dataclass(frozen=True)
class TargetRatio:
    r"""Take the longest step whose gain ratio is still as large as a target.

    Radii around the last one are tried, each with the damping that the secular equation
    gives; over them the smallest ratio so far is interpolated by a monotone cubic in
    ``log radius``. A low target makes long steps with little regularisation. Webb,
    Jerad and Cartis 2026 (arXiv:2607.02194), without their sketches.

    Args:
        target: Gain ratio asked for, between 0 and 1.
        probes: Radii to try, between a third and three times the last.

    Raises:
        TypeError: If ``probes`` is not an int.
        ValueError: If ``target`` is not between 0 and 1, or there are fewer than two
            probes.

    Example:
        >>> TargetRatio(0.075).probes
        6
    """

    target: float = 0.075
    probes: int = 6

    def __post_init__(self) -> None:
        if not 0 < self.target < 1:
            raise ValueError(
                f"target is {self.target}: expected a number between 0 and 1"
            )
        check_count("probes", self.probes, least=2)

    def search(self, trial: Trial, state: dict[str, float]) -> bool:
        """Probe radii, and try the one that the target asks for.

        Args:
            trial: What to try.
            state: Its ``damping``, and ``radius``, made at the first step.

        Returns:
            Whether a step was accepted.
        """
        spectrum = Spectrum(*trial.equations.spectrum())
        least = max(trial.equations.safe, _LEAST)
        radius = state.setdefault("radius", spectrum.length(state["damping"]))
        for _ in range(trial.attempts):
            if radius < _SHORTEST:  # at a minimum, or round-off hides it
                break
            radii = radius * np.geomspace(1 / 3, 3, self.probes)
            ratios = [self._ratio(spectrum, trial, size, least) for size in radii]
            chosen = longest(radii, ratios, self.target)
            lam = spectrum.damping(chosen, least)
            if trial.loss(trial.bend(spectrum.step(lam), lam)) < trial.before:
                state["damping"] = lam
                state["radius"] = min(chosen, spectrum.length(lam))
                return True
            radius = float(radii[0]) / 3
        return False

    @staticmethod
    def _ratio(spectrum: Spectrum, trial: Trial, size: float, least: float) -> float:
        """Return the gain ratio of one radius, between -1 and 1."""
        lam = spectrum.damping(size, least)
        gain = trial.before - trial.loss(spectrum.step(lam))
        ratio = gain / max(spectrum.expected(lam), 1e-300)
        return min(max(ratio, -1.0), 1.0) if math.isfinite(ratio) else -1.0


def longest(radii: np.ndarray, ratios: list[float], target: float) -> float:
    """Find the longest radius at which the interpolated ratio reaches a target.

    Args:
        radii: Rising, ``(probes,)``.
        ratios: Gain ratios there.
        target: The target.

    Returns:
        The radius; the first one if none reaches the target.
    """
    falling = np.minimum.accumulate(ratios)
    at = np.log(radii)
    fine = np.linspace(at[0], at[-1], 301)
    reached = fine[PchipInterpolator(at, falling)(fine) >= target]
    return float(np.exp(reached[-1])) if len(reached) else float(radii[0])
