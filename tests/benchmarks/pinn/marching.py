"""Long times by slabs, each started from the end of the last: ``pinn.march``.

    python -m tests.benchmarks.pinn.marching [--only oscillator_30 wave ...]

The oscillator is DeepXDE's example ``ode_system`` with a later end, the wave its
example ``wave_1d`` in units of time in which the wave's speed is one, as two equations
of first order: ten periods of the faster of two standing waves. Beside every march one
network on all of the time in the same CPU seconds, and what needs no network. A row
that is in ``results/pinn_march.json`` is kept.
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from scipy.integrate import solve_ivp

from pinn import FEM, Problem, Vanilla, first_order, march, solve
from pinn._backend import dde
from pinn.metrics import test_points
from tests.benchmarks import record

pi, sin, cos = torch.pi, torch.sin, torch.cos
Row = dict[str, object]
PERIODS = 10  # of the faster wave, whose period is one
SMALL = Vanilla(100, hidden=(20, 20))
WAVY = Vanilla(300, 60, hidden=(30,), weights=[1, 1e-2, 1, 1e-2, 1, 1e-2])


def oscillator(end: float) -> Problem:
    """State ``u' = v, v' = -u`` until an end."""
    line = dde.geometry.TimeDomain(0, end)

    def begin(x: np.ndarray, on: bool) -> bool:
        return on

    return Problem(
        line,
        lambda x, u, p: u[..., None],
        lambda x, u: torch.cat([u[:, 1:], -u[:, :1]], dim=1),
        [
            dde.icbc.IC(line, lambda x: 0 * x, begin, component=0),
            dde.icbc.IC(line, lambda x: 1 + 0 * x, begin, component=1),
        ],
        lambda x: torch.cat([sin(x), cos(x)], dim=1),
        components=2,
    )


def wave() -> Problem:
    """State ``u_tt = u_xx``: two standing waves at once."""
    line = dde.geometry.Interval(0, 1)
    strip = dde.geometry.GeometryXTime(line, dde.geometry.TimeDomain(0, PERIODS))

    def exact(x: torch.Tensor) -> torch.Tensor:
        z, t = pi * x[:, :1], pi * x[:, 1:]
        return sin(z) * cos(t) + sin(2 * z) * cos(2 * t)

    def slope(x: torch.Tensor, y: torch.Tensor, _: np.ndarray) -> torch.Tensor:
        return dde.grad.jacobian(y, x, i=0, j=1)

    conditions = [
        dde.icbc.DirichletBC(strip, lambda x: 0 * x[:, :1], lambda x, on: on),
        dde.icbc.IC(
            strip, lambda x: exact(torch.as_tensor(x)).numpy(), lambda x, on: on
        ),
        dde.icbc.OperatorBC(strip, slope, lambda x, _: np.isclose(x[1], 0)),
    ]
    return Problem(
        strip,
        lambda x, u, p: torch.stack([-p[..., 0], p[..., 1]], dim=-1),
        None,
        conditions,
        exact,
    )


def marched(
    problem: Problem, method: Vanilla, slabs: int, seconds: float, seed: int
) -> Row:
    """March."""
    found = march(problem, method, slabs, seconds=seconds, seed=seed)
    return {
        "slabs": slabs,
        "error": found.error(),
        "cpu_seconds": round(found.seconds, 1),
        "errors_so_far": found.history.error.tolist(),
    }


def alone(problem: Problem, method: Vanilla, seconds: float) -> Row:
    """Train one network on all of the time."""
    found = solve(problem, method, seconds=seconds)
    loss = found.history.loss[-1].item()
    seconds = round(found.seconds, 1)
    return {"error": found.error(), "loss": loss, "cpu_seconds": seconds}


def runge_kutta(end: float) -> Row:
    """Let SciPy's Runge-Kutta method of eighth order do the same."""
    problem = oscillator(end)
    x = test_points(problem)
    start = time.process_time()
    found = solve_ivp(
        lambda t, u: [u[1], -u[0]],
        (0, end),
        [0, 1],
        "DOP853",
        x[:, 0].numpy(),
        rtol=1e-10,
        atol=1e-12,
    )
    seconds = time.process_time() - start
    exact = problem.exact(x)
    error = (torch.as_tensor(found.y.T) - exact).norm() / exact.norm()
    return {"error": error.item(), "cpu_seconds": seconds}


def elements() -> Row:
    """Let finite elements in space and time do the same."""
    found = solve(wave_of_first_order(), FEM([16, 32 * PERIODS]))
    return {"error": found.error(), "cpu_seconds": round(found.seconds, 1)}


def wave_of_first_order() -> Problem:
    """State the wave with its speed as a component of its own."""
    return first_order(wave())


def runs_of(
    state: Callable[[], Problem],
    method: Vanilla,
    slabs: int,
    seconds: float,
    seeds: int,
    without: Callable[[], Row],
) -> dict[str, Callable[[], Row]]:
    """Name the runs of a march, seed by seed, and what stands beside them."""

    def run(seed: int) -> Row:
        return marched(state(), method, slabs, seconds, seed)

    return {
        **{str(seed): partial(run, seed) for seed in range(seeds)},
        "one": lambda: alone(state(), method, seconds),
        "without": without,
    }


PLAN = {
    f"oscillator_{end}": runs_of(
        partial(oscillator, end), SMALL, *numbers, partial(runge_kutta, end)
    )
    for end, *numbers in ((30, 10, 40, 3), (100, 32, 100, 1))
} | {"wave": runs_of(wave_of_first_order, WAVY, 20, 100, 1, elements)}


def main() -> None:
    """Measure the rows that are missing."""
    for found in record.measured("pinn_march", PLAN, __doc__):
        machine = record.machine(("torch", "deepxde", "scikit-fem", "scipy"))
        record.write("pinn_march", {"machine": machine} | found)


if __name__ == "__main__":
    main()
