"""K-FAC: what its placements cost, to the byte, and its worth beside SGD and Adam.

    python -m tests.benchmarks.modular.curvature [--only oracle placements digits]
        [--cpu 50]

oracle      greatest difference of the factors from those of curvlinops, random nets.
placements  a small convolutional net on 2, 4 and 8 gloo processes: bytes sent and held,
            and operations, of every placement, each asserted equal to its formula;
            beside them the bytes of ResNet-50, by formula, and what was published.
autoencoder, digits
            steps and CPU seconds to a loss, on an autoencoder of digits and on their
            classification. SGD, Adam and K-FAC each have the best of as many settings,
            drawn from a range each, by the loss on seeds that are not raced.
price       K-FAC on digits, a batch cut into shares: factors of all samples, of the
            owner's share, and a control with the batch as small as that share.

Writes ``results/curvature.json``, row by row; rows that are there are kept.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from modular.curvature import KFAC
from tests.benchmarks import record
from tests.benchmarks.modular import curvature_race as race
from tests.benchmarks.modular.curvature_ranks import PUBLISHED, placements, resnet


def oracle(seed: int) -> dict[str, float]:
    """Return the greatest difference from curvlinops, of each layer's factors."""
    from curvlinops import FisherType, KFACLinearOperator

    generator = torch.Generator().manual_seed(seed)
    layers = nn.Conv2d(1, 2, 3, stride=2, padding=1), nn.Tanh(), nn.Flatten()
    net = nn.Sequential(*layers, nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 4)).double()
    for p in net.parameters():
        p.data = torch.randn(p.shape, generator=generator, dtype=p.dtype) / 2
    x = torch.randn(6, 1, 4, 4, generator=generator, dtype=torch.float64)
    y = torch.randint(4, (6,), generator=generator)
    kfac = KFAC(net, torch.optim.SGD(net.parameters(), 0.1), clip=None)
    functional.cross_entropy(net(x), y).backward()
    kfac.step()
    theirs = KFACLinearOperator(
        net.eval(),
        nn.CrossEntropyLoss(),
        list(net.parameters()),
        [(x, y)],
        fisher_type=FisherType.EMPIRICAL,
        separate_weight_and_bias=False,
    )
    theirs @ torch.ones(theirs.shape[1], dtype=torch.float64)  # makes them
    return {
        name: max(
            (A - theirs._input_covariances[name]).abs().max().item(),
            (G - theirs._gradient_covariances[name]).abs().max().item(),
        )
        for name, (A, G) in kfac.factors.items()
    }


LIMIT = {"seconds": float("inf")}  # of CPU, after which no row is begun


def read() -> dict:
    """Return what was measured before."""
    path = record.RESULTS / "curvature.json"
    return json.loads(path.read_text()) if path.exists() else {}


def keep(part: str, name: str, measure: Callable, *arguments: Any) -> Any:
    """Measure a row that is missing, and store it at once."""
    rows = read().get(part, {})
    if name in rows:
        return rows[name]
    if time.process_time() > LIMIT["seconds"]:
        raise SystemExit("stopped: run it again for the rest")
    row = measure(*arguments)
    print(f"{part:10} {name:34} {str(row)[:110]}", flush=True)
    found = read()  # parts may be measured beside each other
    found.setdefault(part, {})[name] = row
    found["setting"] = {
        "batch": race.BATCH,
        "trials": race.TRIALS,
        "seeds": race.SEEDS,
        "steps": race.STEPS,
        "code": race.CODE,
        "shares": race.SHARES,
    }
    found["published"] = PUBLISHED
    found["machine"] = record.machine(("torch", "numpy", "scikit-learn"))
    record.write("curvature", found)
    return row


def races(task: str) -> None:
    """Search, then race, on a task."""
    for method in race.METHODS:
        name = f"{task}, {method}"
        best = keep("search", name, race.search, task, method)["best"]
        for seed in range(race.SEEDS):
            keep("race", f"{name}, {seed}", race.race, task, method, best, seed)


def prices() -> None:
    """Measure the price of local factors, at the best setting of whole ones."""
    best = keep("search", "digits, K-FAC", race.search, "digits", "K-FAC")["best"]
    for shares in race.SHARES:
        for kind in ("local", "small batch"):
            ready = kind, shares, best
            more = keep("damping", f"{kind}, {shares}", race.more_damping, *ready)
            for seed in range(race.SEEDS):
                name = f"{kind}, {shares}, {seed}"
                keep("price", name, race.price, kind, shares, best, more, seed)


def all_placements() -> None:
    """Start real processes, and hold what they count against the formulas."""
    for ranks in (2, 4, 8):
        keep("placements", str(ranks), placements, ranks)
    keep("formula", "ResNet-50", resnet)


def oracles() -> None:
    """Compare with curvlinops where it is installed."""
    for seed in range(race.SEEDS):
        keep("oracle", str(seed), lambda s: max(oracle(s).values()), seed)


PARTS: dict[str, Callable[[], None]] = {
    "oracle": oracles,
    "placements": all_placements,
    "autoencoder": lambda: races("autoencoder"),
    "digits": lambda: races("digits"),
    "price": prices,
}


def main() -> None:
    """Measure what is missing; keep each row at once."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--cpu", type=float, help="begin no row after so many seconds")
    options = parser.parse_args()
    LIMIT["seconds"] = options.cpu or float("inf")
    torch.set_num_threads(1)
    for part in options.only:
        PARTS[part]()


if __name__ == "__main__":
    main()
