"""Multilevel trust regions against first-order methods, by what a gradient costs.

    python -m tests.benchmarks.modular.multilevel [--quick]

A residual network of 32 time steps learns two spirals, full batch, float64. Cost is
counted in gradients of the finest network: one of a level below costs half, and so on.
"nested" makes a number of steps on each coarse level first and then goes on with the
finest alone. A row is one side with one seed: the cost at which the loss first falls
below the target, and the lowest loss within the budget, with its gradient's norm.
First-order sides are run at three learning rates; V-cycles have one of seven settings
(steps before, after and below, restriction) that were tried with the first two seeds,
nested iteration one that was not searched for. Seeds set data and weights alike for
all sides. Writes ``results/multilevel.json``, row by row.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from modular.multilevel import (
    LSR1,
    Constant,
    Point,
    Region,
    TimeHierarchy,
    TimeNet,
    VCycle,
)
from tests.benchmarks import record

STEPS, WIDTH, ROWS, BUDGET, TARGET, SEEDS = 32, 6, 200, 200, 0.01, 5
NESTED = 60  # steps on each coarse level
LEVELS = {  # levels, and whether it begins on the coarsest
    "trust region": (1, False),
    "V-cycles, 2 levels": (2, False),
    "V-cycles, 3 levels": (3, False),
    "nested, 2 levels": (2, True),
    "nested, 3 levels": (3, True),
}
RATES = {"Adam": (1e-2, 3e-2, 1e-1), "SGD": (0.1, 0.3, 1.0)}


def spirals(seed: int) -> tuple[Tensor, Tensor]:
    """Return points on two arms, with some noise, and which arm."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(ROWS) % 2
    t = torch.rand(ROWS, generator=g, dtype=torch.float64).sqrt() * 3 * math.pi
    arm = (1 - 2 * y) * t / (3 * math.pi)
    x = torch.stack([arm * t.cos(), arm * t.sin()], dim=1)
    noise = torch.randn(ROWS, 2, generator=g, dtype=torch.float64)
    return x + 0.02 * noise, y


def network(seed: int) -> TimeNet:
    """Return a residual network over a time of four."""
    torch.manual_seed(seed)
    blocks = [nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh()) for _ in range(STEPS)]
    ends = nn.Linear(2, WIDTH), nn.Linear(WIDTH, 2)
    return TimeNet(ends[0], blocks, ends[1], dt=4 / STEPS).double()


class Meter:
    """Counts gradients, and notes when the loss falls below the target."""

    def __init__(self) -> None:
        self.cost, self.reached = 0.0, math.inf
        self.loss, self.slope = math.inf, math.inf

    def see(self, loss: Tensor, gradient: Tensor) -> None:
        """Note a loss of the finest network."""
        if float(loss) < TARGET:
            self.reached = min(self.reached, self.cost)
        if float(loss) < self.loss:
            self.loss, self.slope = float(loss), float(gradient.norm())


def multilevel(seed: int, levels: int, nested: bool, meter: Meter) -> None:
    """Minimise by V-cycles; or on coarse levels first, then on the finest alone."""
    weave = Constant(full_weighting=not nested)
    hierarchy = TimeHierarchy(network(seed), levels, weave)
    x, y = spirals(seed)

    def counted(level: int) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        f = hierarchy.function(level, x, y, functional.cross_entropy)

        def g(theta: Tensor) -> tuple[Tensor, Tensor]:
            found = f(theta)
            meter.cost += 0.5**level
            if level == 0:
                meter.see(*found)
            return found

        return g

    functions = [counted(level) for level in range(levels)]
    regions = [Region(1.0, LSR1(memory=20)) for _ in range(levels)]
    cycle = VCycle(hierarchy.transfers, regions, before=3, after=0, coarsest=8)
    at = Point.at(functions[0], hierarchy.theta())
    if nested:
        at = cycle.nested(functions, hierarchy.theta(), NESTED)
        cycle, functions = VCycle([], regions[:1]), functions[:1]
    while meter.cost < BUDGET:
        at, _ = cycle(functions, at)


def first_order(seed: int, make: Callable, meter: Meter) -> None:
    """Minimise by an optimiser of torch."""
    net, (x, y) = network(seed), spirals(seed)
    optimizer = make(net.parameters())

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(net(x), y)
        loss.backward()
        meter.cost += 1
        gradient = torch.cat([p.grad.flatten() for p in net.parameters()])
        meter.see(loss.detach(), gradient)
        return loss

    while meter.cost < BUDGET:
        before = meter.cost
        optimizer.step(closure)
        if meter.cost == before:  # L-BFGS is at its end
            break


def sides() -> dict[str, Callable[[int, Meter], None]]:
    """Return what is compared."""
    found: dict[str, Callable[[int, Meter], None]] = {}
    for name, how in LEVELS.items():
        found[name] = lambda seed, meter, how=how: multilevel(seed, *how, meter)
    makers = {
        f"Adam {lr:g}": lambda p, lr=lr: torch.optim.Adam(p, lr=lr)
        for lr in RATES["Adam"]
    }
    makers |= {
        f"SGD {lr:g}": lambda p, lr=lr: torch.optim.SGD(p, lr=lr, momentum=0.9)
        for lr in RATES["SGD"]
    }
    makers["L-BFGS"] = lambda p: torch.optim.LBFGS(
        p, max_iter=20, history_size=20, line_search_fn="strong_wolfe"
    )
    for name, make in makers.items():
        found[name] = lambda seed, meter, make=make: first_order(seed, make, meter)
    return found


def row(name: str, seed: int) -> dict[str, float | None]:
    """Run one side with one seed."""
    meter, start = Meter(), time.process_time()
    sides()[name](seed, meter)
    return {
        "cost": None if math.isinf(meter.reached) else round(meter.reached, 1),
        "loss": float(f"{meter.loss:.3g}"),
        "gradient": float(f"{meter.slope:.3g}"),
        "seconds": round(time.process_time() - start, 2),
    }


def summary(rows: dict[str, list[dict]]) -> dict[str, dict]:
    """Return each side's medians; a cost beyond the budget counts as infinite."""
    found = {}
    for name, runs in rows.items():
        told = [math.inf if r["cost"] is None else r["cost"] for r in runs]
        costs = [math.inf if c > BUDGET else c for c in told]  # the last cycle's end
        middle = statistics.median(costs)
        found[name] = {
            "reached": sum(c < math.inf for c in costs),
            "cost": None if math.isinf(middle) else middle,
            "spread": [None if math.isinf(c) else c for c in (min(costs), max(costs))],
            "loss": statistics.median(r["loss"] for r in runs),
            "gradient": statistics.median(r["gradient"] for r in runs),
            "seconds": round(statistics.median(r["seconds"] for r in runs), 2),
        }
    return found


def main() -> None:
    """Measure what is missing; keep each row at once."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one seed, not written")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    path = record.RESULTS / "multilevel.json"
    rows: dict[str, list[dict]] = {name: [] for name in sides()}
    if path.exists() and not quick:
        rows |= json.loads(path.read_text())["rows"]
    for seed in range(1 if quick else SEEDS):
        for name in rows:
            if len(rows[name]) <= seed:
                rows[name].append(row(name, seed))
                print(f"{name:26} {seed} {rows[name][-1]}", flush=True)
                if not quick:
                    record.write("multilevel", told(rows))


def told(rows: dict[str, list[dict]]) -> dict:
    """Return the record."""
    setting = {
        "steps": STEPS,
        "width": WIDTH,
        "rows": ROWS,
        "budget": BUDGET,
        "target": TARGET,
        "nested": NESTED,
    }
    whole = max(1, min(len(runs) for runs in rows.values()))  # paired seeds
    setting["seeds"] = whole
    paired = {name: runs[:whole] for name, runs in rows.items() if runs}
    found = {"setting": setting, "sides": summary(paired)}
    return found | {"rows": rows, "machine": record.machine(("torch", "numpy"))}


if __name__ == "__main__":
    main()
