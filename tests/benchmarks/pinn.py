"""Errors reached and steps timed: physics-informed networks, one core.

    python tests/benchmarks/pinn.py [--list] [--only NAME ...]

Errors are relative L2 on an even grid, against the reference of the zoo; seconds are
CPU seconds of training with one thread, looking at the error left out. Speeds are
ratios of two ways to compute the same numbers, taken in turns in this run. A row that
is already in ``results/pinn.json`` is kept: delete it to measure again. Every row is
written as soon as it is measured.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import record
import torch

from pinn import (
    CPINN,
    FEM,
    HPVPINN,
    HardPINN,
    JetFNN,
    Mesh,
    Partition,
    Strong,
    SubdomainFNN,
    Vanilla,
    Wanted,
    WeakForm,
    jet_of,
    solve,
    zoo,
)
from pinn._backend import dde

Row = dict[str, object]
Model, data, nn = dde.Model, dde.data, dde.nn


def in_turns(
    ways: dict[str, Callable[[], object]], rounds: int = 7
) -> dict[str, float]:
    """Median CPU milliseconds of each way, taken in turns."""
    for way in ways.values():
        way()
    times = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.process_time()
            way()
            times[name].append(1e3 * (time.process_time() - start))
    return {name: statistics.median(found) for name, found in times.items()}


def accuracy(problem: object, method: object, seconds: float, seeds: range) -> Row:
    """Errors of several runs of the same length."""
    runs = [solve(problem, method, seconds=seconds, seed=seed) for seed in seeds]
    errors = [run.error() for run in runs]
    return {
        "seeds": list(seeds),
        "errors": errors,
        "median": statistics.median(errors),
        "worst": max(errors),
        "cpu_seconds": [run.seconds for run in runs],
        "parameters": runs[0].parameters,
        "curve_seconds": runs[0].history.seconds.tolist(),
        "curve_error": runs[0].history.error.tolist(),
    }


def fem_steep_2d() -> Row:
    """The yardstick of the steep two-dimensional problem."""
    found = solve(zoo.poisson_2d_steep(), FEM(64))
    return {
        "error": found.error(),
        "cpu_seconds": found.seconds,
        "parameters": found.parameters,
    }


def assembly() -> Row:
    """Weak residual at 256 elements: sum factorisation against loops over elements."""
    problem = zoo.poisson_2d_steep()
    net = JetFNN([2, 20, 20, 1], generator=torch.Generator().manual_seed(0))
    whole = WeakForm(problem, Mesh(problem.geometry, 16), points=10)
    mesh = whole.mesh
    parts = []
    for low, high in zip(mesh.lower, mesh.upper, strict=True):
        edges = [[a.item(), b.item()] for a, b in zip(low, high, strict=True)]
        parts.append(WeakForm(problem, Mesh(problem.geometry, edges), points=10))

    def batched() -> torch.Tensor:
        return whole.residual(jet_of(net, whole.x, whole.wanted))

    def looped() -> torch.Tensor:
        return torch.cat([p.residual(jet_of(net, p.x, p.wanted)) for p in parts])

    assert torch.allclose(batched(), looped(), atol=1e-12)
    times = in_turns({"batched_ms": batched, "looped_ms": looped})
    return times | {"gain": times["looped_ms"] / times["batched_ms"]}


def subdomains() -> Row:
    """Jets of 64 subdomain networks: one batched product against a loop."""
    line = zoo.burgers().geometry
    cuts = [-1 + 2 * k / 64 for k in range(1, 64)]
    partition = Partition(line, [cuts])
    generator = torch.Generator().manual_seed(0)
    net = SubdomainFNN(partition, [2, 20, 20, 1], generator=generator)
    x = torch.rand(6400, 2, generator=generator, dtype=torch.float64)
    x[:, 0] = 2 * x[:, 0] - 1
    index = partition.locate(x)
    wanted = Wanted((0, 1), ((0, 0),))
    alone = []
    for q in range(64):
        one = JetFNN([2, 20, 20, 1])
        weights = zip(
            one.linears, net.groups[0].weights, net.groups[0].biases, strict=True
        )
        for linear, W, b in weights:
            linear.weight.data, linear.bias.data = W[q].T.clone(), b[q].clone()
        alone.append((one, (index == q).nonzero().flatten()))
    low, high = partition.lower[index], partition.upper[index]
    scaled = 2 * (x - low) / (high - low) - 1

    def batched() -> None:
        net.traces(x, index, wanted).H[..., 0, 0].square().sum().backward()

    def looped() -> None:
        total = 0
        for one, rows in alone:
            total = total + one.jet(scaled[rows], wanted).H[..., 0, 0].square().sum()
        total.backward()

    times = in_turns({"batched_ms": batched, "looped_ms": looped})
    return times | {"gain": times["looped_ms"] / times["batched_ms"]}


def burgers_pde(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """DeepXDE's example Burgers.py."""
    dy_x = dde.grad.jacobian(y, x, i=0, j=0)
    dy_t = dde.grad.jacobian(y, x, i=0, j=1)
    dy_xx = dde.grad.hessian(y, x, i=0, j=0)
    return dy_t + y * dy_x - 0.01 / torch.pi * dy_xx


def deepxde_step(compiled: bool) -> Callable[[], Row]:
    """Make the row: one step of Adam, 8 x 20, 10 000 points, ours against DeepXDE's."""

    def row() -> Row:
        problem = zoo.burgers()
        sizes = [2, *[20] * 8, 1]
        ours = Model(Strong(problem, 10_000, 80, 160), JetFNN(sizes, compiled=compiled))
        theirs = data.TimePDE(
            problem.geometry, burgers_pde, problem.conditions, 10_000, 80, 160
        )
        theirs = Model(theirs, nn.FNN(sizes, "tanh", "Glorot normal"))
        for model in (ours, theirs):
            model.compile("adam", lr=1e-3, verbose=0)
            model.train(iterations=1, verbose=0, display_every=10**6)

        def step(model: Model) -> Callable[[], None]:
            state = model.train_state
            return lambda: model._train_step(
                state.X_train, state.y_train, state.train_aux_vars
            )

        times = in_turns({"ours_ms": step(ours), "deepxde_ms": step(theirs)}, rounds=9)
        return times | {"gain": times["deepxde_ms"] / times["ours_ms"]}

    return row


STEEP = [[-1, -0.1, 0.1, 1]]
ROWS: dict[str, Callable[[], Row]] = {
    "fem_steep_2d": fem_steep_2d,
    "assembly_256_elements": assembly,
    "subdomains_64": subdomains,
    "deepxde_step_8x20": deepxde_step(compiled=False),
    "deepxde_step_8x20_compiled": deepxde_step(compiled=True),
    "hp_vpinn_steep_1d_60s": lambda: accuracy(
        zoo.poisson_1d_steep(), HPVPINN(STEEP, degree=60, points=80), 60, range(3)
    ),
    "hp_vpinn_steep_2d_300s": lambda: accuracy(
        zoo.poisson_2d_steep(),
        HPVPINN([4, 4], degree=8, points=14, hidden=(20, 20, 20), hard=True),
        300,
        range(1),
    ),
    "burgers_150s": lambda: accuracy(zoo.burgers(), HardPINN(), 150, range(5)),
    "burgers_900s": lambda: accuracy(
        zoo.burgers(), HardPINN(8000, hidden=(20, 20, 20, 20)), 900, range(5)
    ),
    "cpinn_burgers_300s": lambda: accuracy(
        zoo.burgers(), CPINN([[-0.6, 0.2, 0.5]]), 300, range(1)
    ),
    "buckley_leverett_strong_120s": lambda: accuracy(
        zoo.buckley_leverett(), Vanilla(), 120, range(3)
    ),
    "buckley_leverett_weak_120s": lambda: accuracy(
        zoo.buckley_leverett(),
        HPVPINN([16, 8], degree=3, points=8, hidden=(20, 20, 20), hats=True),
        120,
        range(3),
    ),
}


def main() -> None:
    """Measure the rows that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="name the rows and stop")
    parser.add_argument("--only", nargs="+", choices=ROWS, help="these rows only")
    chosen = parser.parse_args()
    if chosen.list:
        print("\n".join(ROWS))
        return
    torch.set_num_threads(1)
    path = record.RESULTS / "pinn.json"
    found = json.loads(path.read_text()) if path.exists() else {"rows": {}}
    found["machine"] = record.machine(("torch", "deepxde", "scikit-fem"))
    for name in chosen.only or ROWS:
        if name in found["rows"]:
            continue
        found["rows"][name] = row = ROWS[name]()
        record.write("pinn", found)
        shown = {k: v for k, v in row.items() if not k.startswith("curve")}
        print(name, json.dumps(shown), flush=True)


if __name__ == "__main__":
    main()
