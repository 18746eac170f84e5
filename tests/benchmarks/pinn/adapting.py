"""Thin layers: meshes that find them, and networks on such meshes.

    python -m tests.benchmarks.pinn.adapting [--only elements networks]

``-w u'' + u' = 1`` on [0, 1], zero at both ends: a layer of width ``w`` at the right.
:func:`pinn.adapt` begins with four equal elements; beside it as many of one size. The
hp-VPINN gets the mesh that was found for ``w = 0.001``, or as many elements of one
size; the strong form draws its points anew where its residual is large. A row that is
in ``results/pinn_adapt.json`` is kept.
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from pinn import (
    FEM,
    HPVPINN,
    Mesh,
    Problem,
    Vanilla,
    adapt,
    relative_error,
    solve,
)
from pinn._backend import dde
from tests.benchmarks import record
from tests.benchmarks.pinn.runs import ByLevenberg

Row = dict[str, object]
WIDTHS, WIDTH = (1e-2, 1e-3, 1e-4), 1e-3
SECONDS, SEEDS = 8.0, range(3)


def layer(width: float) -> Problem:
    """State it."""
    line = dde.geometry.Interval(0, 1)

    def exact(x: Tensor) -> Tensor:
        rise = torch.exp((x - 1) / width) - np.exp(-1 / width)
        return x - rise / (1 - np.exp(-1 / width))

    ends = dde.icbc.DirichletBC(line, lambda x: 0 * x, lambda x, on: on)
    return Problem(
        line,
        lambda x, u, p: u[..., None] - width * p,
        lambda x, u: 1 + 0 * x,
        [ends],
        exact,
    )


def elements(width: float) -> Row:
    """Adapt a mesh; solve on as many elements of one size."""
    problem = layer(width)
    start = time.process_time()
    found = adapt(problem, Mesh(problem.geometry, 4))
    seconds = time.process_time() - start
    count = len(found.mesh)
    return {
        "elements": count,
        "rounds": len(found.elements),
        "estimate": found.estimates[-1].item(),
        "error": relative_error(problem, found.solution.predict),
        "cpu_seconds": round(seconds, 2),
        "equal_error": solve(problem, FEM(count)).error(),
    }


def network(name: str, seed: int) -> Row:
    """Train a network."""
    problem = layer(WIDTH)
    mesh = adapt(problem, Mesh(problem.geometry, 4)).mesh
    methods = {
        "adapted": HPVPINN(mesh.elements, degree=3),
        "adapted, Levenberg-Marquardt": ByLevenberg(mesh.elements, degree=3),
        "equal": HPVPINN(len(mesh), degree=3),
        "strong": Vanilla(500),
    }
    found = solve(problem, methods[name], seconds=SECONDS, seed=seed)
    loss = found.history.loss[-1].item()
    seconds = round(found.seconds, 1)
    return {"error": found.error(), "loss": loss, "cpu_seconds": seconds}


NAMES = ("adapted", "adapted, Levenberg-Marquardt", "equal", "strong")
PLAN: dict[str, dict[str, Callable[[], Row]]] = {
    "elements": {f"{width:g}": partial(elements, width) for width in WIDTHS},
    "networks": {
        f"{name}: {seed}": partial(network, name, seed)
        for seed in SEEDS
        for name in NAMES
    },
}


def main() -> None:
    """Measure the rows that are missing."""
    for found in record.measured("pinn_adapt", PLAN, __doc__):
        machine = record.machine(("torch", "deepxde", "scikit-fem"))
        record.write("pinn_adapt", {"machine": machine} | found)


if __name__ == "__main__":
    main()
