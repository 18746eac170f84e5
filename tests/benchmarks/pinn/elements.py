"""Networks and finite elements where one of them ends: flow, dimension, meshes.

    python -m tests.benchmarks.pinn.elements [--only PART ...]

The driven cavity at Re = 100 by both, beside Ghia, Ghia and Shin's table. Poisson's
equation in five and ten dimensions by a network, for three solutions, and by all
polynomials of a total degree. The examples of ``examples.py`` by finite elements on
finer and finer meshes, up to what a network is given there: 20 seconds. A row that is
already in ``results/pinn_fem.json`` is kept.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from pinn import (
    FEM,
    GainRatio,
    LevenbergMarquardt,
    Triangulation,
    Vanilla,
    fem,
    relative_error,
    solve,
    test_points,
)
from tests.benchmarks import record
from tests.benchmarks.pinn import elements_cases as cases
from tests.benchmarks.pinn.examples import EXAMPLES, SECONDS, error

SEEDS = range(3)
FLOW = Vanilla(
    1500, 400, (20, 20, 20), resample=None, weights=[1.0, 1.0, 1.0, 10.0, 10.0, 1.0]
)
MESHES = (8, 16, 32)
BOX = Vanilla(1500, 500, (20, 20), resample=None, weights=[1.0, 100.0])
BOX_SECONDS = {5: 10.0, 10: 15.0}
DEGREES = {5: (2, 4, 6, 8), 10: (1, 2, 3, 4)}
FACTORS = (0.125, 0.25, 0.5, *(2**k for k in range(10)))


def levenberg(method: Vanilla) -> Callable[..., LevenbergMarquardt]:
    """Train by Levenberg and Marquardt's steps, ahead of SSBroyden in trials."""

    def make(net: torch.nn.Module, data: Any) -> LevenbergMarquardt:
        return LevenbergMarquardt(
            net.parameters(),
            lambda: data.residual_vector(net, method.weights),
            geodesic=True,
            control=GainRatio(),
        )

    return make


def off(found: torch.Tensor) -> dict[str, float]:
    """Compare u at Ghia's heights with the table."""
    gap = found - torch.tensor(cases.GHIA, dtype=torch.float64)
    return {
        "ghia_rms": gap.square().mean().sqrt().item(),
        "ghia_largest": gap.abs().max().item(),
    }


def cavity_elements(count: int) -> dict:
    """Solve the cavity by Taylor and Hood's elements."""
    found = cases.by_elements(cases.cavity(), count)
    line = cases.profile(found.predict)
    return {
        "unknowns": found.unknowns,
        "newton": len(found.newton),
        "seconds": round(found.seconds, 2),
        "profile": [round(value, 5) for value in line.tolist()],
    } | off(line)


def cavity_network(seed: int) -> dict:
    """Solve the cavity by a network, and compare it with the finest elements."""
    problem = cases.cavity()
    fine = cases.by_elements(problem, MESHES[-1]).predict
    found = solve(problem, FLOW, optimizer=levenberg(FLOW), seconds=SECONDS, seed=seed)
    x = test_points(problem, 2500)
    line = cases.profile(found.predict)
    speeds = (found.predict(x) - fine(x))[:, :2]
    return {
        "numbers": found.parameters,
        "seconds": round(found.seconds, 2),
        "loss": found.history.loss[-1].item(),
        "velocity_error": (speeds.norm() / fine(x)[:, :2].norm()).item(),
        "profile": [round(value, 5) for value in line.tolist()],
    } | off(line)


def network(dim: int, kind: str, seed: int) -> dict:
    """Solve Poisson's equation on a cube by a network."""
    problem = cases.poisson(dim, kind)
    seconds = BOX_SECONDS[dim]
    found = solve(problem, BOX, optimizer=levenberg(BOX), seconds=seconds, seed=seed)
    return {
        "numbers": found.parameters,
        "error": relative_error(problem, found.net, test_points(problem, 20_000)),
        "seconds": round(found.seconds, 2),
        "curve_seconds": [round(s, 2) for s in found.history.seconds.tolist()],
        "curve_error": found.history.error.tolist(),
    }


def meshes(name: str) -> list[dict]:
    """Solve an example on finer and finer meshes, in a network's seconds all together.

    The next one is taken if it is likely to end in time.
    """
    example = EXAMPLES[name]()
    problem, rows, used = example.weak(), [], 0.0
    for factor in FACTORS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                mesh = FEM(finer(example.elements, factor)).mesh(problem)
                found = fem(problem, mesh)
        except ValueError:  # too coarse for Newton's method
            continue
        used += found.seconds
        if used > SECONDS:
            break
        rows.append(
            {
                "factor": factor,
                "unknowns": found.unknowns,
                "seconds": round(found.seconds, 3),
                "error": error(example, found.predict, problem),
            }
        )
        if used + (2 if problem.dim == 1 else 5) * found.seconds > SECONDS:
            break
    return rows


def finer(elements: Any, factor: float) -> Any:
    """Multiply the number of elements per axis."""
    if isinstance(elements, Triangulation):
        return Triangulation.from_geometry(elements.geometry, 0.03 / factor)
    if isinstance(elements, int):
        return max(2, round(elements * factor))
    return [axis_of(axis, factor) for axis in elements]


def axis_of(axis: int | Sequence[float], factor: float) -> int | list[float]:
    """Cut an axis more finely, or less, where it has edges in the same proportion."""
    if isinstance(axis, int):
        return max(2, round(axis * factor))
    count = round((len(axis) - 1) * factor)
    places = np.linspace(0, len(axis) - 1, count + 1)
    return np.interp(places, np.arange(len(axis)), axis).tolist()


def plan() -> dict[str, dict[str, partial]]:
    """List what is measured: part, row, call."""
    kinds = ("sum", "hill", "product")
    return {
        "cavity": {
            **{f"elements {n}": partial(cavity_elements, n) for n in MESHES},
            **{f"network, seed {s}": partial(cavity_network, s) for s in SEEDS},
        },
        "dimension": {
            f"{dim}, {kind}, seed {s}": partial(network, dim, kind, s)
            for s in SEEDS
            for dim in DEGREES
            for kind in kinds
            if (dim, kind) != (10, "product")
        },
        "polynomials": {
            f"{dim}, {kind}, degree {degree}": partial(
                cases.polynomials, cases.poisson(dim, kind), degree
            )
            for dim, degrees in DEGREES.items()
            for kind in kinds
            for degree in degrees
        },
        "meshes": {name: partial(meshes, name) for name in EXAMPLES},
    }


def main() -> None:
    """Measure the rows that are missing, and store each at once."""
    for found in record.measured("pinn_fem", plan(), __doc__ or ""):
        machine = record.machine(("torch", "deepxde", "scikit-fem"))
        table = {"heights": cases.HEIGHTS, "u": cases.GHIA}
        record.write("pinn_fem", found | {"machine": machine, "ghia": table})


if __name__ == "__main__":
    main()
