"""Accuracy of modular training on sums of two digits, with paired seeds.

    python -m tests.benchmarks.modular.methods [--quick] [--only ladder more]

ladder     pair_sum (12000 training pairs, 3000 test pairs of held-out digits), six
           blocks Linear - BatchNorm - ReLU of width 96, Adam 2e-3, batch 128, 12
           epochs. A seed sets the split, the weights and the order of the batches for
           all methods alike, so that differences are taken seed by seed. "greedy" is
           sequential, with linear heads; "dgl" has heads with one hidden layer; greedy
           is run with both.
more       horizon 5; greedy with DGL's heads, DGL with fewer modules; predsim and
           InfoPro, which did not reproduce their ranks.

Parts of ``results/modular.json``. ``--quick`` only prints.
"""

import math
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context

import torch
from torch import nn

from modular import (
    DGL,
    Backprop,
    Greedy,
    InfoPro,
    Interlocking,
    Partition,
    PredSim,
    Trainer,
    pair_sum,
)
from tests.benchmarks import record
from tests.benchmarks.modular.parts import WIDTH, adam, layer, measure, read

DEPTH, EPOCHS, SEEDS = 6, 12, 5


def mlp(generator: torch.Generator) -> list[nn.Module]:
    """Return six blocks; the classifier is part of the last."""
    torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
    sizes = [128] + [WIDTH] * DEPTH
    stages = [layer(a, b) for a, b in zip(sizes, sizes[1:], strict=False)]
    stages[-1].append(nn.Linear(WIDTH, 10))
    return [nn.Sequential(*stage) for stage in stages]


# name: (method, modules, head)
LADDER = {
    "backprop": (Backprop(), 6, "linear"),
    "greedy K=2": (Greedy(), 2, "linear"),
    "greedy K=3": (Greedy(), 3, "linear"),
    "greedy K=6": (Greedy(), 6, "linear"),
    "dgl K=6": (DGL(), 6, "mlp"),
    "interlocking n=1": (DGL(), 6, "linear"),
    "interlocking n=2": (Interlocking(2), 6, "linear"),
    "interlocking n=3": (Interlocking(3), 6, "linear"),
    "interlocking n=4": (Interlocking(4), 6, "linear"),
}
MORE = {
    "interlocking n=5": (Interlocking(5), 6, "linear"),
    "greedy K=6, mlp head": (Greedy(), 6, "mlp"),
    "dgl K=2": (DGL(), 2, "mlp"),
    "dgl K=3": (DGL(), 3, "mlp"),
    "predsim K=6": (DGL(PredSim()), 6, "linear"),
    "infopro K=6": (DGL(InfoPro()), 6, "linear"),
}


def one_run(name: str, seed: int, epochs: int) -> dict[str, object]:
    """Train one method with one seed; return accuracies (%) and what it cost."""
    method, modules, head = (LADDER | MORE)[name]
    generator = torch.Generator().manual_seed(seed)
    task = pair_sum(generator)
    layers = mlp(generator)
    partition = Partition(
        layers, modules, sample=task.x[:1], head=head, generator=generator
    )
    order = torch.Generator().manual_seed(seed)
    trainer = Trainer(partition, method, optimizer=adam, generator=generator)
    start = time.process_time()
    trainer.fit(task.batches(128, order), epochs)
    seconds = time.process_time() - start  # of CPU: the machine may be busy
    accuracy = [100 * float(a) for a in trainer.evaluate(task.test())]
    return {
        "accuracy": accuracy[-1],
        "per_module": [None if math.isnan(a) else round(a, 2) for a in accuracy],
        "seconds": round(seconds, 2),
        "saved_bytes": int(trainer.history.saved_bytes.max()),
        "head_parameters": partition.cost().head_parameters.tolist(),
    }


def paired(runs: dict[str, list[dict]], a: str, b: str) -> dict[str, float]:
    """Return mean and standard error of accuracy(b) - accuracy(a), seed by seed."""
    gaps = [
        y["accuracy"] - x["accuracy"] for x, y in zip(runs[a], runs[b], strict=True)
    ]
    error = statistics.stdev(gaps) / math.sqrt(len(gaps)) if len(gaps) > 1 else math.nan
    return {"mean": round(statistics.mean(gaps), 3), "standard_error": round(error, 3)}


def table_of(part: str, names: dict, quick: bool) -> tuple[dict, dict]:
    """Run methods with all seeds, one thread each; return a table, and the runs.

    As many runs at a time as there are cores. Every run is kept at once: stopped and
    started again, it goes on. What is complete is measured anew.
    """
    seeds, epochs = (1, 1) if quick else (SEEDS, EPOCHS)
    kept = read().get(part, {})
    kept = {} if quick or "methods" in kept else kept
    runs: dict[str, list[dict]] = {
        name: kept.get("runs", {}).get(name, []) for name in names
    }
    missing = [(n, s) for s in range(seeds) for n in names if len(runs[n]) <= s]
    fresh = get_context("spawn")  # a forked torch may hang
    with ProcessPoolExecutor(
        os.cpu_count(), fresh, torch.set_num_threads, (1,)
    ) as workers:
        chosen, numbers = [n for n, _ in missing], [s for _, s in missing]
        found = workers.map(one_run, chosen, numbers, repeat(epochs))
        for (name, seed), run in zip(missing, found, strict=True):
            runs[name].append(run)
            print(f"{name:22} {seed} {run['accuracy']:6.2f}", flush=True)
            if not quick:
                record.write("modular", read() | {part: {"runs": runs}})
    table = {}
    for name, found in runs.items():
        values = [run["accuracy"] for run in found]
        error = statistics.stdev(values) / math.sqrt(seeds) if seeds > 1 else math.nan
        mean = round(statistics.mean(values), 2)
        table[name] = {"mean": mean, "standard_error": round(error, 2)}
        print(f"{name:22} {mean:6.2f} +- {error:.2f}", flush=True)
    return table, runs


def more(quick: bool) -> dict[str, object]:
    """Run other heads, horizons and objectives."""
    table, runs = table_of("more", MORE, quick)
    known = runs if quick else read().get("ladder", {}).get("runs", {}) | runs
    local = "interlocking n=1"
    pairs = [("greedy K=6, mlp head", "dgl K=6"), (local, "predsim K=6")]
    pairs += [(local, "infopro K=6")]
    gaps = {f"{b} - {a}": paired(known, a, b) for a, b in pairs if {a, b} <= {*known}}
    return {"methods": table, "paired": gaps, "runs": runs}


def ladder(quick: bool) -> dict[str, object]:
    """Run the ladder, and take differences seed by seed."""
    start = time.perf_counter()
    table, runs = table_of("ladder", LADDER, quick)
    pairs = [
        ("greedy K=6", "dgl K=6"),
        ("dgl K=6", "backprop"),
        ("greedy K=3", "greedy K=2"),
        ("greedy K=6", "greedy K=3"),
        ("interlocking n=1", "interlocking n=2"),
        ("interlocking n=2", "interlocking n=3"),
        ("interlocking n=3", "interlocking n=4"),
        ("interlocking n=4", "backprop"),
    ]
    return {
        "setting": {"width": WIDTH, "depth": DEPTH, "epochs": EPOCHS, "seeds": SEEDS},
        "methods": table,
        "paired": {f"{b} - {a}": paired(runs, a, b) for a, b in pairs},
        "wall_seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(sum(r["seconds"] for rs in runs.values() for r in rs), 1),
        "runs": runs,
    }


if __name__ == "__main__":
    measure(__doc__, {"ladder": ladder, "more": more})
