"""Auxiliary variables: what they cost in accuracy, what they give in time.

    python -m tests.benchmarks.modular.lifted [--quick] [--only law accuracy bregman]

law        stages that sleep, in as many processes: time of backpropagation, one stage
           after another, over that of free states whose exchange takes as long as an
           AuxNet would; beside eq. 27 of Sun, Dong et al. 2021 (arXiv 2112.05387).
accuracy   pair_sum (4000 training pairs, 3000 of held-out digits), six blocks of width
           96 cut into three modules, Adam 2e-3, batch 128, 20 epochs; paired seeds.
           Free states and SPH take the better of two settings on the first seed. The
           control is backpropagation with the hidden modules frozen as drawn.
bregman    digits, a network 64-64-64-10, batches of 128, equal epochs: implicit steps
           on the lifted energy against Adam on its twin; paired seeds. Multiplications
           are counted in forward passes.

Writes ``results/lifted.json``, row by row; parts and rows that are there are kept.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from modular import (
    DGL,
    Backprop,
    Calibrated,
    Partition,
    Processes,
    Trainer,
    audit,
    digits,
    pair_sum,
)
from modular.lifted import (
    SPH,
    AugmentedLagrangian,
    AuxNet,
    BregmanNet,
    Free,
    ImplicitSGD,
    Lifted,
    Quadratic,
    ReLU,
    Softmax,
    mlp,
)
from tests.benchmarks import record
from tests.benchmarks.modular.methods import mlp as six_blocks
from tests.benchmarks.modular.parts import adam

FORWARD, BACKWARD, EXCHANGE, STEPS = 0.8, 1.6, 0.05, 5  # seconds, of the whole network
PAIRS, EPOCHS = 4000, 20
BETA, RATE = 0.01, 50.0
SEEDS = {"law": 1, "accuracy": 3, "bregman": 5}

FROZEN = "control, hidden modules frozen"
METHODS = {
    "backpropagation": lambda: Backprop(),
    "DGL": lambda: DGL(),
    "penalty, free states": lambda: Lifted(Quadratic(BETA), Free(PAIRS, rate=RATE)),
    "penalty, AuxNet": lambda: Lifted(
        Quadratic(BETA), AuxNet(partial(mlp, inputs=128, width=64), rate=RATE)
    ),
    "multipliers, SPH": lambda: Lifted(AugmentedLagrangian(BETA), SPH(PAIRS)),
    FROZEN: lambda: Backprop(),
}


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


def accuracy(name: str, seed: int) -> dict[str, float]:
    """Train one method with one seed on sums of two digits."""
    method, generator = METHODS[name](), torch.Generator().manual_seed(seed)
    task = pair_sum(generator, train=PAIRS)
    layers = six_blocks(generator)
    partition = Partition(layers, 3, sample=task.x[:1], head="mlp", generator=generator)
    if name == FROZEN:
        partition.freeze(0, 1)
    rows = [task.x, task.y]
    if isinstance(method, Lifted) and method.states.indexed:
        rows.append(torch.arange(PAIRS))
    order = torch.Generator().manual_seed(seed)
    loader = DataLoader(
        TensorDataset(*rows), 128, shuffle=True, drop_last=True, generator=order
    )
    trainer = Trainer(partition, method, optimizer=adam, generator=generator)
    if isinstance(method, Lifted):  # states of every sample, the last batch's too
        whole = DataLoader(TensorDataset(*rows), 500)
        trainer.fit(whole, epochs=1, phases=[1])
    start = time.process_time()
    epochs = (
        EPOCHS // 2 if isinstance(method, Lifted) and method.states.sweeps else EPOCHS
    )
    trainer.fit(loader, epochs, phases=None)
    return {
        "accuracy": round(100 * float(trainer.evaluate(task.test())[-1]), 2),
        "seconds": round(time.process_time() - start, 1),
    }


def batches(x: Tensor, y: Tensor, seed: int, epochs: int) -> Iterator[tuple]:
    """Yield shuffled batches of some epochs."""
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=order).split(128):
            yield x[rows], y[rows]


def bregman(name: str, seed: int, epochs: int = 20) -> dict[str, float]:
    """Train a network on digits, by its lifted energy or by backpropagation."""
    task = digits(torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed)
    net = BregmanNet([64, 64, 64, 10], [ReLU(), ReLU(), Softmax()], generator=generator)
    passes, start = 0, time.process_time()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    inner = 10
    for x, y in batches(task.x, task.y, seed, epochs):
        if name == "backpropagation":
            optimizer.zero_grad()
            h = net.inputs(x, net.states(x))[-1]
            functional.cross_entropy(h, y).backward()
            optimizer.step()
            passes += 3  # forward, and a backward sweep is two
        else:
            target = functional.one_hot(y, 10).to(x)
            ImplicitSGD(10.0, inner, momentum=True).step(net, x, target)
            passes += 2 + inner * 5  # states: two z and a transpose; weights: two more
    with torch.no_grad():
        right = net(task.x_test).argmax(dim=1) == task.y_test
    return {
        "accuracy": round(100 * float(right.double().mean()), 2),
        "passes": passes,
        "seconds": round(time.process_time() - start, 1),
    }


PARTS: dict[str, tuple[Callable, list]] = {
    "law": (law, [2, 4, 8]),
    "accuracy": (accuracy, list(METHODS)),
    "bregman": (bregman, ["backpropagation", "lifted Bregman"]),
}


def read() -> dict:
    """Return what was measured before."""
    path = record.RESULTS / "lifted.json"
    return json.loads(path.read_text()) if path.exists() else {}


def summary(runs: list[dict]) -> dict[str, float]:
    """Return the median and the spread of every number of some runs."""
    found = {}
    for key in runs[0]:
        values = [run[key] for run in runs]
        found[key] = statistics.median(values)
        found[f"{key}_range"] = [min(values), max(values)]
    return found


def main() -> None:
    """Measure what is missing; keep each row at once."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one seed, not written")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    facts = record.machine(("torch", "numpy", "scikit-learn"))
    for part in options.only:
        measure, names = PARTS[part]
        seeds = 1 if options.quick else SEEDS[part]
        kept = {} if options.quick else read().get(part, {}).get("runs", {})
        runs = {str(name): kept.get(str(name), []) for name in names}
        for seed in range(seeds):
            for name in names:
                if len(runs[str(name)]) > seed:
                    continue
                runs[str(name)].append(measure(name, seed))
                print(f"{part:9} {name!s:25} {seed} {runs[str(name)][-1]}", flush=True)
                if options.quick:
                    continue
                whole = max(1, min(len(r) for r in runs.values()))  # paired seeds
                rows = {k: summary(r[:whole]) for k, r in runs.items() if r}
                found = {"seeds": whole, "rows": rows, "runs": runs, "machine": facts}
                record.write("lifted", read() | {part: found, "machine": facts})


if __name__ == "__main__":
    main()
