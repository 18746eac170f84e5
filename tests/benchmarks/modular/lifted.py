"""Auxiliary variables: what they cost in accuracy, what they give in time.

    python -m tests.benchmarks.modular.lifted [--quick] [--only law digits bregman]
                                              [--cpu 60]

law        stages that sleep, in as many processes: time of backpropagation, one stage
           after another, over that of free states whose exchange takes as long as an
           AuxNet would; beside eq. 27 of Sun, Dong et al. 2021 (arXiv 2112.05387).
digits     digits, six blocks of width 96 cut into three modules, Adam, batches of 256,
           20 epochs; AuxNets are fitted in ten epochs before, SPH's passes are counted.
augment    the same with pictures moved by a pixel at most, anew each epoch, at the
           settings of digits.
accuracy   pair_sum (4000 training pairs, 3000 of held-out digits), the same network,
           batches of 128.
transport  pair_sum (2000 pairs), six modules of residual blocks: greedy training and
           DGL, each without and with a price on how far features move (TRGL).
bregman    digits, a network 64-64-64-10, batches of 256, equal epochs: implicit steps
           on the lifted energy against Adam on its twin. Multiplications are counted in
           forward passes.
flat       the same network with the sign as activation: backpropagation, which leaves
           hidden layers as they were drawn, lifted, and with a slope that is made up.
autoencoder, denoising, wide
           five layers, a sparse code in the third: digits, digits with noise, patches
           of photographs at 256 wide. Equal multiplications; settings are chosen by the
           objective, half the squared error and the price of the code.
unfolded, asleep
           squares of photographs with noise: ten layers of the dual forward-backward
           iteration, trained by backpropagation and by the lifted loss, at equal
           epochs; as the page of the documentation does it, whose code this runs. The
           start is total variation at its best weight, or at a fraction of it, where
           nearly every dual number is at its limit.

The search is the same for all: three settings a side, on the held-out part of one split
that is not reported; then five paired seeds, each with a split, weights and an order of
its own. ``search`` keeps what was tried.

Writes ``results/lifted.json``, row by row; parts and rows that are there are kept.
``--cpu`` stops before another row after so many seconds of CPU; started again, it goes
on.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from modular import Backprop, Calibrated, Partition, Processes, Trainer, audit
from modular.lifted import Free, Lifted, Quadratic
from tests.benchmarks import record
from tests.benchmarks.modular import lifted_codes as codes_of
from tests.benchmarks.modular import lifted_runs as runs_of
from tests.benchmarks.modular import lifted_unfolded as unfolded
from tests.benchmarks.modular.parts import adam

FORWARD, BACKWARD, EXCHANGE, STEPS = 0.8, 1.6, 0.05, 5  # seconds, of the whole network
SEEDS, TRIED = 5, 100  # seeds reported; the one that settings are chosen with


def law(stages: int, seed: int) -> dict[str, float]:
    """Return measured and predicted speed-up with so many stages."""
    generator = torch.Generator().manual_seed(0)
    layers = [nn.Linear(16, 16) for _ in range(stages)]
    x, y = torch.randn(8, 16, generator=generator), torch.arange(8)
    costs = Calibrated(FORWARD / stages, BACKWARD / stages, exchange=EXCHANGE)
    seconds = []
    for method in (Backprop(), Lifted(Quadratic(1.0), Free(8, rate=0.1))):
        batch = (x, y, torch.arange(8)) if isinstance(method, Lifted) else (x, y)
        trainer = Trainer(
            Partition(layers, stages, sample=x[:1], generator=generator),
            method,
            optimizer=adam,
            transport=Processes(stages, stand_in=costs, timeout=120),
            generator=generator,
        )
        trainer.fit([batch] * STEPS, epochs=1, phases=[0])
        seconds.append(audit.Timeline.traced(trainer).makespan / STEPS)
    # the first stage computes no gradient of its input: half a sweep less in all
    whole = FORWARD + BACKWARD * (1 - 0.5 / stages)
    eq27 = whole / ((FORWARD + BACKWARD) / stages + EXCHANGE)
    return {
        "locked_seconds": round(seconds[0], 4),
        "lifted_seconds": round(seconds[1], 4),
        "speed_up": round(seconds[0] / seconds[1], 3),
        "eq27": round(eq27, 3),
        "bound": round(whole / EXCHANGE, 1),
    }


# part: (what measures a run, the settings of each side, the part searched)
PARTS: dict[str, tuple[Callable, dict[str, list], str]] = {
    "bregman": (codes_of.bregman, codes_of.BREGMAN, "bregman"),
    "flat": (codes_of.flat, codes_of.FLAT, "flat"),
    **{part: (codes_of.codes, codes_of.sides(part), part) for part in codes_of.ALPHAS},
    "digits": (runs_of.train, runs_of.GRID, "digits"),
    "accuracy": (runs_of.train, runs_of.GRID, "accuracy"),
    "augment": (runs_of.train, runs_of.GRID, "digits"),
    "transport": (runs_of.train, runs_of.GREEDY, "transport"),
    "unfolded": (unfolded.denoise, unfolded.UNFOLDED, "unfolded"),
    "asleep": (unfolded.denoise, unfolded.FLAT, "asleep"),
}


def read() -> dict:
    """Return what was measured before."""
    path = record.RESULTS / "lifted.json"
    return json.loads(path.read_text()) if path.exists() else {}


def keep(part: str, found: dict, budget: float) -> None:
    """Write a part, leave the others as they are; stop where the time is spent."""
    record.write("lifted", read() | {part: found, "machine": found["machine"]})
    if time.process_time() > budget:
        raise SystemExit(f"{budget:.0f} s of CPU are spent")


def summary(runs: list[dict]) -> dict[str, float]:
    """Return the median and the spread of every number of some runs."""
    found = {}
    for key in runs[0]:
        values = [run[key] for run in runs]
        found[key] = statistics.median(values)
        found[f"{key}_range"] = [min(values), max(values)]
    return found


def searched(part: str, found: dict, budget: float) -> dict[str, dict[str, float]]:
    """Try every setting of every side once; return the best of each."""
    measure, grid, same = PARTS[part]
    if same != part:
        return {name: best(tried) for name, tried in read()[same]["search"].items()}
    kept = found.setdefault("search", {name: [] for name in grid})
    for name, settings in grid.items():
        for setting in settings[len(kept[name]) :]:
            row = {"setting": setting} | measure(part, name, setting, TRIED)
            kept[name].append(row)
            print(f"{part:9} {name:24} search {row}", flush=True)
            keep(part, found, budget)
    return {name: best(tried) for name, tried in kept.items()}


def best(tried: list[dict]) -> dict[str, float]:
    """Return the setting that did best, the first of equals."""

    def worth(row: dict) -> float:
        return row["accuracy"] if "accuracy" in row else -row["objective"]

    return max(tried, key=worth)["setting"]


def reported(part: str, facts: dict, budget: float) -> None:
    """Search, then run what is missing with all seeds; keep each row at once."""
    measure, grid, _ = PARTS[part]
    found = read().get(part, {}) | {"machine": facts}
    chosen = searched(part, found, budget)
    runs = found.setdefault("runs", {name: [] for name in grid})
    for seed in range(SEEDS):
        for name in grid:
            if len(runs[name]) > seed:
                continue
            runs[name].append(measure(part, name, chosen[name], seed))
            print(f"{part:9} {name:24} {seed} {runs[name][-1]}", flush=True)
            whole = max(1, min(len(r) for r in runs.values()))  # paired seeds
            rows = {n: summary(r[:whole]) for n, r in runs.items() if r}
            shown = {"seeds": whole, "chosen": chosen, "rows": rows}
            keep(part, found | shown, budget)


def timed(facts: dict, budget: float) -> None:
    """Measure the law where it is missing."""
    found = read().get("law", {}) | {"machine": facts, "seeds": 1}
    runs = found.setdefault("runs", {})
    for stages in ("2", "4", "8"):
        if stages not in runs:
            runs[stages] = [law(int(stages), 0)]
            found["rows"] = {name: summary(run) for name, run in runs.items()}
            keep("law", found, budget)


def main() -> None:
    """Measure what is missing; keep each row at once."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one run, not written")
    parser.add_argument(
        "--only", nargs="+", choices=["law", *PARTS], default=["law", *PARTS]
    )
    parser.add_argument("--cpu", type=float, default=float("inf"), help="seconds")
    options = parser.parse_args()
    torch.set_num_threads(1)
    facts = record.machine(("torch", "numpy", "scikit-learn"))
    for part in options.only:
        if options.quick and part != "law":
            measure, grid, _ = PARTS[part]
            for name, settings in grid.items():
                row = measure(part, name, settings[0], TRIED)
                print(f"{part:9} {name:24} {row}", flush=True)
        elif not options.quick:
            run = timed if part == "law" else partial(reported, part)
            run(facts, options.cpu)


if __name__ == "__main__":
    main()
