"""Multilevel trust regions against first-order methods, by what a gradient costs.

    python -m tests.benchmarks.modular.multilevel [--only spirals digits adam why ...]

Residual networks learn two spirals (64 time steps) and images of digits (32 steps),
full batch, float64. Cost is counted in gradients of the finest network: one of a level
below costs half, and so on. "nested" makes steps on each coarse level first and then
goes on with the finest alone. Each side has six settings, all tried with two seeds that
are not reported; the one of least median cost to the target runs with five more,
paired: seeds set data and weights alike for all sides, weights begin alike in groups of
four blocks. A run ends when the gradient is below 1e-4, or with the budget.

"adam" gives the coarse levels to Adam: is it the levels, or what steps on them?
"why" takes V-cycles of two levels apart: weights that begin smooth in time or not, and
one trust radius for both kinds of steps or one for each. "growing" follows the samples
of ASNTR. Writes ``results/multilevel.json``, row by row.
"""

import math
import statistics
from collections.abc import Callable
from typing import Any

from tests.benchmarks import record
from tests.benchmarks.modular.multilevel_runs import (
    ADAM,
    BUDGET,
    MEMORY,
    QUIET,
    SIDES,
    TASKS,
    Meter,
    by_torch,
    growing,
    multilevel,
    nested_adam,
)

SEEDS, SEARCHED = range(5), (100, 101)
CYCLE = {"levels": 2, "per_time": True, "gamma": 0.03, "cycle": (1, 0, 10)}
SINGLE = {"levels": 1, "per_time": True, "gamma": 0.03}
WHY: dict[str, dict[str, Any]] = {
    "one level, smooth start": SINGLE,
    "V-cycles, two radii, smooth start": CYCLE | {"reach": 4.0},
    "V-cycles, one radius, smooth start": CYCLE,
    "one level, rough start": SINGLE | {"alike": 1},
    "V-cycles, two radii, rough start": CYCLE | {"alike": 1, "reach": 4.0},
    "V-cycles, one radius, rough start": CYCLE | {"alike": 1},
}


def run(task: str, seed: int, how: dict[str, Any], rest: bool = True) -> dict:
    """Run one side with one seed, to rest or to the target only."""
    meter = Meter(TASKS[task].target, rest)
    if "name" in how:
        by_torch(TASKS[task], seed, how, meter)
        return meter.row()
    if "lr" in how:
        nested_adam(TASKS[task], seed, how, meter)
        return meter.row()
    tried = multilevel(TASKS[task], seed, how, meter)
    found: dict[str, Any] = meter.row()
    for kind, coarse in (("own", False), ("coarse", True)):
        of = [t for t in tried if t.coarse == coarse]
        ratios = sorted(t.ratio for t in of)
        if of:
            found[kind] = {
                "tried": len(of),
                "accepted": sum(t.accepted for t in of),
                "ratio": round(ratios[len(ratios) // 2], 2),
            }
    return found


def middle(runs: list[dict], key: str) -> float:
    """Return the median of a number; not within the budget counts as infinite."""
    return statistics.median(math.inf if r[key] is None else r[key] for r in runs)


def summary(runs: list[dict]) -> dict[str, Any]:
    """Return medians, and the spread of the cost."""
    costs = [math.inf if r["cost"] is None else r["cost"] for r in runs]
    found = {key: middle(runs, key) for key in ("cost", "seconds", "quiet")}
    found |= {"spread": [min(costs), max(costs)]}
    told: dict[str, Any] = {
        key: [None if math.isinf(v) else v for v in value]
        if isinstance(value, list)
        else (None if math.isinf(value) else value)
        for key, value in found.items()
    }
    told["reached"] = sum(not math.isinf(c) for c in costs)
    for key in ("loss", "gradient"):
        told[key] = middle(runs, key)
    return told


def side(task: str, settings: list[dict[str, Any]]) -> Callable[[], dict]:
    """Return what searches a side and then runs it at its best."""

    def measure() -> dict:
        tried: list[dict[str, Any]] = []
        for how in settings:
            runs = [run(task, seed, how, rest=False) for seed in SEARCHED]
            tried.append(
                {"setting": how, "costs": [r["cost"] for r in runs]}
                | {"order": (middle(runs, "cost"), middle(runs, "loss"))}
            )
        best = min(tried, key=lambda row: row["order"])["setting"]
        for row in tried:
            del row["order"]
        runs = [run(task, seed, best) for seed in SEEDS]
        return summary(runs) | {"setting": best, "search": tried, "runs": runs}

    return measure


def variant(name: str) -> Callable[[], dict]:
    """Return what runs one part of the explanation."""

    def measure() -> dict:
        runs = [run("spirals", seed, WHY[name]) for seed in SEEDS]
        return summary(runs) | {"setting": WHY[name], "runs": runs}

    return measure


def grown(start: int) -> Callable[[], dict]:
    """Return what follows samples that grow."""

    def measure() -> dict:
        runs = [growing(TASKS["digits"], seed, start, gamma=0.03) for seed in SEEDS]
        costs = [math.inf if r["cost"] is None else r["cost"] for r in runs]
        cost = statistics.median(costs)
        reached = sum(not math.isinf(c) for c in costs)
        found = {"cost": None if math.isinf(cost) else cost, "reached": reached}
        return found | {"runs": runs}

    return measure


PLAN: dict[str, dict[str, Callable[[], Any]]] = {
    **{task: {name: side(task, how) for name, how in SIDES.items()} for task in TASKS},
    "adam": {task: side(task, ADAM) for task in TASKS},
    "why": {name: variant(name) for name in WHY},
    "growing": {f"from {start}": grown(start) for start in (20, 100, 400)},
}


def main() -> None:
    """Measure what is missing; keep each row at once."""
    setting: dict[str, Any] = {
        "budget": BUDGET,
        "quiet": QUIET,
        "memory": MEMORY,
        "seeds": len(SEEDS),
        "searched": len(SEARCHED),
    }
    for name, task in TASKS.items():
        setting[name] = {
            key: getattr(task, key) for key in ("steps", "width", "rows", "target")
        }
    for found in record.measured("multilevel", PLAN, str(__doc__)):
        found |= {"setting": setting}
        found |= {"machine": record.machine(("torch", "numpy", "scikit-learn"))}
        record.write("multilevel", found)


if __name__ == "__main__":
    main()
