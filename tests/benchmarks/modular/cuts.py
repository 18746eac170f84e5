"""Where to cut, what to do again, when to merge: plans played on the exact simulator.

    python -m tests.benchmarks.modular.cuts [--quick]

A GPT whose last layer scores 4096 words, in 14 layers, and random chains of as many.
Time is arithmetic: forward its FLOPs, counted by the profile, backward twice as many,
so that every figure is exact and the same on every machine. ``where``: a 1F1B step
over the work divided by the ranks, for cuts into equal numbers of layers, equal
parameters, at random, by ``plan``, and for the best cuts of all. ``again``: over a step
without recomputation, by bytes that a rank has. ``distance``: over one rank alone, by
the time of an empty message. Part "cuts" of ``results/pipeline.json``.
"""

import argparse
import itertools
import json
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from modular.allocation import cut_evenly
from modular.pipeline import (
    Cost,
    Network,
    OneFOneB,
    coarsen,
    plan,
    recompute_plan,
    simulate,
)
from modular.profile import Profile, profile
from tests.benchmarks import record
from tests.benchmarks.modular.letters import LENGTH, WIDTH, Block

WORDS, BLOCKS, RANKS, SEEDS = 4096, 12, (2, 3, 4), 20
SHARES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
ALPHAS = (0.0, 1.0, 2.0, 4.0, 16.0, 32.0)  # forwards of a block


def timed(costs: Profile) -> Profile:
    """Return a profile whose times are arithmetic, in MFLOP."""
    seconds = costs.flops.double() / 1e6
    return replace(costs, seconds=seconds, backward_seconds=2 * seconds)


def gpt() -> Profile:
    """Return what each layer of a small GPT with many words costs, a sequence."""
    scores = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WORDS))
    layers = [nn.Embedding(WORDS, WIDTH), *(Block() for _ in range(BLOCKS)), scores]
    return timed(profile(layers, torch.zeros(1, LENGTH, dtype=torch.long), repeats=1))


def chain(seed: int, spread: float) -> Profile:
    """Return layers whose costs are drawn, log-normal with that spread."""
    g = torch.Generator().manual_seed(seed)
    flops = (1e6 * (spread * torch.randn(BLOCKS + 2, generator=g)).exp()).long()
    same = torch.ones_like(flops)
    times = flops.double()
    return timed(Profile(times, times, flops, flops, same, same))


def played(
    costs: Profile, cuts: Sequence[int], micros: int, network: Network | None = None
) -> float:
    """Return the makespan of a 1F1B step of a model with these cuts."""
    ends = list(itertools.pairwise([0, *cuts, len(costs.seconds)]))
    seconds = (costs.seconds, costs.backward_seconds)
    forward, backward = ([float(s[a:b].sum()) for a, b in ends] for s in seconds)
    size = [int(costs.boundary_bytes[b - 1]) for _, b in ends]
    schedule = OneFOneB().schedule(len(ends), micros)
    cost = Cost(forward, backward, message=size)
    return float(simulate(schedule, cost, network).makespan)


def where(costs: Profile, D: int) -> dict[str, float]:
    """Return the time of a step of each way to cut, over the total by the ranks."""
    layers, micros = len(costs.seconds), 4 * D
    total = 3 * float(costs.seconds.sum()) * micros / D
    g = torch.Generator().manual_seed(D)
    drawn = [torch.randperm(layers - 1, generator=g)[: D - 1] + 1 for _ in range(SEEDS)]
    by_chance = [played(costs, sorted(some.tolist()), micros) for some in drawn]
    ways = {
        "equal layers": cut_evenly([1.0] * layers, D),
        "equal parameters": cut_evenly([float(p) for p in costs.parameters], D),
        "plan": list(plan(costs, D).cuts),
    }
    found = {name: played(costs, cuts, micros) / total for name, cuts in ways.items()}
    return {"at random": statistics.median(by_chance) / total, **found}


def best(costs: Profile, D: int) -> float:
    """Return the same for the best cuts there are, by playing all of them."""
    layers, micros = len(costs.seconds), 4 * D
    total = 3 * float(costs.seconds.sum()) * micros / D
    every = itertools.combinations(range(1, layers), D - 1)
    return min(played(costs, cuts, micros) for cuts in every) / total


def again(costs: Profile, D: int, share: float) -> dict[str, float | None]:
    """Return steps with recomputation, a share of all bytes given; None: not enough."""
    micros, cuts = 4 * D, plan(costs, D).cuts
    ends = list(itertools.pairwise([0, *cuts, len(costs.seconds)]))
    forward, held = (
        [float(c[a:b].sum()) for a, b in ends]
        for c in (costs.seconds, costs.saved_bytes)
    )
    budget = share * max((D - s) * n for s, n in enumerate(held))

    def step(redone: Sequence[float]) -> float:
        backward = [2 * f + r for f, r in zip(forward, redone, strict=True)]
        schedule = OneFOneB().schedule(D, micros)
        return float(simulate(schedule, Cost(forward, backward)).makespan)

    free = step([0.0] * D)
    found: dict[str, float | None] = {"all again": step(forward) / free}
    try:
        aware = recompute_plan(costs, cuts, budget).seconds
        found["stage-aware"] = step(aware) / free
    except ValueError:
        found["stage-aware"] = None
    try:
        alike = [as_the_first(costs, a, b, D, budget) for a, b in ends]
        found["as the first stage"] = step(alike) / free
    except ValueError:
        found["as the first stage"] = None
    return found


def as_the_first(costs: Profile, a: int, b: int, D: int, budget: float) -> float:
    """Return the seconds done again by layers a to b if they held D micro-batches."""

    def alone(name: str, column: torch.Tensor) -> torch.Tensor:
        before = column[max(a - 1, 0) : a].clone()  # hands on the input, costs nothing
        if name != "boundary_bytes":
            before.zero_()
        return torch.cat([before, column[a:b], column.new_zeros(D - 1)])

    row = Profile(**{name: alone(name, column) for name, column in vars(costs).items()})
    end = len(row.seconds) - (D - 1)
    return recompute_plan(row, list(range(end, end + D - 1)), budget).seconds[0]


def distance(costs: Profile, alpha: float) -> dict[str, Any]:
    """Return a step of all parts, of merged ones, and of the best plan, with stages."""
    layers, micros, block = len(costs.seconds), 16, float(costs.seconds[1])
    network = Network(alpha=alpha * block)
    cost = Cost(costs.seconds.tolist(), costs.backward_seconds.tolist(), message=0)
    merged = coarsen(cost, layers, micros, network)
    plans = [list(plan(costs, D, network=network).cuts) for D in range(1, layers + 1)]
    spans = [played(costs, cuts, micros, network) for cuts in plans]
    alone = played(costs, [], micros)
    return {
        "all parts": played(costs, range(1, layers), micros, network) / alone,
        "merged": played(costs, merged, micros, network) / alone,
        "merged stages": len(merged) + 1,
        "best plan": min(spans) / alone,
        "planned stages": spans.index(min(spans)) + 1,
    }


def summary(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    """Return median, least and most of each way."""
    return {
        name: [
            round(f(row[name] for row in rows), 4)
            for f in (statistics.median, min, max)
        ]
        for name in rows[0]
    }


def rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with four figures after the point."""
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}


def main() -> None:
    """Play everything, print it, and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few, nothing written")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    model, ranks = gpt(), RANKS[:2] if quick else RANKS
    seeds = range(2 if quick else SEEDS)
    found: dict[str, Any] = {
        "where": {
            "GPT": {
                str(D): rounded(where(model, D) | {"best": best(model, D)})
                for D in ranks
            },
            "uneven chains": {
                str(D): summary([where(chain(s, 0.7), D) for s in seeds]) for D in ranks
            },
            "equal chains": {str(D): rounded(where(chain(0, 0.0), D)) for D in ranks},
        },
        "again": {str(share): rounded(again(model, 4, share)) for share in SHARES},
        "distance": {str(alpha): rounded(distance(model, alpha)) for alpha in ALPHAS},
    }
    print(json.dumps(found, indent=1))
    if not quick:
        setting = {"layers": BLOCKS + 2, "micros": "4 a rank", "seeds": SEEDS}
        facts = {"machine": record.machine(("torch",)), "setting": setting}
        whole = json.loads((record.RESULTS / "pipeline.json").read_text())
        record.write("pipeline", whole | {"cuts": facts | found})


if __name__ == "__main__":
    main()
