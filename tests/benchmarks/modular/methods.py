"""Accuracy, memory, unlocking and transfer of modular training, with paired seeds.

    python -m tests.benchmarks.modular.methods [--quick] [--only ladder memory ...]

ladder     pair_sum (12000 training pairs, 3000 test pairs of held-out digits), six
           blocks Linear - BatchNorm - ReLU of width 96, Adam 2e-3, batch 128, 12
           epochs. A seed sets the split, the weights and the order of the batches for
           all methods alike, so that differences are taken seed by seed. "greedy" is
           sequential, with linear heads; "dgl" has heads with one hidden layer; greedy
           is run with both.
more       horizon 5; greedy with DGL's heads, DGL with fewer modules; predsim and
           InfoPro, which did not reproduce their ranks.
memory     most bytes held for backward, depth 32, against torch's checkpointing.
unlocking  four real processes whose modules sleep (forward 20 ms, backward 40 ms), and
           the same with real work, which is reported and never judged.
kernel     two modules on digits: ten labels in all against all labels; transferability
           of one hidden module over the 45 pairs of digits.

Writes ``results/modular.json``; parts not run are kept, and every part has its own
"machine", next to that of the part measured last. ``--quick`` only prints.
"""

import argparse
import json
import math
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import repeat
from multiprocessing import get_context

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.utils.checkpoint import checkpoint

from modular import (
    DGL,
    Backprop,
    Calibrated,
    Greedy,
    InfoPro,
    Interlocking,
    KernelModules,
    LengthNorm,
    Partition,
    PredSim,
    Processes,
    Trainer,
    audit,
    digits,
    few_labels,
    pair_sum,
    transferability,
)
from modular.meter import SavedTensors
from modular.tasks import Task, binary_tasks
from tests.benchmarks import record

WIDTH, DEPTH, EPOCHS, SEEDS = 96, 6, 12, 5
adam = partial(torch.optim.Adam, lr=2e-3, fused=True)


def layer(a: int, b: int) -> list[nn.Module]:
    """Return Linear - BatchNorm - ReLU."""
    return [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()]


def read() -> dict:
    """Return what was measured before."""
    results = record.RESULTS / "modular.json"
    return json.loads(results.read_text()) if results.exists() else {}


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


class Checkpointed(nn.Module):
    """Layers that keep only their input and run forward again when asked."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return checkpoint(self.layers, h, use_reentrant=True)


def checkpointed_peak(layers: list[nn.Module], x: torch.Tensor, parts: int) -> int:
    """Return the most bytes held when training end to end with ``parts`` segments."""
    size = len(layers) // parts
    segments = [
        Checkpointed(*layers[i : i + size]) for i in range(0, len(layers), size)
    ]
    net = nn.Sequential(*segments)
    own = [*net.parameters(), *net.buffers()]
    with SavedTensors(exclude=own) as meter:
        net(x.clone().requires_grad_()).square().mean().backward()
    return meter.peak


def memory(quick: bool) -> dict[str, object]:
    """Return peaks of 32 blocks of width 96, batch 128."""
    torch.manual_seed(0)
    x, y = torch.randn(128, WIDTH), torch.arange(128) % 10
    found: dict[str, object] = {}

    def blocks() -> list[nn.Module]:
        made = [nn.Sequential(*layer(WIDTH, WIDTH)) for _ in range(32)]
        made[-1].append(nn.Linear(WIDTH, 10))
        return made

    def peak(method, modules: int) -> audit.Memory:
        partition = Partition(blocks(), modules, sample=x[:2], head="mlp")
        return audit.memory(Trainer(partition, method, optimizer=adam), (x, y))

    whole = peak(Backprop(), 1).peak
    found["backprop"] = {"bytes": whole, "ratio": 1.0}
    for modules in (2, 4, 8):
        local = peak(DGL(), modules)
        head = int(local.heads.max())
        found[f"dgl K={modules}"] = {
            "bytes": local.peak,
            "ratio": round(local.peak / whole, 4),
            "head_bytes": head,
            "times_share": round((local.peak - head) / (whole / modules), 4),
        }
        both = peak(Interlocking(2), modules).peak
        found[f"interlocking n=2, K={modules}"] = {
            "bytes": both,
            "ratio": round(both / whole, 4),
        }
        again = checkpointed_peak(blocks(), x, modules)
        found[f"checkpointing {modules}"] = {
            "bytes": again,
            "ratio": round(again / whole, 4),
        }
    for name, row in found.items():
        print(f"{name:22} {row}")
    return found


def course(method, transport, steps: int, modules: int = 4) -> Trainer:
    """Run some steps of four small modules in as many processes."""
    generator = torch.Generator().manual_seed(0)
    layers = [nn.Linear(32, 32) for _ in range(modules)]
    x, y = torch.randn(16, 32, generator=generator), torch.arange(16)
    partition = Partition(layers, modules, sample=x[:1], generator=generator)
    trainer = Trainer(
        partition, method, optimizer=adam, transport=transport, generator=generator
    )
    trainer.fit([(x, y)] * steps, epochs=1)
    return trainer


def unlocking(quick: bool) -> dict[str, object]:
    """Return measured and computed times of locked, pairwise and local training."""
    costs, steps, modules = Calibrated(0.02, 0.04), 10 if quick else 50, 4
    methods = {"locked": Backprop(), "pairwise": Interlocking(2), "local": DGL()}
    found: dict[str, object] = {"forward": 0.02, "backward": 0.04, "steps": steps}
    for name, method in methods.items():
        transport = Processes(modules, stand_in=costs, timeout=60)
        trainer = course(method, transport, steps)
        measured = audit.Timeline.traced(trainer)
        ideal = audit.timeline(trainer, costs, steps=steps)
        found[name] = {
            "seconds": round(measured.makespan, 4),
            "critical_path": round(ideal.makespan, 4),
            "over": round(measured.makespan / ideal.makespan, 4),
        }
    for name in methods:
        speed = found["locked"]["seconds"] / found[name]["seconds"]
        found[name]["speed_up"] = round(speed, 3)
        print(f"{name:22} {found[name]}")
    real = {}
    for name, method in methods.items():
        trainer = course(method, Processes(modules, timeout=60), steps)
        real[name] = {"seconds": round(float(trainer.history.seconds.sum()), 4)}
    found["real_work"] = real
    return found


def kernel_net(task: Task, seed: int) -> Partition:
    """Return a hidden module of two layers and an output module."""
    torch.manual_seed(seed)
    hidden = nn.Sequential(*layer(64, 64), *layer(64, 64))
    output = nn.Sequential(LengthNorm(), nn.Linear(64, task.classes))
    return Partition([hidden, output], 2, sample=task.x[:1])


def output_accuracy(net: Partition, task: Task, batches, epochs: int) -> float:
    """Train the output module anew on a frozen hidden module; test accuracy in %."""
    net.blocks[1].net[0][1].reset_parameters()
    trainer = Trainer(net, KernelModules(), optimizer=adam)
    trainer.fit(batches, epochs, phases=[1])
    return 100 * float(trainer.evaluate(task.test())[-1])


def ten_labels(seed: int) -> dict[str, float]:
    """Compare ten labels in all with all labels for the output module."""
    generator = torch.Generator().manual_seed(seed)
    task = digits(generator)
    net = kernel_net(task, seed)
    trainer = Trainer(net, KernelModules(), optimizer=adam, generator=generator)
    trainer.fit(task.batches(128, generator), 30, phases=[0])
    ten = few_labels(task.y, 1, generator)
    few = output_accuracy(net, task, [(task.x[ten], task.y[ten])], 300)
    return {
        "ten": few,
        "all": output_accuracy(net, task, task.batches(128, generator), 30),
    }


def transfer(tasks: int | None) -> dict[str, object]:
    """Correlate transferability with true accuracy over pairs of digits.

    The hidden module is trained to tell 0-4 from 5-9 only, so that it serves some pairs
    better than others.
    """
    generator = torch.Generator().manual_seed(0)
    task = digits(generator)
    coarse = Task(task.x, task.y // 5, task.x_test, task.y_test // 5, classes=2)
    net = kernel_net(coarse, 0)
    trainer = Trainer(net, KernelModules(), optimizer=adam, generator=generator)
    trainer.fit(coarse.batches(128, generator), 10, phases=[0])
    some = binary_tasks(task)[:tasks]
    proxy = transferability(net.blocks[0].net, [(t.x, t.y) for t in some])
    truth = []
    for one in some:
        few = few_labels(one.y, 5, generator)
        truth.append(output_accuracy(net, one, [(one.x[few], one.y[few])], 100))
    rho = float(spearmanr(proxy.numpy(), truth).statistic)
    chance = np.random.default_rng(0)
    shuffled = [
        spearmanr(chance.permutation(proxy.numpy()), truth).statistic
        for _ in range(2000)
    ]
    p = (1 + sum(value >= rho for value in shuffled)) / (1 + len(shuffled))
    return {
        "tasks": len(some),
        "spearman": round(rho, 4),
        "permutation_p": round(p, 5),
        "proxy": [round(v, 4) for v in proxy.tolist()],
        "accuracy": [round(v, 2) for v in truth],
    }


def kernel(quick: bool) -> dict[str, object]:
    """Return both kernel experiments."""
    runs = [ten_labels(seed) for seed in range(1 if quick else 5)]
    means = {k: round(statistics.mean(r[k] for r in runs), 2) for k in ("ten", "all")}
    found = transfer(5 if quick else None)
    print(
        f"ten labels {means}, spearman {found['spearman']} p {found['permutation_p']}"
    )
    return {"ten_labels": means | {"runs": runs}, "transfer": found}


PARTS = {
    "ladder": ladder,
    "more": more,
    "memory": memory,
    "unlocking": unlocking,
    "kernel": kernel,
}


def main() -> None:
    """Measure, print, and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small, nothing written")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    facts = record.machine(("torch", "numpy", "scipy", "scikit-learn"))
    for name in options.only:
        found = {"machine": facts} | PARTS[name](options.quick)
        if not options.quick:
            record.write("modular", read() | {name: found, "machine": facts})


if __name__ == "__main__":
    main()
