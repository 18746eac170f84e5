"""What chapters 12 and 13 claim of learned sparse codes, each cause with its control.

    python -m tests.benchmarks.unroll.claims [--only ROW ...]

Gaussian dictionaries 50 x 100 with unit columns, codes of density 0.1, SNR 40 dB,
float32, one thread. A seed draws its own dictionary, training batches, validation set
of 1000 and test set of 3000; the rows of a seed share them, so that rows are compared
in pairs. Every network is trained by the same loop, Adam at one rate that falls to zero
along a half cosine, at each rate of a list; which rate counts is decided on the
validation set. Where matrices are learned, a threshold is the absolute value of its
parameter, as in chapter 12. "db" is the ratio of sums. Times are CPU seconds.

A row is written to ``results/claims_unroll.json`` as soon as it is measured, and not
measured again while it is there; ``--only`` measures the named rows afresh.
"""

import argparse
import copy
import json
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

import unroll as u
from tests.benchmarks import record
from tests.benchmarks.unroll import lines

SEEDS = (0, 1, 2)
TEST, VALIDATION, BATCH = 3000, 1000, 64
ROUNDS = (10, 20, 60, 110)  # how long the tied network is run after training
KEEP = [round(min(0.012 * (k + 1), 0.13) * 100) for k in range(16)]
Row = dict[str, Any]
Loss = Callable[[Tensor, Tensor], Tensor]


@cache
def problem(seed: int) -> u.SparseCoding:
    """The dictionary of a seed."""
    return lines.gaussian(50, 100, seed)


@cache
def samples(seed: int, purpose: int, count: int) -> tuple[Tensor, Tensor]:
    """Validation (1) or test (2) set of a seed."""
    g = torch.Generator().manual_seed(1000 * purpose + seed)
    return problem(seed).sample(count, g)


class Absolute(torch.nn.Module):
    """A threshold as chapter 12 has it: the absolute value of any number."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.raw = torch.nn.Parameter(value.detach().clone())

    def forward(self) -> Tensor:
        """Return the threshold."""
        return self.raw.abs()


def with_matrices(make: Callable[[Tensor], u.Unrolled], coding: u.SparseCoding):
    """A network of the library with chapter 12's thresholds."""
    net = make(coding.A)
    for layer in net.layers:
        layer.theta = Absolute(layer.theta())
    return net


def every_layer(iterates: Tensor, x: Tensor) -> Tensor:
    """Mean over the layers of their error in dB."""
    return u.nmse_db(iterates[1:], x).mean()


def last_layer(iterates: Tensor, x: Tensor) -> Tensor:
    """Error of the last layer, a plain ratio."""
    return (iterates[-1] - x).square().sum() / x.square().sum()


def fit(
    net: u.Unrolled, seed: int, rate: float, steps: int, batch: int, loss: Loss
) -> Row:
    """Train in place; the network ends with its best weights on the validation set."""
    coding, g = problem(seed), torch.Generator().manual_seed(seed)
    adam = torch.optim.Adam(net.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    best, kept, reached = torch.inf, {}, []
    for step in range(steps + 1):
        if step % (steps // 25) == 0:
            with torch.no_grad():
                b, x = samples(seed, 1, VALIDATION)
                error = u.nmse_db(net(b), x).item()
            if error < best:
                best = error
                kept = copy.deepcopy(net.state_dict())
        if step < steps:
            b, x = coding.sample(batch, g)
            adam.zero_grad()
            loss(net.iterates(b), x).backward()
            reached.append(sum(_learns(layer) for layer in net.layers))
            adam.step()
            schedule.step()
    net.load_state_dict(kept)
    return {
        "validation_db": round(best, 2),
        "fewest_layers_with_gradient": min(reached),
    }


def _learns(layer: torch.nn.Module) -> bool:
    """Whether any parameter of a layer has a gradient that is not zero."""
    return any(p.grad is not None and p.grad.any() for p in layer.parameters())


@torch.no_grad()
def tested(net: u.Unrolled, seed: int) -> Row:
    """Error of the layers on the test set, and how many of them do nothing."""
    b, x = samples(seed, 2, TEST)
    layers = u.nmse_db(net.iterates(b), x)[1:]
    return {
        "db": round(layers[-1].item(), 2),
        "layers_db": [round(error, 2) for error in layers.tolist()],
        "layers_that_do_nothing": int((layers > -0.2).sum()),
    }


@torch.no_grad()
def run_on(net: u.Unrolled, seed: int) -> dict[str, float]:
    """Error of a tied network that is run for longer than it was trained for."""
    b, x = samples(seed, 2, TEST)
    code, errors = torch.zeros_like(x), {}
    for k in range(1, max(ROUNDS) + 1):
        code = net.layers[0](code, b, 0)
        if k in ROUNDS:
            error = u.nmse_db(code, x).nan_to_num(torch.inf).clamp(max=999.0)
            errors[str(k)] = round(error.item(), 2)
    return errors


def searched(
    make: Callable[[u.SparseCoding], u.Unrolled],
    rates: tuple[float, ...],
    steps: int = 600,
    batch: int = BATCH,
    loss: Loss = every_layer,
) -> Row:
    """Train a network at every rate and seed; say which rate validation prefers."""
    start, found, numbers = time.process_time(), {}, 0
    for rate in rates:
        runs = []
        for seed in SEEDS:
            net = make(problem(seed))
            run = fit(net, seed, rate, steps, batch, loss) | tested(net, seed)
            if len({id(layer) for layer in net.layers}) < net.depth:
                run["run_on_db"] = run_on(net, seed)
            runs.append(run)
            numbers = sum(p.numel() for p in net.parameters())
        found[str(rate)] = {key: [run[key] for run in runs] for key in runs[0]}
    best = min(found, key=lambda rate: sum(found[rate]["validation_db"]))
    return {
        "numbers": numbers,
        "samples": steps * batch,
        "best_rate": best,
        "db": found[best]["db"],
        "rates": found,
        "seconds": round(time.process_time() - start, 1),
    }


def from_analytic(A: Tensor) -> u.LISTACP:
    """LISTA-CP that starts at the analytic weight, with ALISTA's first step."""
    net, start = u.LISTACP(A, 16, lam=0.1), u.ALISTA(A, 16, lam=0.1)
    with torch.no_grad():
        for layer, first in zip(net.layers, start.layers, strict=True):
            layer.W.copy_(first.gamma() * u.analytic_weight(A))
            layer.theta = u.Positive(first.theta().clone())
    return net


def derived(
    coding: u.SparseCoding, depth: int, analytic: bool, select: bool
) -> u.ALISTA:
    """Two numbers a layer, with one weight or the other, with selection or without."""
    keep = KEEP[:depth] if select else 0
    weight = None if analytic else coding.A
    lam = 0.2 if depth == 10 else 0.1
    return u.ALISTA(coding.A, depth, lam=lam, keep=keep, weight=weight)


def plan() -> dict[str, Callable[[], Row]]:
    """All rows: chapter 12 with ten layers, chapter 13 with sixteen, the lines."""
    matrices, few = (0.02, 0.01, 0.005), (1.0, 0.5, 0.2, 0.1, 0.05, 0.02)
    rates = (0.03, 0.01, 0.003, 0.001)
    rows: dict[str, Callable[[], Row]] = {}
    ten = {
        "LISTA": partial(u.LISTA, depth=10, lam=0.2),
        "LISTA, tied": partial(u.LISTA, depth=10, lam=0.2, tied=True),
        "LISTA-CP": partial(u.LISTACP, depth=10, lam=0.2),
    }
    for name, make in ten.items():
        net = partial(with_matrices, make)
        rows[f"ten layers: {name}"] = partial(searched, net, matrices)
    rows["ten layers: LISTA, last layer's loss"] = partial(
        searched,
        partial(with_matrices, ten["LISTA"]),
        (0.01, 0.003, 0.001),
        loss=last_layer,
    )
    for analytic, weight in ((False, "W = A"), (True, "analytic W")):
        make = partial(derived, depth=10, analytic=analytic, select=False)
        rows[f"ten layers: {weight}"] = partial(searched, make, few)
        for select, with_it in ((False, "soft threshold"), (True, "selection")):
            make = partial(derived, depth=16, analytic=analytic, select=select)
            rows[f"{weight}, {with_it}"] = partial(searched, make, few)
    learned = {
        "learned W, soft threshold": partial(u.LISTACP, depth=16, lam=0.1),
        "learned W, selection": partial(u.LISTACPSS, depth=16, lam=0.1, keep=KEEP),
        "learned W from the analytic one, soft threshold": from_analytic,
    }
    for name, make in learned.items():  # 76 800 samples
        net = partial(with_matrices, make)
        rows[name] = partial(searched, net, rates, steps=300, batch=256)
    net = partial(with_matrices, learned["learned W, soft threshold"])
    rows["learned W, soft threshold, 256 000 samples"] = partial(
        searched, net, rates, steps=1000, batch=256
    )
    settings = {"rate": 0.05, "steps": 600, "batch": BATCH, "loss": every_layer}
    rows["lines 50 x 100"] = partial(lines.small, SEEDS, partial(fit, **settings), KEEP)
    rows["lines 250 x 500"] = lines.standard
    return rows


def measured() -> dict[str, Row]:
    """The rows that are stored."""
    path = record.RESULTS / "claims_unroll.json"
    return json.loads(path.read_text())["rows"] if path.exists() else {}


def main() -> None:
    """Measure what is missing, row by row."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", default=[], help="rows to measure afresh")
    options = parser.parse_args()
    torch.set_num_threads(1)
    todo = plan()
    unknown = set(options.only) - set(todo)
    if unknown:
        parser.error(f"unknown rows {sorted(unknown)}; choose from {list(todo)}")
    for name in options.only or [name for name in todo if name not in measured()]:
        row = todo[name]()
        print(f"{name:50} {row['db']} {row['seconds']} s", flush=True)
        setting = {"seeds": SEEDS, "test": TEST, "validation": VALIDATION}
        setting |= {"density": 0.1, "snr_db": 40.0, "dtype": "float32"}
        facts = {"machine": record.machine(("torch",)), "setting": setting}
        rows = measured() | {name: row}  # another process may have added some
        rows = {known: rows[known] for known in todo if known in rows}
        record.write("claims_unroll", facts | {"rows": rows})


if __name__ == "__main__":
    main()
