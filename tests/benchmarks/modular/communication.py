"""Bytes against accuracy, and accuracy against the batch.

    python -m tests.benchmarks.modular.communication [--quick]
        [--only convolutions gloo batches pair_sum steps]

convolutions, pair_sum   four workers, batches of 128, plain SGD whose rate falls to
           zero: a small convolutional network on digits (25 epochs), a perceptron on
           sums of two digits (5 epochs). Every way to exchange takes the best rate of
           the same search. Simulated in one process, with the bits of several: see
           workers.py.
gloo       one of these runs again, on four real processes: the same bits.
batches    the perceptron on 6000 sums, 10 epochs with batches of 32, 256 and 2048:
           SGD with momentum, LARS and LAMB, with and without a warm-up of a tenth (32
           without).
steps      plain SGD at a constant rate: steps to a training loss for batches of 8 to
           2048, beside the noise scale measured on the way; see steps.py.

The search (rates.py): three rates, by the mean over validation data of all seeds, and
more as long as the best is the largest or the smallest; a rate whose first seed is far
behind is given up. Steps have no validation data: the best rate is that of the runs
that are shown. Seeds are paired: one seed draws data, weights and order for all. Writes
``results/communication.json``, row by row; rows that are there are kept.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial

import torch
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
)
from tests.benchmarks import record
from tests.benchmarks.modular.rates import measured, open_ended
from tests.benchmarks.modular.steps import COUNTS, TARGET, TWOS, to_target
from tests.benchmarks.modular.workers import (
    BATCH,
    PROBLEMS,
    SHARE,
    WORKERS,
    Way,
    accuracy,
    batches,
    on_processes,
    seeded,
    sent,
    sums,
    trained,
    wire,
)

SEEDS, EPOCHS, SIZES = 3, 10, (2048, 256, 32)
RATES = tuple(0.1 * 2.0**k for k in range(-6, 7))


def chance() -> torch.Generator:
    """Return what draws for the compressors."""
    return torch.Generator().manual_seed(0)


WAYS: dict[str, Callable[[], Way]] = {
    "all of the gradient": lambda: Way(),
    "top-k, feedback": lambda: Way(ErrorFeedback(TopK(SHARE))),
    "top-k": lambda: Way(TopK(SHARE)),
    "PowerSGD, rank 1": lambda: Way(rank=1),
    "sign, feedback": lambda: Way(ErrorFeedback(Sign())),
    "sign": lambda: Way(Sign()),
    "QSGD, 4 bits": lambda: Way(QSGD(7, chance())),
    "TernGrad": lambda: Way(TernGrad(chance())),
    "local SGD, 8 steps": lambda: Way(period=8),
    "post-local SGD, 8 steps": lambda: Way(period=8, before=0.5),
    "local SGD, 100 steps": lambda: Way(period=100),
    "random-k, feedback": lambda: Way(ErrorFeedback(RandomK(SHARE, chance()))),
    "random-k": lambda: Way(RandomK(SHARE, chance())),
    "top-k, half as many, feedback": lambda: Way(ErrorFeedback(TopK(SHARE / 2))),
    "top-k, half as many": lambda: Way(TopK(SHARE / 2)),
}
OPTIMISERS: dict[str, tuple[Callable, tuple[float, ...]]] = {
    "SGD": (
        lambda p, rate: torch.optim.SGD(p, rate, momentum=0.9),
        (0.0006, 0.002, 0.006, 0.02, 0.06, 0.2, 0.6, 2.0),
    ),
    "LARS": (
        lambda p, rate: LARS(p, rate),
        (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0),
    ),
    "LAMB": (
        lambda p, rate: LAMB(p, rate),
        (0.00015, 0.0005, 0.0015, 0.005, 0.015, 0.05, 0.15, 0.5),
    ),
}


def frontier(name: str) -> dict[str, Callable[[int, float, int], dict]]:
    """Return what trains each way, by seed and rate."""
    problem = PROBLEMS[name]

    def run(make: Callable[[], Way], seed: int, rate: float) -> dict:
        way, start = make(), time.process_time()
        known, task = problem.data(seed)
        net = trained(problem, way, rate, seed, task)
        fresh = seeded(problem, seed)  # the other may have diverged
        message, all_of_it = sent(way, fresh), sent(Way(), fresh)
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


def rows(part: str) -> dict[str, tuple[Callable, tuple[float, ...], int]]:
    """Return what measures each row, all rates, and which of them is the first."""
    if part in ("convolutions", "pair_sum"):
        name = "digits, convolutions" if part == "convolutions" else part
        first, ways = (7, [*WAYS][:8]) if part == name else (6, [*WAYS])
        runs = frontier(name)
        return {way: (runs[way], RATES, first) for way in ways}
    if part == "steps":
        return {
            str(size): (partial(to_target, size), TWOS, first)
            for size, first in COUNTS.items()
        }
    return {
        f"{name}, {size}{', warm-up' if warm else ''}": (
            partial(large, name, size, warm),
            rates,
            3,
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
    return {
        "steps": len(list(batches(task, BATCH, 0, problem.epochs))),
        "all bits equal": all(equal),
        "accuracy": round(accuracy(seeded(problem, 0, ranks[0]["net"]), task), 3),
        "simulated": round(accuracy(alone, task), 3),
        "sent": ranks[0]["sent"],
        "plain": ranks[0]["plain"],
    }


def read() -> dict:
    """Return what was measured before."""
    path = record.RESULTS / "communication.json"
    return json.loads(path.read_text()) if path.exists() else {}


def main() -> None:
    """Measure what is missing; keep each row at once."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parts = ("convolutions", "gloo", "batches", "pair_sum", "steps")
    parser.add_argument("--quick", action="store_true", help="one run, not written")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--most", type=int, default=1000, help="rows to measure")
    options, done = parser.parse_args(), 0
    torch.set_num_threads(1)
    facts = record.machine(("torch", "numpy", "scikit-learn"))
    setting = {"workers": WORKERS, "batch": BATCH, "share": SHARE, "seeds": SEEDS}
    setting |= {"epochs": EPOCHS, "target": TARGET}
    for part in options.only:
        if part == "gloo":
            if "gloo" not in read():
                found = read() | {"gloo": confirmed(read())}
                print(found["gloo"], flush=True)
                record.write("communication", found)
            continue
        for name, (run, rates, first) in rows(part).items():
            row = {} if options.quick else read().get(part, {}).get(name, {})
            if row and not open_ended(row, rates):
                continue
            if done == options.most:
                return
            done, start = done + 1, time.process_time()
            rates = rates[first:][:1] if options.quick else rates
            seeds = range(1 if options.quick else SEEDS)
            row = measured(run, rates, 0 if options.quick else first, seeds, row)
            row["cpu_seconds"] = round(time.process_time() - start, 1)
            print(f"{part:12} {name:24} {row}", flush=True)
            if not options.quick:
                found = read()  # parts may be measured beside each other
                found.setdefault(part, {})[name] = row
                facts_first = {"setting": setting, "machine": facts}
                record.write("communication", found | facts_first)


if __name__ == "__main__":
    main()
