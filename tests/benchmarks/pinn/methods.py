"""Errors reached and steps timed: physics-informed networks, one core.

    python -m tests.benchmarks.pinn.methods [--list] [--only NAME ...]
                                            [--fastvpinns PYTHON]

Errors are relative L2 on an even grid, against the reference of the zoo; seconds are
CPU seconds of training with one thread, looking at the error left out. Speeds are
ratios of two ways to compute the same numbers, taken in turns in this run. A row that
is already in ``results/pinn.json`` is kept: delete it to measure again. Every row is
written as soon as it is measured. FastVPINNs needs TensorFlow and a Python of its own.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace

import torch

from pinn import (
    FEM,
    HPVPINN,
    Conservative,
    GainRatio,
    HardPINN,
    JetFNN,
    Mesh,
    Partition,
    Problem,
    Strong,
    SubdomainFNN,
    TargetRatio,
    Vanilla,
    Wanted,
    WeakForm,
    jet_of,
    solve,
    zoo,
)
from pinn._backend import dde
from pinn.optimizers.jacobian import jacobian
from tests.benchmarks import record
from tests.benchmarks.pinn.fastvpinns import FAST, fastvpinns_steps, own_test, waves
from tests.benchmarks.pinn.runs import (
    POINTS,
    WEAK,
    ByLevenberg,
    PeriodicPINN,
    Row,
    Seeds,
    WrongFlux,
    accuracy,
    burgers,
    by_broyden,
    by_gauss_newton,
    cpinn,
    damped,
    fronts,
    in_turns,
    record_of,
)

Model, data, nn = dde.Model, dde.data, dde.nn


def jacobians(problem: Problem, method: HPVPINN | HardPINN) -> Row:
    """Jacobian of the residuals: point by point, and row by row through autograd."""
    data, generator = method.data(problem), torch.Generator().manual_seed(0)
    net = method.net(problem, generator)
    params = list(net.parameters())

    def rows() -> torch.Tensor:
        r = data.residual_vector(net)
        units = torch.eye(len(r), dtype=r.dtype).split(64)
        options = {"is_grads_batched": True, "retain_graph": True}
        found = [torch.autograd.grad(r, params, u, **options) for u in units]
        parts = [torch.cat([s.flatten(1) for s in slopes], 1) for slopes in found]
        return torch.cat(parts)

    def points() -> torch.Tensor:
        return jacobian(lambda: data.residual_vector(net), params, 10**9)[1]

    assert torch.allclose(points(), rows(), atol=1e-10)
    times = in_turns({"points_ms": points, "rows_ms": rows}, rounds=3)
    return times | {"gain": times["rows_ms"] / times["points_ms"]}


def fem_steep_2d() -> Row:
    """The yardstick of the steep two-dimensional problem."""
    found = record_of(solve(zoo.poisson_2d_steep(), FEM(64)))
    return {k: v for k, v in found.items() if not k.startswith("curve")}


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


def subdomains(hidden: tuple[int, ...], points: int, compiled: bool = False) -> Row:
    """Jets of 64 subdomain networks: one batched product against a plain loop."""
    sizes = [2, *hidden, 1]
    cuts = [-1 + 2 * k / 64 for k in range(1, 64)]
    partition = Partition(zoo.burgers().geometry, [cuts])
    generator = torch.Generator().manual_seed(0)
    net = SubdomainFNN(partition, sizes, compiled=compiled, generator=generator)
    x = torch.rand(64 * points, 2, generator=generator, dtype=torch.float64)
    x[:, 0] = 2 * x[:, 0] - 1
    index = partition.locate(x)
    wanted = Wanted((0, 1), ((0, 0),))
    alone = []
    for q in range(64):
        one = JetFNN(sizes)
        weights = zip(
            one.linears, net.groups[0].weights, net.groups[0].biases, strict=True
        )
        for linear, W, b in weights:
            linear.weight.data, linear.bias.data = W[q].T.clone(), b[q].clone()
        alone.append((one, (index == q).nonzero().flatten()))
    low, high = partition.lower[index], partition.upper[index]
    scaled = 2 * (x - low) / (high - low) - 1
    scaled = [(one, scaled[rows]) for one, rows in alone]

    def batched() -> None:
        net.traces(x, index, wanted).H[..., 0, 0].square().sum().backward()

    def looped() -> None:
        jets = [one.jet(own, wanted).H[..., 0, 0] for one, own in scaled]
        torch.cat(jets).square().sum().backward()

    times = in_turns({"batched_ms": batched, "looped_ms": looped})
    times |= {"hidden": list(hidden), "points_per_subdomain": points}
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
# Weights of a mean over the tests: with them the weak rows below were measured.
HATS = ByLevenberg(STEEP, degree=60, points=80, hats=True, weights=[1 / 186, 1])
BUBBLES = replace(HATS, hats=False, weights=[1 / 180, 1])
GRADED = ByLevenberg(
    [[-1, -0.3, 0, 0.3, 1], 4],
    degree=5,
    points=10,
    hidden=(20,) * 3,
    hats=True,
    hard=True,
    weights=[1 / 784],
)
SHORT = HardPINN(4000, hidden=(20,) * 4, resample=25)
BESIDE: dict[str, Callable[[str], Row]] = {  # with a Python that has FastVPINNs
    "fastvpinns_steps": fastvpinns_steps,
    "fastvpinns_poisson": own_test("Poisson"),
    "fastvpinns_cd2d": own_test("CD2D"),
    "fastvpinns_helmholtz": own_test("Helmholtz"),
}
ROWS: dict[str, Callable[..., Row] | Seeds] = {
    "fem_steep_2d": fem_steep_2d,
    "assembly_256_elements": assembly,
    "subdomains_64": lambda: subdomains((20, 20), 100),
    "subdomains_64_compiled": lambda: subdomains((20, 20), 100, compiled=True),
    "subdomains_64_of_cpinn": lambda: subdomains((12, 12, 12), 31),
    "deepxde_step_8x20": deepxde_step(compiled=False),
    "deepxde_step_8x20_compiled": deepxde_step(compiled=True),
    "jacobian_steep_1d": lambda: jacobians(zoo.poisson_1d_steep(), BUBBLES),
    "jacobian_steep_2d": lambda: jacobians(
        zoo.poisson_2d_steep(),
        HPVPINN(4, degree=5, points=10, hidden=(20, 20), hats=False, hard=True),
    ),
    "jacobian_burgers": lambda: jacobians(
        zoo.burgers(), HardPINN(800, hidden=(20,) * 4)
    ),
    "hp_vpinn_steep_1d_30s": accuracy(zoo.poisson_1d_steep(), HATS, 30, range(3)),
    "hp_vpinn_steep_1d_default_30s": accuracy(
        zoo.poisson_1d_steep(),
        HPVPINN(STEEP, degree=60, points=80),
        30,
        range(3),
    ),
    **BESIDE,
    "fastvpinns_features_2s": accuracy(waves(), FAST, 2, range(3)),
    "buckley_leverett_strong_40s": accuracy(
        zoo.buckley_leverett(), Vanilla(), 40, range(3)
    ),
    "buckley_leverett_weak_40s": accuracy(
        damped(zoo.buckley_leverett()), WEAK, 40, range(3), optimizer=by_broyden
    ),
    "allen_cahn_soft_40s": accuracy(zoo.allen_cahn(), Vanilla(4000), 40, range(3)),
    "allen_cahn_periodic_40s": accuracy(fronts(), PeriodicPINN(4000), 40, range(3)),
    "cpinn_burgers_600s": Seeds(cpinn(Conservative), range(1)),
    "hp_vpinn_steep_2d_100s": accuracy(
        zoo.poisson_2d_steep(),
        GRADED,
        100,
        range(3),
    ),
    "cpinn_burgers_wrong_flux_600s": Seeds(cpinn(WrongFlux), range(1)),
    "hp_vpinn_steep_1d_bubbles_30s": accuracy(
        zoo.poisson_1d_steep(), BUBBLES, 30, range(3)
    ),
    "hp_vpinn_steep_1d_adam_30s": accuracy(
        zoo.poisson_1d_steep(),
        HATS,
        30,
        range(1),
        optimizer=lambda net, data: torch.optim.Adam(net.parameters(), 1e-3),
    ),
    "burgers_900s": Seeds(burgers, range(5)),
    "burgers_100s_broyden": accuracy(
        zoo.burgers(),
        replace(SHORT, num_domain=POINTS, resample=10),
        100,
        range(1),
        optimizer=by_broyden,
    ),
    "burgers_100s_gain": accuracy(
        zoo.burgers(), SHORT, 100, range(1), optimizer=by_gauss_newton(GainRatio())
    ),
    "burgers_100s_target": accuracy(
        zoo.burgers(), SHORT, 100, range(1), optimizer=by_gauss_newton(TargetRatio())
    ),
}


def main() -> None:
    """Measure the rows that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="name the rows and stop")
    parser.add_argument("--only", nargs="+", choices=ROWS, help="these rows only")
    parser.add_argument("--fastvpinns", help="a Python that has it")
    chosen = parser.parse_args()
    if chosen.list:
        print("\n".join(ROWS))
        return
    torch.set_num_threads(1)
    for name in chosen.only or ROWS:
        make = ROWS[name]
        if isinstance(make, Seeds):
            for seed in make.missing(read()["rows"].get(name, {})):
                store(name, make.add(read()["rows"].get(name, {}), seed))
        elif name in read()["rows"]:
            continue
        elif name not in BESIDE:
            store(name, make())
        elif chosen.fastvpinns:
            store(name, make(chosen.fastvpinns))


def read() -> Row:
    """Return what has been measured so far."""
    path = record.RESULTS / "pinn.json"
    return json.loads(path.read_text()) if path.exists() else {"rows": {}}


def store(name: str, row: Row) -> None:
    """Write a row beside what other processes have written in the meantime."""
    found = read()
    machine = record.machine(("torch", "deepxde", "scikit-fem"))
    found.setdefault("machine", machine)  # of the rows that do not name their own
    found["rows"][name] = row | {"machine": machine}
    record.write("pinn", found)
    shown = {k: v for k, v in row.items() if k != "runs" and not k.startswith("curve")}
    print(name, json.dumps(shown), flush=True)


if __name__ == "__main__":
    main()
