"""Bytes against accuracy, and accuracy against the batch.

    python -m tests.benchmarks.modular.communication [--quick]
        [--only convolutions gloo batches pair_sum steps]

convolutions, pair_sum   four workers, batches of 128, plain SGD whose rate falls to
           zero: a small convolutional network on digits (25 epochs), a perceptron on
           sums of two digits (10 epochs). Every way to exchange takes the best of the
           same three rates, by the mean over validation data of all seeds. Simulated in
           one process, with the bits of several: see workers.py.
gloo       one of these runs again, on four real processes: the same bits.
batches    the perceptron on 6000 sums, 10 epochs with batches of 32, 256 and 2048:
           SGD with momentum, LARS and LAMB, with and without a warm-up of a tenth (32
           without), each at the best of three rates by the mean over validation data,
           or of more while the largest is the best.
steps      plain SGD at a constant rate, the best of three: steps to a
           training loss for batches of 8 to 2048, beside the noise scale measured on
           the way.

Seeds are paired: one seed draws data, weights and order for all. Writes
``results/communication.json``, row by row; rows that are there are kept.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from modular.communication import (
    LAMB,
    LARS,
    QSGD,
    ErrorFeedback,
    RandomK,
    Sign,
    TernGrad,
    TopK,
    noise_scale,
)
from tests.benchmarks import record
from tests.benchmarks.modular.workers import (
    BATCH,
    PROBLEMS,
    SHARE,
    WORKERS,
    Way,
    accuracy,
    batches,
    gradients,
    on_processes,
    seeded,
    sent,
    sums,
    trained,
    wire,
)

SEEDS, EPOCHS, TARGET, LIMIT = 3, 10, 0.7, 40
RATES = (0.03, 0.1, 0.3)
SIZES, COUNTS = (2048, 256, 32), (8, 32, 128, 512, 2048)


def chance() -> torch.Generator:
    """Return what draws for the compressors."""
    return torch.Generator().manual_seed(0)


WAYS: dict[str, Callable[[], Way]] = {
    "all of the gradient": lambda: Way(),
    "top-k, feedback": lambda: Way(ErrorFeedback(TopK(SHARE))),
    "top-k": lambda: Way(TopK(SHARE)),
    "PowerSGD, rank 1": lambda: Way(rank=1),
    "random-k, feedback": lambda: Way(ErrorFeedback(RandomK(SHARE, chance()))),
    "random-k": lambda: Way(RandomK(SHARE, chance())),
    "QSGD, 4 bits": lambda: Way(QSGD(7, chance())),
    "TernGrad": lambda: Way(TernGrad(chance())),
    "sign, feedback": lambda: Way(ErrorFeedback(Sign())),
    "sign": lambda: Way(Sign()),
    "local SGD, 8 steps": lambda: Way(period=8),
    "local SGD, 100 steps": lambda: Way(period=100),
}
FEWER = [*WAYS][:3] + ["PowerSGD, rank 1"]  # on pair_sum
OPTIMISERS: dict[str, tuple[Callable, tuple[float, ...]]] = {
    "SGD": (
        lambda p, rate: torch.optim.SGD(p, rate, momentum=0.9),
        (0.02, 0.06, 0.2, 0.6, 2.0),
    ),
    "LARS": (lambda p, rate: LARS(p, rate), (3.0, 10.0, 30.0, 100.0, 300.0)),
    "LAMB": (lambda p, rate: LAMB(p, rate), (0.005, 0.015, 0.05, 0.15, 0.5)),
}


def frontier(name: str) -> dict[str, Callable[[int, float, int], dict]]:
    """Return what trains each way, by seed and rate."""
    problem = PROBLEMS[name]

    def run(make: Callable[[], Way], seed: int, rate: float) -> dict:
        way, start = make(), time.process_time()
        known, task = problem.data(seed)
        net = trained(problem, way, rate, seed, task)
        message, all_of_it = sent(way, net), sent(Way(), net)
        return {
            "accuracy": round(accuracy(net, task), 3),
            "validation": round(accuracy(net, known), 3),
            "message": message,
            "shorter": round(all_of_it / message, 2),
            "less on the wire": round(wire(Way(), all_of_it) / wire(way, message), 2),
            "seconds": round(time.process_time() - start, 1),
        }

    return {
        way: lambda seed, rate, make=make: run(make, seed, rate)
        for way, make in WAYS.items()
    }


def large(name: str, size: int, warm: bool, seed: int, rate: float) -> dict:
    """Train for some epochs with batches of one size."""
    problem = PROBLEMS["pair_sum"]
    (known, task), net = sums(seed, train=6000), seeded(problem, seed)
    rows = list(batches(task, size, seed, EPOCHS))
    optimizer = OPTIMISERS[name][0](net.parameters(), rate)
    rise = max(1, len(rows) // 10) if warm else 1
    schedule = LambdaLR(
        optimizer, lambda t: min(1, (t + 1) / rise) * (1 - t / len(rows))
    )
    for x, y in rows:
        optimizer.zero_grad()
        functional.cross_entropy(net(x), y).backward()
        optimizer.step()
        schedule.step()
    return {
        "accuracy": round(accuracy(net, task), 3),
        "validation": round(accuracy(net, known), 3),
        "steps": len(rows),
    }


def to_target(size: int, seed: int, rate: float) -> dict:
    """Count steps to a training loss, and measure the noise scale on the way."""
    problem = PROBLEMS["pair_sum"]
    task, net = problem.data(seed)[0], seeded(problem, seed)
    optimizer = torch.optim.SGD(net.parameters(), rate)
    every, squares = max(1, 4096 // size), []
    for t, (x, y) in enumerate(batches(task, size, seed, LIMIT), start=1):
        optimizer.zero_grad()
        functional.cross_entropy(net(x), y).backward()
        optimizer.step()
        if t % every == 0:
            squares.append(two_squares(net, x, y))
            if loss_of(net, task) < TARGET:
                break
    else:
        return {"steps": None, "noise scale": None}
    small, whole = (statistics.mean(column) for column in zip(*squares, strict=True))
    found = noise_scale(small, whole, max(1, size // 8), size)
    return {"steps": t, "noise scale": round(found.batch, 1)}


def two_squares(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple:
    """Return the mean square of gradients of eighths of a batch, and of all of it."""
    parts = [gradients(net, a, b) for a, b in zip(x.chunk(8), y.chunk(8), strict=True)]
    mean = [torch.stack(tensors).mean(dim=0) for tensors in zip(*parts, strict=True)]
    sizes = [square(part) for part in parts]
    return statistics.mean(sizes), square(mean)


def square(tensors: list[torch.Tensor]) -> float:
    """Return the squared length of a gradient."""
    return sum(t.square().sum().item() for t in tensors)


@torch.no_grad()
def loss_of(net: nn.Module, task) -> float:
    """Return the loss of two thousand training samples."""
    return functional.cross_entropy(net(task.x[:2000]), task.y[:2000]).item()


def rows(part: str) -> dict[str, tuple[Callable, tuple[float, ...]]]:
    """Return what measures each row of a part, and the rates it chooses from."""
    if part in ("convolutions", "pair_sum"):
        name = "digits, convolutions" if part == "convolutions" else part
        found = {way: (run, RATES) for way, run in frontier(name).items()}
        return {way: row for way, row in found.items() if part != name or way in FEWER}
    if part == "steps":

        def short(size: int) -> Callable:
            return lambda seed, rate: to_target(size, seed, rate)

        return {str(size): (short(size), RATES) for size in COUNTS}

    def one(name: str, size: int, warm: bool) -> Callable:
        return lambda seed, rate: large(name, size, warm, seed, rate)

    return {
        f"{name}, {size}{', warm-up' if warm else ''}": (
            one(name, size, warm),
            rates[: 3 if size == 32 else 5],
        )
        for size in SIZES
        for name, (_, rates) in OPTIMISERS.items()
        for warm in ((False,) if size == 32 else (False, True))
    }


def confirmed(found: dict) -> dict:
    """Repeat one run on real processes; say whether all bits are the same."""
    name, way = "digits, convolutions", WAYS["top-k, feedback"]()
    rate, problem = found["convolutions"]["top-k, feedback"]["rate"], PROBLEMS[name]
    task = problem.data(0)[1]
    alone = trained(problem, way, rate, 0, task)
    ranks = on_processes(name, rate)
    equal = [
        torch.equal(one["net"][key], p)
        for one in ranks
        for key, p in alone.state_dict().items()
    ]
    keys = ("sent", "plain")
    return {"all bits equal": all(equal)} | {key: ranks[0][key] for key in keys}


def better(runs: list[dict]) -> float:
    """Return what a search maximises: accuracy on validation data, or few steps."""
    if "validation" in runs[0]:
        return round(statistics.mean(run["validation"] for run in runs), 3)
    return -statistics.mean(run["steps"] or 10**6 for run in runs)


def measured(run: Callable, rates: tuple[float, ...], quick: bool) -> dict:
    """Train with three rates, and larger ones while the largest is the best."""
    seeds, runs = range(1 if quick else SEEDS), {}
    for rate in rates[:1] if quick else rates:
        if len(runs) >= 3 and best(runs) != max(runs):
            break
        runs[rate] = [run(seed, rate) for seed in seeds]
    searched = {rate: better(some) for rate, some in runs.items()}
    return {"rate": best(runs), "searched": searched, "runs": runs[best(runs)]}


def best(runs: dict[float, list[dict]]) -> float:
    """Return the rate whose runs are best in the mean."""
    return max(runs, key=lambda rate: better(runs[rate]))


def main() -> None:
    """Measure what is missing; keep each row at once."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parts = ("convolutions", "gloo", "batches", "pair_sum", "steps")
    parser.add_argument("--quick", action="store_true", help="one run, not written")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--most", type=int, default=1000, help="rows to measure")
    options, done = parser.parse_args(), 0
    torch.set_num_threads(1)
    path = record.RESULTS / "communication.json"
    facts = record.machine(("torch", "numpy", "scikit-learn"))
    setting = {"workers": WORKERS, "batch": BATCH, "share": SHARE, "seeds": SEEDS}
    setting |= {"epochs": EPOCHS, "target": TARGET}
    for part in options.only:
        if part == "gloo":
            found = json.loads(path.read_text())
            if "gloo" not in found:
                found["gloo"] = confirmed(found)
                print(found["gloo"], flush=True)
                record.write("communication", found)
            continue
        for name, (run, rates) in rows(part).items():
            found = json.loads(path.read_text()) if path.exists() else {}
            if name in found.get(part, {}) and not options.quick:
                continue
            if done == options.most:
                return
            done, start = done + 1, time.process_time()
            row = measured(run, rates, options.quick)
            row["cpu_seconds"] = round(time.process_time() - start, 1)
            print(f"{part:12} {name:24} {row}", flush=True)
            if not options.quick:
                found.setdefault(part, {})[name] = row
                facts_first = {"setting": setting, "machine": facts}
                record.write("communication", found | facts_first)


if __name__ == "__main__":
    main()
