"""Numbers of an equation from noisy values: networks and their classical twins.

    python -m tests.benchmarks.pinn.inverse [--only rows burgers modes leak field]

The first problem is DeepXDE's example ``diffusion_1d_inverse``: ``u_t - C u_xx = s`` on
[-1, 1] x [0, 1] with ``u = sin(pi x) exp(-t)``, ``C = 1`` from a start of 2, and ten
values at the last time, here with noise of one per cent of the largest. Errors are told
in units of the Cramer-Rao deviation: an efficient estimate is off by about one. The
others are in ``inverse_cases.py`` and ``inverse_field.py``. A row that is already in
``results/pinn_inverse.json`` is kept.
"""

import math
from functools import partial

import numpy as np
import torch

from pinn import HardConstraint, HardPINN, LevenbergMarquardt, Problem
from pinn._backend import dde
from pinn.inverse import Data, Unknown, classical, identify
from tests.benchmarks import record
from tests.benchmarks.pinn.inverse_cases import burgers, leak, two
from tests.benchmarks.pinn.inverse_field import field

LEVELS = {"0.1 %": (0.001, 3), "1 %": (0.01, 5), "10 %": (0.1, 5)}  # noise, draws
CONTROL = 1e-6  # weight of the equation in the negative control, of one per cent
STARTS = {
    "k 0.3, c 1": (0.3, 1.0),
    "k 0.3, c 0.1": (0.3, 0.1),
    "k 0.2, c 0.01": (0.2, 0.01),
}
PUBLISHED = {  # per cent off, one run each, by values measured and level of the noise
    "source": "Raissi, Perdikaris, Karniadakis 2019, section 4.1",
    "levels_percent": [0, 1, 5, 10],
    "speed": {
        "500": [0.131, 0.518, 0.118, 1.319],
        "1000": [0.186, 0.533, 0.157, 1.869],
        "1500": [0.432, 0.033, 0.706, 0.725],
        "2000": [0.096, 0.039, 0.190, 0.101],
    },
    "viscosity": {
        "500": [13.885, 0.483, 1.708, 4.058],
        "1000": [3.719, 8.262, 3.481, 14.544],
        "1500": [3.093, 1.423, 0.502, 3.156],
        "2000": [0.469, 0.008, 6.216, 6.391],
    },
    "same_set_up_twice": {"speed": [0.096, 0.266], "viscosity": [0.469, 1.552]},
}
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


def plan() -> dict[str, dict[str, partial]]:
    """List what is measured: part, row, call."""
    waves = {
        f"{level}, draw {draw}": partial(burgers, size, draw)
        for level, (size, draws) in LEVELS.items()
        for draw in range(draws)
    }
    waves |= {
        f"control, draw {d}": partial(burgers, 0.01, d, CONTROL) for d in range(3)
    }
    waves |= {  # is it the mesh, or the training?
        f"finer, draw {d}": partial(burgers, 0.001, d, 1.0, 300, (40, 24))
        for d in range(3)
    }
    return {
        "rows": {str(draw): partial(measure, draw) for draw in DRAWS},
        "burgers": waves,
        "modes": {
            f"{shapes}, {name}, draw {draw}": partial(two, second, start, draw)
            for shapes, second in (("one shape", 0.0), ("two shapes", 1.0))
            for name, start in STARTS.items()
            for draw in range(3)
        },
        "leak": {f"draw {draw}": partial(leak, draw) for draw in range(8)},
        "field": {f"draw {draw}": partial(field, draw) for draw in range(3)},
    }


def main() -> None:
    """Measure the rows that are missing, and store each at once."""
    for found in record.measured("pinn_inverse", plan(), __doc__ or ""):
        machine = record.machine(("torch", "deepxde", "scikit-fem"))
        record.write(
            "pinn_inverse", found | {"machine": machine, "published": PUBLISHED}
        )


if __name__ == "__main__":
    main()
