"""The LISTA family on the standard benchmark, next to the published numbers.

    python -m tests.benchmarks.unroll.lista [--quick] [--only ROW ...]

Gaussian dictionary 250 x 500 with unit columns, codes of density 0.1, 16 layers,
float32, one thread; "ratio" NMSE in dB on one fixed test set of 10 000, which no
training sees, and on whose seed no setting was chosen. "published" are the logs of
Behrens, Sauder and Jung 2021 (NA-ALISTA), about 20.8 million samples each. Times are
CPU seconds. ``--quick`` is the teaching size 50 x 100, and the ablation.

A row is written to ``results/lista.json`` as soon as it is measured, and not measured
again while it is there; ``--only`` measures the named rows afresh.
"""

import argparse
import functools
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

import unroll as u
from tests.benchmarks import record
from unroll.training import DeepLogNMSE

SEEDS = {"dictionary": 0, "test": 101, "train": 2, "network": 3}
LOGS = 20_800_000  # samples behind a published number
Row = dict[str, Any]


def seeded(name: str) -> torch.Generator:
    return torch.Generator().manual_seed(SEEDS[name])


@functools.cache
def problem(
    snr_db: float | None = 40.0, m: int = 250, n: int = 500, density: float = 0.1
) -> u.SparseCoding:
    A = u.SparseCoding.gaussian(m, n, seeded("dictionary"), dtype=torch.float32).A
    return u.SparseCoding(A, density, snr_db)


@functools.cache
def test_set(coding: u.SparseCoding) -> tuple[Tensor, Tensor]:
    return coding.sample(10_000, seeded("test"))


@torch.no_grad()
def iterates_db(net: u.Unrolled, coding: u.SparseCoding) -> dict[str, Any]:
    """Error of every layer by the ratio, and of the last by both definitions."""
    b, x = test_set(coding)
    error, signal = 0.0, x.square().sum()
    last = []
    for part_b, part_x in zip(b.split(1000), x.split(1000), strict=True):
        iterates = net.iterates(part_b)
        error = error + (iterates - part_x).square().sum(dim=(1, 2))
        last.append(iterates[-1])
    layers = (10 * torch.log10(error / signal)).tolist()
    sample = u.nmse_db(torch.cat(last), x, "sample").item()
    return {
        "ratio_db": round(layers[-1], 2),
        "sample_db": round(sample, 2),
        "layers_db": [round(value, 2) for value in layers],
    }


def trained(
    net: u.Unrolled, coding: u.SparseCoding, published: float | None = None, **options
) -> Row:
    recipe = u.Recipe(**FAST | options)
    start = time.process_time()
    history = u.train(net, coding, recipe, generator=seeded("train"))
    seconds = time.process_time() - start
    row = {"published_db": published} | iterates_db(net, coding)
    row |= {
        "samples": history.samples,
        "samples_at_best": history.best_step * recipe.batch,
        "fraction_of_published_samples": history.samples / LOGS,
        "parameters": sum(p.numel() for p in net.parameters()),
        "seconds": round(seconds, 1),
        "recipe": asdict(recipe),
    }
    constants = net.constants().items()
    row["constants"] = {name: value.tolist() for name, value in constants}
    return row


def classical() -> Row:
    """ISTA and FISTA at the usual lambda, and AMP."""
    coding = problem()
    A, (b, x) = coding.A, test_set(coding)
    rows = {}
    for name, solve, published in (("ISTA", u.ista, -5.77), ("FISTA", u.fista, -7.63)):
        code = solve(A, b, 0.4, iterations=16).x
        reached = round(u.nmse_db(code, x).item(), 2)
        rows[name] = {"lam": 0.4, "published_db": published, "ratio_db": reached}
    errors = u.nmse_db(u.amp(A, b[:2000], keep_iterates=True).iterates, x[:2000])
    first = int((errors <= -35).nonzero()[0])
    rows["AMP"] = {
        "iterations_to_minus_35_db": first,
        "published_iterations": 25,
        "after_16_db": round(errors[16].item(), 2),
        "after_100_db": round(errors[100].item(), 2),
    }
    return rows


def bounds() -> Row:
    """What nothing learned reaches, on 50 samples: oracle, best Lasso, AMP."""
    exact = u.SparseCoding(problem().A.double(), 0.1, 40.0)  # the Lasso needs float64
    found = u.recovery_bounds(exact, 50, seeded("test"))
    names = ("oracle", "lasso", "lam", "amp")
    return {name: round(getattr(found, name), 4) for name in names} | {"samples": 50}


def hyper(snr_db: float | None) -> Row:
    """Three numbers, a coarse grid and a fine one, 128 samples in all.

    The samples are a little denser than those of the test, 0.12, so that so few of them
    contain the hard ones that decide the ratio of sums.
    """
    coding = problem(snr_db)
    denser = u.SparseCoding(coding.A, 0.12, snr_db)
    b, x = denser.sample(128, seeded("train"))
    net = u.HyperLISTA(coding.A)
    start = time.process_time()
    coarse = {"c1": [0.05, 0.075, 0.1], "c2": [0.0], "c3": [40, 55, 70, 85]}
    found = net.search(b, x, **coarse)
    triples = found.table.numel()
    fine = {
        "c1": [found.c1 * f for f in (0.85, 1.0, 1.15)],
        "c2": [0.0, 0.0003],
        "c3": [found.c3 * f for f in (0.9, 1.0, 1.1)],
    }
    found = net.search(b, x, **fine)
    triples += found.table.numel()
    seconds = time.process_time() - start
    row = {"published_db": None} | iterates_db(net, coding)
    row |= {"c1": found.c1, "c2": found.c2, "c3": found.c3, "on_edge": found.on_edge}
    return row | {"triples": triples, "samples": 128, "seconds": round(seconds, 1)}


def closed_form() -> Row:
    """The analytic weight against an iteration, float64, in CPU seconds."""
    A = problem().A.double()
    times = []
    for _ in range(6):  # the first is the warm-up
        start = time.process_time()
        W = u.analytic_weight(A)
        times.append(time.process_time() - start)
    closed = sorted(times[1:])[2]
    start = time.process_time()
    slow = A / A.square().sum(dim=0)
    step = 1 / torch.linalg.matrix_norm(A, 2) ** 2
    goal, iterations = (W.T @ A).square().sum(), 0
    while (slow.T @ A).square().sum() - goal > 1e-10 * goal:
        for _ in range(20):
            slow = slow - step * (A @ (A.T @ slow))
            slow = slow + A * ((1 - (slow * A).sum(dim=0)) / A.square().sum(dim=0))
        iterations += 20
    iterated = time.process_time() - start
    return {
        "objective": goal.item(),
        "iterated_objective": (slow.T @ A).square().sum().item(),
        "constraint_error": ((W * A).sum(dim=0) - 1).abs().max().item(),
        "seconds": closed,
        "iterated_seconds": iterated,
        "iterations": iterations,
        "times_faster": round(iterated / closed, 1),
        "coherence": {
            "mutual": u.mutual_coherence(A).item(),
            "analytic": u.generalized_coherence(W, A).item(),
            "symmetric": u.generalized_coherence(u.symmetric_weight(A), A).item(),
            "minimax_30_iterations": u.generalized_coherence(
                u.coherence_weight(A, iterations=30), A
            ).item(),
        },
    }


def restored(name: str, rows: Row) -> u.Unrolled:
    """The trained network of a row, from the constants stored with it."""
    net = NETWORKS[name](problem().A)
    for constant, values in rows[f"{name} 40"]["constants"].items():
        for layer, value in zip(net.layers, values, strict=True):
            setattr(layer, constant, u.Positive(value))
    return net


def elsewhere(rows: Row) -> Row:
    """Out of distribution: denser, sparser, larger codes, another dictionary.

    In float64, because a small gap of a large objective is lost in float32.
    """
    coding, lam, tol = u.SparseCoding(problem().A.double()), 0.003, 1e-4
    nets = {"HyperLISTA": u.HyperLISTA(coding.A)}
    with torch.no_grad():
        for name in ("c1", "c2", "c3"):
            getattr(nets["HyperLISTA"].layers[0], name).fill_(
                rows["HyperLISTA 40"][name]
            )
    for name in ("ALISTA", "RidgeALISTA"):
        if f"{name} 40" in rows:
            nets[name] = restored(name, rows).double()
    noise = torch.randn(coding.A.shape, generator=seeded("network"), dtype=torch.double)
    moved = coding.A + 0.02 * noise * coding.A.norm() / noise.norm()
    shifts = {
        "as trained": (coding, 1.0),
        "density 0.05": (u.SparseCoding(coding.A, 0.05), 1.0),
        "density 0.15": (u.SparseCoding(coding.A, 0.15), 1.0),
        "density 0.2": (u.SparseCoding(coding.A, 0.2), 1.0),
        "magnitudes x 3": (coding, 3.0),
        "A moved by 2 %": (u.SparseCoding(moved, 0.1), 1.0),
    }
    table = {}
    for shift, (source, scale) in shifts.items():
        b, x = source.sample(200, seeded("test"))
        b, x = scale * b, scale * x
        lasso = u.fista(coding.A, b, lam * scale, iterations=300, restart=True).x
        row = {"Lasso at lam 0.003": round(u.nmse_db(lasso, x).item(), 2)}
        for name, net in nets.items():
            with torch.no_grad():
                row[name] = round(u.nmse_db(net(b), x).item(), 2)
            solver = u.safeguard(net, coding.A, lam, tol)
            certified = solver(b, measure=True)
            row[f"{name} safeguarded"] = {
                "converged": bool(certified.lasso.converged.all()),
                "largest_gap": certified.lasso.gap.max().item(),
                "iterations": certified.lasso.iterations,
                "cold_iterations": certified.cold_iterations,
                "saved": round(certified.saved, 3),
            }
        table[shift] = row
    return {"lam": lam, "tol": tol, "samples": 200, "shifts": table}


def inference(rows: Row) -> Row:
    """1000 signals, one thread, float32: seconds (median of 5) and error of each."""
    coding = problem()
    b, x = (tensor[:1000] for tensor in test_set(coding))
    net = restored("ALISTA", rows)
    lam = 0.003  # about the best for recovery at 40 dB

    def by_fista(iterations: int) -> Callable[[], Tensor]:
        return lambda: u.fista(coding.A, b, lam, iterations=iterations, restart=True).x

    runs = {"ALISTA-16": lambda: net(b)}
    runs |= {f"FISTA {k}": by_fista(k) for k in (16, 50, 100, 200)}
    runs |= {
        f"AMP {k}": lambda k=k: u.amp(coding.A, b, iterations=k).x for k in (16, 30)
    }
    seconds, table = {name: [] for name in runs}, {}
    with torch.no_grad():
        for _ in range(6):
            for name, run in runs.items():
                start = time.process_time()
                code = run()
                seconds[name].append(time.process_time() - start)
                table[name] = {"ratio_db": round(u.nmse_db(code, x).item(), 2)}
    for name, times in seconds.items():
        table[name]["seconds"] = round(sorted(times[1:])[2], 4)
    first = table["ALISTA-16"]["seconds"]
    for row in table.values():
        row["times_alista"] = round(row["seconds"] / first, 2)
    return {"lam": lam, "signals": 1000, "dtype": "float32", "runs": table}


def ablation() -> Row:
    """Does "multiply the gradients of older layers by 0.3 per layer" do anything?

    50 x 100, ALISTA of 16 layers, 200 steps of Adam with its usual epsilon; the
    gradients of layer k times 0.3 ** (15 - k), or its rate, or neither.
    """
    coding, rows, ends = problem(40.0, 50, 100), {}, {}
    for kind in ("neither", "gradient x 0.3 per age", "rate x 0.3 per age"):
        net = u.ALISTA(coding.A, lam=0.2)
        factors = [0.3 ** (15 - k) for k in range(16)]
        groups = [
            {"params": layer.parameters(), "lr": 0.05 * (f if "rate" in kind else 1.0)}
            for layer, f in zip(net.layers, factors, strict=True)
        ]
        adam, generator = torch.optim.Adam(groups), seeded("train")
        start = torch.cat([p.detach().flatten() for p in net.parameters()])
        for _ in range(200):
            b, x = coding.sample(64, generator)
            adam.zero_grad()
            DeepLogNMSE().loss(net, net.iterates(b), b, x).backward()
            if "gradient" in kind:
                for layer, f in zip(net.layers, factors, strict=True):
                    for parameter in layer.parameters():
                        parameter.grad *= f
            adam.step()
        end = torch.cat([p.detach().flatten() for p in net.parameters()])
        ends[kind] = end
        moved = (end - start).norm().item()
        apart = (end - ends["neither"]).norm().item() / moved
        rows[kind] = iterates_db(net, coding) | {"moved": moved, "apart": apart}
    return rows


def made(kind: Callable[..., u.Unrolled], **options) -> Callable[..., u.Unrolled]:
    """A network with the counts of LISTA-CPSS: 1.2 % more per layer, 13 % at most."""
    keep = [round(min(0.012 * (k + 1), 0.13) * 500) for k in range(16)]
    return lambda A, **more: kind(A, lam=0.2, keep=keep, **options, **more)


def ridged(A: Tensor) -> u.Unrolled:
    return made(u.ALISTA)(A, weight=u.analytic_weight(A, ridge=1.0))


NETWORKS = {
    "ALISTA": made(u.ALISTA),
    "ALISTA with ridge 1": ridged,
    "ALISTA-AT": made(u.ALISTAAT, epsilon=0.3),
    "AGLISTA": made(u.AGLISTA),
    "NA-ALISTA": lambda A: made(u.NAALISTA)(A, generator=seeded("network")),
    "TISTA": lambda A: u.TISTA(A),
    "RidgeALISTA": made(u.RidgeALISTA),
}
FAST = {"lr": 0.05, "clip": math.inf, "grow": 0.0}  # few steps, all layers at once
CELL = {"lr": 0.01, "lr_matrices": 0.01, "clip": 1.0}


def full(rows: Row) -> dict[str, Callable[[], Row]]:
    """The rows of the standard benchmark, in order of their worth."""

    def learned(name: str, snr_db: float | None, **options) -> Callable[[], Row]:
        coding = problem(snr_db)
        return lambda: trained(NETWORKS[name](coding.A), coding, **options)

    def told() -> Row:  # the noiseless TISTA must know that there is no noise
        coding = problem(None)
        return trained(u.TISTA(coding.A, snr_db=None), coding, steps=150, lr=0.1)

    return {
        "closed form": closed_form,
        "ALISTA 40": learned("ALISTA", 40.0, steps=120, published=-39.07),
        "HyperLISTA 40": lambda: hyper(40.0),
        "RidgeALISTA 40": learned("RidgeALISTA", 40.0, steps=250),
        "ALISTA-AT 40": learned("ALISTA-AT", 40.0, steps=60, published=-41.97),
        "AGLISTA 40": learned("AGLISTA", 40.0, steps=250, published=-41.35),
        "inference": lambda: inference(rows),
        "ALISTA 20": learned("ALISTA", 20.0, steps=200, published=-21.08),
        "ALISTA with ridge 1 20": learned("ALISTA with ridge 1", 20.0, steps=200),
        "classical": classical,
        "elsewhere": lambda: elsewhere(rows),
        "NA-ALISTA 40": learned("NA-ALISTA", 40.0, steps=150, published=-42.19, **CELL),
        "ALISTA noiseless": learned("ALISTA", None, steps=100),
        "bounds": bounds,
        "RidgeALISTA 20": learned("RidgeALISTA", 20.0, steps=200),
        "TISTA 40": learned("TISTA", 40.0, steps=150, lr=0.1),
        "HyperLISTA noiseless": lambda: hyper(None),
        "TISTA noiseless": told,
    }


def quick(rows: Row) -> dict[str, Callable[[], Row]]:
    """The teaching size."""
    coding = problem(40.0, 50, 100)
    nets = {
        "LISTA": (u.LISTA, 400, {"lr_matrices": 3e-3}),
        "LISTACP": (u.LISTACP, 400, {"lr_matrices": 5e-3}),
        "LISTACPSS": (u.LISTACPSS, 400, {"lr_matrices": 5e-3}),
        "ALISTA": (u.ALISTA, 400, {}),
        "RidgeALISTA": (u.RidgeALISTA, 400, {}),
    }

    def learned(name: str) -> Callable[[], Row]:
        kind, steps, options = nets[name]
        return lambda: trained(
            kind(coding.A), coding, steps=steps, batch=256, **options
        )

    return {f"{name} 50x100": learned(name) for name in nets} | {"ablation": ablation}


def main() -> None:
    """Measure what is missing, row by row."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the teaching size only")
    parser.add_argument("--only", nargs="+", default=[], help="rows to measure afresh")
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = record.RESULTS / "lista.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else {}
    plan = quick(rows) if options.quick else full(rows) | quick(rows)
    unknown = set(options.only) - set(plan)
    if unknown:
        parser.error(f"unknown rows {sorted(unknown)}; choose from {list(plan)}")
    for name in options.only or [name for name in plan if name not in rows]:
        rows[name] = plan[name]()
        reached = rows[name].get("ratio_db", "")
        print(f"{name:24} {reached} dB  {rows[name].get('seconds', '')} s", flush=True)
        setting = {"seeds": SEEDS, "depth": 16, "density": 0.1, "test_samples": 10_000}
        setting |= {"nmse": "ratio, unless named sample", "dtype": "float32"}
        facts = {"machine": record.machine(("torch",)), "setting": setting}
        record.write("lista", facts | {"rows": rows})


if __name__ == "__main__":
    main()
