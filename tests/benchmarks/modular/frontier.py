"""Accuracy against memory and against speed, from one loss per module to one for all.

    python -m tests.benchmarks.modular.frontier [--figure]

Accuracies are those of ``methods.py`` (pair_sum, six modules). What they cost needs no
clock and is the same on every run: most bytes held for backward in a step, heads
included, and the time of 50 steps when every module has a machine of its own, by
``audit.timeline`` with a backward sweep twice as dear as a forward pass and heads for
nothing. Checkpointing is backpropagation that keeps three states and runs forward
twice.

Writes the part "frontier" of ``results/modular.json`` and the picture,
``course/site/images/frontier.png``; ``--figure`` only draws what is stored.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import torch

from modular import Calibrated, Partition, Trainer, audit, plot
from tests.benchmarks import record
from tests.benchmarks.modular import methods as bench
from tests.benchmarks.modular.audit import checkpointed_peak
from tests.benchmarks.modular.parts import adam, read

IMAGE = record.ROOT / "course" / "site" / "images" / "frontier.png"
COSTS, STEPS, SEGMENTS = Calibrated(forward=1.0, backward=2.0), 50, 3
CHAIN = {f"interlocking n={n}": f"{n}" for n in range(1, 6)} | {"backprop": "6"}
LINE = "interlocking, horizon 1 to 6; 6 is backpropagation"
OTHERS = {
    "greedy K=6": "greedy, one module after another",
    "dgl K=6": "DGL: horizon 1 with larger heads",
    "checkpointing": "backpropagation with checkpointing",
}
METHODS = {
    name: (bench.LADDER | bench.MORE)[name]
    for name in CHAIN | OTHERS
    if name != "checkpointing"
}


def costs() -> dict[str, dict[str, float]]:
    """Return bytes held and relative speed of every method."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(128, 128, generator=generator), torch.arange(128) % 10
    found = {}
    for name, (method, modules, head) in METHODS.items():
        net = Partition(bench.mlp(generator), modules, sample=x[:1], head=head)
        one = Trainer(net, method, optimizer=adam)
        phases = range(method.phases(modules))
        times = [audit.timeline(one, COSTS, steps=STEPS, phase=p) for p in phases]
        found[name] = {
            "bytes": max(audit.memory(one, (x, y), phase=p).peak for p in phases),
            "time": sum(t.makespan for t in times),
        }
    whole = found["backprop"]["time"]
    again = bench.DEPTH * STEPS * COSTS.forward
    held = checkpointed_peak(bench.mlp(generator), x, SEGMENTS)
    found["checkpointing"] = {"bytes": held, "time": whole + again}
    for row in found.values():
        row["speed_up"] = round(whole / row.pop("time"), 3)
    return found


def accuracies(stored: dict) -> dict[str, torch.Tensor]:
    """Return test accuracies (%), one per seed; checkpointing computes backprop."""
    runs = stored["more"]["runs"] | stored["ladder"]["runs"]
    found = {
        name: torch.tensor([run["accuracy"] for run in runs[name]]) for name in METHODS
    }
    return found | {"checkpointing": found["backprop"]}


def draw(stored: dict, path: Path) -> None:
    """Draw both frontiers."""
    mpl.use("agg")
    import matplotlib.pyplot as plt

    table, found = stored["frontier"]["methods"], accuracies(stored)
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), sharey=True, dpi=120)
    kib = {name: row["bytes"] / 1024 for name, row in table.items()}
    speed = {name: row["speed_up"] for name, row in table.items()}
    for ax, x in zip(axes, (kib, speed), strict=True):
        plot.frontier(ax, x, found, chain=CHAIN, line=LINE, others=OTHERS)
    axes[0].set_xlabel("held for the backward pass (KiB)")
    axes[0].set_xlim(0, 1.07 * max(kib.values()))
    axes[1].set_xlabel("speed-up with one machine per module")
    axes[0].set_ylabel("test accuracy (%)")
    axes[1].set_ylabel("")
    axes[1].set_xscale("log", base=2)
    axes[1].set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
    entries = axes[0].get_legend_handles_labels()
    figure.tight_layout(rect=(0, 0, 1, 0.86))
    figure.legend(*entries, ncols=2, loc="upper center", frameon=False)
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    """Count, keep and draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--figure", action="store_true", help="only draw what is kept")
    stored = read()
    if not parser.parse_args().figure:
        torch.set_num_threads(1)
        facts = record.machine(("torch",))
        stored |= {"frontier": {"machine": facts, "steps": STEPS, "methods": costs()}}
        record.write("modular", stored)
        for name, row in stored["frontier"]["methods"].items():
            print(f"{name:20} {row['bytes']:8} bytes, {row['speed_up']:.2f} x")
    draw(stored, IMAGE)


if __name__ == "__main__":
    main()
