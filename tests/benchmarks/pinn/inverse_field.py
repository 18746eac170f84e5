"""The row "field" of :mod:`tests.benchmarks.pinn.inverse`: a source, from values of u.

``-u'' = f`` on a line with 21 knots for ``f``, 49 values of ``u`` with noise of one per
cent. The prior's ``rho`` is the root mean square of the true slope. Elements with it
and without, and a network with it, are told in per cent of the true source.
"""

import math

import torch

from pinn import HardConstraint, HardPINN, Problem
from pinn._backend import dde
from pinn.inverse import Field, Smoothness, classical, identify
from tests.benchmarks.pinn.inverse_cases import noisy

KNOTS = torch.linspace(0, 1, 21, dtype=torch.float64)
STEPS = 200
WEIGHTS = [1e-3, 1.0, 1.0]  # with 1 for the equation, too, 200 steps are not enough


def solution(x: torch.Tensor) -> torch.Tensor:
    """Return ``u`` for a source with three signs."""
    return torch.sin(math.pi * x) + torch.sin(3 * math.pi * x) / 6


def source(x: torch.Tensor) -> torch.Tensor:
    """Return ``-u''``."""
    waves = torch.sin(math.pi * x) + 1.5 * torch.sin(3 * math.pi * x)
    return math.pi**2 * waves


def line(f: Field) -> Problem:
    """State the equation, zero at both ends."""
    geometry = dde.geometry.Interval(0, 1)
    return Problem(
        geometry,
        lambda x, u, p: -p,
        lambda x, u: f(x),
        [dde.icbc.DirichletBC(geometry, lambda x: 0 * x, lambda x, on: on)],
        solution,
        hard=HardConstraint(lambda x: 0 * x, lambda x: x * (1 - x)),
        unknowns=[*f.unknowns],
    )


def field(draw: int) -> dict:
    """Find the source by elements, with and without a prior, and by a network."""
    f = Field("f", [KNOTS], start=0.0, scale=10.0)
    x = torch.linspace(0.02, 0.98, 49, dtype=torch.float64)[:, None]
    true, u = source(KNOTS), solution(x)
    sigma = 0.01 * u.abs().max().item()
    data, problem = noisy(x, u, sigma, draw), line(f)
    rho = (true.diff() / KNOTS.diff()).square().mean().sqrt().item()
    known = [data, Smoothness(f, rho)]

    def told(values: list[float], seconds: float) -> dict:
        off = torch.tensor(values, dtype=torch.float64) - true
        return {
            "off_percent": 100 * (off.norm() / true.norm()).item(),
            "seconds": seconds,
        }

    with_prior, without = (
        classical(problem, what, elements=20) for what in (known, data)
    )
    method = HardPINN(60, hidden=(20, 20), resample=None, weights=WEIGHTS)
    network = identify(problem, known, method, seeds=[draw], iterations=STEPS)
    return {
        "twin": told(list(with_prior.values.values()), with_prior.seconds),
        "twin without": told(list(without.values.values()), without.seconds),
        "network": told(network.values[0].tolist(), network.solutions[0].seconds),
    }
