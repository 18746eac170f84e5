"""A diffusivity from ten noisy values: a network and its classical twin, draw by draw.

    python -m tests.benchmarks.pinn.inverse

The problem is DeepXDE's example ``diffusion_1d_inverse``: ``u_t - C u_xx = s`` on
[-1, 1] x [0, 1] with ``u = sin(pi x) exp(-t)``, ``C = 1`` from a start of 2, and ten
values at the last time, here with noise of one per cent of the largest. Errors are told
in units of the Cramer-Rao deviation: an efficient estimate is off by about one. A row
that is already in ``results/pinn_inverse.json`` is kept.
"""

import json
import math

import numpy as np
import torch

from pinn import HardConstraint, HardPINN, LevenbergMarquardt, Problem
from pinn._backend import dde
from pinn.inverse import Data, Unknown, classical, identify
from tests.benchmarks import record

RESULTS = record.RESULTS / "pinn_inverse.json"
DRAWS, SIGMA, STEPS = range(5), 0.01, 40
WEIGHTS = [1.0, 1.0]  # of the equation and of the data


def exact(x: torch.Tensor) -> torch.Tensor:
    """Return ``sin(pi x) exp(-t)``."""
    return torch.sin(math.pi * x[:, :1]) * torch.exp(-x[:, 1:])


def problem(C: Unknown) -> Problem:
    """State the equation, its conditions and their constraint."""
    geometry = dde.geometry.GeometryXTime(
        dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1)
    )

    def start(x: np.ndarray) -> np.ndarray:
        return np.sin(np.pi * x[:, :1])

    walls = dde.icbc.DirichletBC(geometry, lambda x: 0 * x[:, :1], lambda x, on: on)
    return Problem(
        geometry,
        lambda x, u, p: torch.stack([-C() * p[..., 0], u], dim=-1),
        lambda x, u: (math.pi**2 - 1) * exact(x),
        [walls, dde.icbc.IC(geometry, start, lambda x, on: on)],
        exact,
        hard=HardConstraint(
            lambda x: torch.sin(math.pi * x[:, :1]),
            lambda x: (1 - x[:, :1] ** 2) * x[:, 1:],
        ),
        unknowns=[C],
    )


def by_levenberg(net: torch.nn.Module, data: object) -> LevenbergMarquardt:
    """Train by Levenberg-Marquardt with the method's weights."""
    return LevenbergMarquardt(
        net.parameters(), lambda: data.residual_vector(net, WEIGHTS)
    )


def measure(draw: int) -> dict:
    """Fit one draw of noise by both."""
    generator = torch.Generator().manual_seed(draw)
    x = torch.stack([torch.linspace(-0.9, 0.9, 10), torch.ones(10)], 1).double()
    noise = torch.randn(10, 1, generator=generator, dtype=torch.float64)
    data = Data(x, exact(x) + SIGMA * noise, SIGMA)
    C = Unknown("C", 2.0, positive=True)
    twin = classical(problem(C), data, elements=[12, 6])
    method = HardPINN(400, hidden=(16, 16), resample=None, weights=WEIGHTS)
    found = identify(
        problem(C), data, method, seeds=[draw], optimizer=by_levenberg, iterations=STEPS
    )
    deviation = twin.information.deviations.item()
    return {
        "deviation": deviation,
        "network": found.median["C"],
        "network_off": abs(found.median["C"] - 1) / deviation,
        "network_seconds": found.solutions[0].seconds,
        "twin": twin.values["C"],
        "twin_off": abs(twin.values["C"] - 1) / deviation,
        "twin_seconds": twin.seconds,
        "apart": abs(found.median["C"] - twin.values["C"]) / deviation,
    }


def main() -> None:
    """Measure the draws that are missing, and store each at once."""
    torch.set_num_threads(1)
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else {}
    for draw in DRAWS:
        if str(draw) not in rows:
            rows[str(draw)] = measure(draw)
            print(draw, json.dumps(rows[str(draw)]), flush=True)
            machine = record.machine(("torch", "deepxde", "scikit-fem"))
            record.write("pinn_inverse", {"machine": machine, "rows": rows})


if __name__ == "__main__":
    main()
