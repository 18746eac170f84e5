"""Gradients of an equilibrium layer on images: seconds, and what they learn.

    python -m tests.benchmarks.unroll.equilibrium [--quick | --learning]

The digits of scikit-learn, 8 x 8. The state has 16 channels; the layer is a convolution
whose filters have an l1 norm of at most 0.95, so that it contracts in the maximum norm.
All solve by Anderson's method, from 0, to a relative residual of 1e-4, float32, one
thread. torchdeq 0.1.0 gets the same layer, solver, memory and tolerance. Seconds are of
the CPU, of one step of training, split at ``backward``; medians over all steps but the
first five, all sides in turns.

What they learn is told beside two controls, the phantom gradient of the layer times 0
and times -1. ``--learning`` makes what is missing of this part, and nothing else.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy

from tests.benchmarks import record
from unroll import SparseCoding, fista
from unroll.equilibrium import (
    IFT,
    Anderson,
    Equilibrium,
    JacobianFree,
    NeumannPhantom,
    Picard,
    Through,
    UnrolledPhantom,
)

SEEDS = (0, 1, 2)
BATCH, EPOCHS, TOL, MEMORY, MOST = 64, 6, 1e-4, 5, 60
WARM = 5
Row = dict[str, Any]


class Layer(nn.Module):
    """``tanh(W * z + U * x + c)`` with filters of l1 norm at most 0.95."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.randn(16, 16, 3, 3, generator=generator) / 12)
        self.U = nn.Parameter(torch.randn(16, 1, 3, 3, generator=generator) / 3)
        self.c = nn.Parameter(torch.zeros(16))

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        size = self.W.abs().sum(dim=(1, 2, 3), keepdim=True)
        W = self.W * (0.95 / size).clamp(max=1)
        return torch.tanh(
            conv2d(z, W, padding=1) + conv2d(x, self.U, self.c, padding=1)
        )


class Ours(nn.Module):
    """The layer at its fixed point, by a gradient of the library."""

    def __init__(self, layer: Layer, gradient: object) -> None:
        super().__init__()
        solver = Anderson(MEMORY, tol=TOL, iterations=MOST)
        self.fixed = Equilibrium(layer, solver, gradient)

    def forward(self, z0: Tensor, x: Tensor) -> Tensor:
        return self.fixed(z0, x)


class Theirs(nn.Module):
    """The same by torchdeq."""

    def __init__(self, layer: Layer, **options) -> None:
        super().__init__()
        from torchdeq import get_deq

        tolerance = {"f_tol": TOL, "b_tol": TOL, "f_stop_mode": "rel"}
        most = {"f_max_iter": MOST, "b_max_iter": MOST, "b_stop_mode": "rel"}
        solver = {"f_solver": "anderson", "b_solver": "anderson"}
        self.layer = layer
        self.deq = get_deq(**tolerance, **most, **solver, **options)

    def forward(self, z0: Tensor, x: Tensor) -> Tensor:
        memory = {"m": MEMORY}
        found, _ = self.deq(lambda z: self.layer(z, x), z0, solver_kwargs=memory)
        return found[-1]


def sides() -> dict[str, Callable[[Layer], nn.Module]]:
    """Return how each side is made from a layer."""
    exact = Anderson(MEMORY, tol=TOL, iterations=MOST)
    gradients = {
        "IFT": IFT(exact),
        "JacobianFree": JacobianFree(),
        "NeumannPhantom(5)": NeumannPhantom(5, 0.5),
        "UnrolledPhantom(5)": UnrolledPhantom(5, 0.5),
        "Through": Through(),
    }
    ours = {name: lambda layer, g=g: Ours(layer, g) for name, g in gradients.items()}
    theirs = {
        "torchdeq IFT": {"ift": True},
        "torchdeq phantom(5)": {"grad": 5, "tau": 0.5},
    }
    return ours | {
        name: lambda layer, o=o: Theirs(layer, **o) for name, o in theirs.items()
    }


def digits() -> tuple[Tensor, ...]:
    """Return images ``(batch, 1, 8, 8)`` and labels, for training and for the test."""
    from sklearn.datasets import load_digits

    data = load_digits()
    x = torch.tensor(data.images, dtype=torch.float32)[:, None] / 16
    y = torch.tensor(data.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(100))
    train, test = order[:1347], order[1347:]
    return x[train], y[train], x[test], y[test]


class Side:
    """One network in training, and its clock."""

    def __init__(self, make: Callable[[Layer], nn.Module], seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        layer = Layer(generator)
        self.body, self.head = make(layer), nn.Linear(16 * 64, 10)
        with torch.no_grad():
            for p in self.head.parameters():
                p.copy_(torch.randn(p.shape, generator=generator) / 32)
        self.layer = layer
        parameters = [*layer.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=3e-3)
        self.forward, self.backward = [], []

    def output(self, x: Tensor) -> Tensor:
        z = self.body(x.new_zeros(len(x), 16, 8, 8), x)
        return self.head(z.flatten(1))

    def step(self, x: Tensor, y: Tensor, factor: float = 1.0) -> None:
        """Train once, the gradient of the layer times a factor."""
        start = time.process_time()
        loss = cross_entropy(self.output(x), y)
        half = time.process_time()
        self.optimizer.zero_grad()
        loss.backward()
        self.backward.append(time.process_time() - half)
        self.forward.append(half - start)
        if factor != 1:
            for p in self.layer.parameters():
                p.grad *= factor
        self.optimizer.step()

    @torch.no_grad()
    def accuracy(self, x: Tensor, y: Tensor) -> float:
        self.body.eval()
        right = (self.output(x).argmax(dim=1) == y).double().mean().item()
        self.body.train()
        return right


def training(seed: int, epochs: int) -> dict[str, Row]:
    """Train all sides in turns; return milliseconds and accuracy of each."""
    x, y, x_test, y_test = digits()
    here = {name: Side(make, seed) for name, make in sides().items()}
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(BATCH):
            for side in here.values():
                side.step(x[rows], y[rows])
    return {
        name: {
            "forward_ms": 1e3 * statistics.median(side.forward[WARM:]),
            "backward_ms": 1e3 * statistics.median(side.backward[WARM:]),
            "accuracy": side.accuracy(x_test, y_test),
        }
        for name, side in here.items()
    }


def learning(seeds: tuple[int, ...], epochs: int, found: dict[str, Row]) -> Iterator:
    """Train each gradient of ours and both controls, but those found, one by one."""
    x, y, x_test, y_test = digits()
    solved = ("Through", "torchdeq IFT", "torchdeq phantom(5)")  # as IFT, as UPG
    ours = {name: make for name, make in sides().items() if name not in solved}
    cases = {name: (make, 1.0) for name, make in ours.items()}
    phantom = ours["NeumannPhantom(5)"]
    cases |= {"layer frozen": (phantom, 0.0), "gradient reversed": (phantom, -1.0)}
    for name in [name for name in cases if name not in found]:
        make, factor = cases[name]
        row: Row = {"loss": [], "accuracy": []}
        for seed in seeds:
            side, generator = Side(make, seed), torch.Generator().manual_seed(seed)
            for _ in range(epochs):
                for rows in torch.randperm(len(x), generator=generator).split(BATCH):
                    side.step(x[rows], y[rows], factor)
            with torch.no_grad():
                loss = cross_entropy(side.output(x), y).item()
            row["loss"].append(round(loss, 4))
            row["accuracy"].append(round(side.accuracy(x_test, y_test), 4))
        found[name] = row
        print(f"{name:22}", row, flush=True)
        yield


def faithfulness() -> dict[str, float]:
    """Cosine with the exact gradient (a solve to 1e-12, float64), at the first step."""
    x, y, *_ = digits()
    found = {}
    for name, make in {"exact": None, **sides()}.items():
        side = Side(make or (lambda layer: Ours(layer, IFT())), seed=0)
        side.body.double()
        side.head.double()
        if make is None:
            tight = Anderson(MEMORY, tol=1e-12, iterations=1000)
            side.body.fixed.solver, side.body.fixed.gradient = tight, IFT(tight)
        cross_entropy(side.output(x[:BATCH].double()), y[:BATCH]).backward()
        layer = side.layer
        found[name] = torch.cat([p.grad.flatten() for p in layer.parameters()])
    exact = found.pop("exact")
    return {
        name: 1 - torch.cosine_similarity(g, exact, dim=0).item()
        for name, g in found.items()
    }


def lasso() -> Row:
    """LISTA's layer repeated until it rests, as each library does it by default."""
    from torchdeq import get_deq

    from unroll import LISTA

    generator = torch.Generator().manual_seed(0)
    problem = SparseCoding.gaussian(100, 200, generator, density=0.05)
    b, _ = problem.sample(64, generator)
    net = LISTA(problem.A, depth=1, lam=0.02)
    z0, layer = net.start(b), net.layers[0]

    def gap(z: Tensor) -> float:
        at = fista(problem.A, b, 0.02, x0=z.detach(), iterations=0)
        return at.gap.max().item()

    row = {}
    for name, solver in (("Picard", Picard()), ("Anderson", Anderson())):
        found = Equilibrium(layer, solver).solve(z0, *net.given(b, 0))
        row[name] = {"gap": gap(found.z), "iterations": int(found.iterations.max())}
    for name in ("fixed_point_iter", "anderson", "broyden"):
        with torch.no_grad():
            found, info = get_deq(f_solver=name)(lambda z: layer(z, b, 0), z0)
        steps = int(info["nstep"].max())
        row[f"torchdeq {name}"] = {"gap": gap(found[-1]), "iterations": steps}
    for name, found in row.items():
        print(f"{name:26}", found)
    return row


def seconds(seeds: tuple[int, ...], epochs: int) -> dict[str, Row]:
    """Train all sides in turns with each seed; return the rows of the table."""
    runs = [training(seed, epochs) for seed in seeds]
    error = faithfulness()
    rows = {
        name: {
            key: [round(run[name][key], 4) for run in runs]
            for key in ("forward_ms", "backward_ms", "accuracy")
        }
        | {"one_minus_cosine": error[name]}
        for name in runs[0]
    }
    for name, row in rows.items():
        print(f"{name:22}", row)
    return rows


def main() -> None:
    """Measure, print a table, and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small, nothing written")
    parser.add_argument("--learning", action="store_true", help="what is missing of it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    seeds, epochs = (SEEDS[:1], 1) if options.quick else (SEEDS, EPOCHS)
    if options.learning:
        facts = json.loads((record.RESULTS / "equilibrium.json").read_text())
    else:
        setting = {"seeds": seeds, "batch": BATCH, "epochs": epochs, "tol": TOL}
        setting |= {"memory": MEMORY, "iterations": MOST, "clock": "CPU"}
        facts = {"machine": record.machine(("torch", "torchdeq")), "setting": setting}
        facts |= {"rows": seconds(seeds, epochs), "lasso": lasso()}
    for _ in learning(seeds, epochs, facts.setdefault("learning", {})):
        if not options.quick:
            record.write("equilibrium", facts)


if __name__ == "__main__":
    main()
