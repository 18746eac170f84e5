"""Splitting methods unrolled, on images, each beside its classical parent.

    python -m tests.benchmarks.unroll.images [--only ROW ...]

Photographs are windows of scikit-learn's two: trained on one, the temple, measured on
the other, the dahlia. Phantoms are fresh ellipses. Classical methods have the best
weight for the test images, which favours them; ADMM-Net starts at the total variation
that is best before training, on windows of the training photograph. Rows that say so
divide every sample by the spread of its measurements, of which the noise is a hundredth
part, and see windows at three zooms: chosen with the right third of the training
photograph held out. Three seeds for every network. Seconds are of the CPU, one thread;
PSNR is the mean over the images, white 1.
"""

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

import unroll as u
from tests.benchmarks import record
from tests.benchmarks.unroll.pictures import (
    EachPSNR,
    MeanPSNR,
    Zoomed,
    best,
    filtered_back_projection,
    haar,
    in_basis,
    psnr,
    ssim,
)
from unroll.images import ADMMNet, ISTANet, LearnedPrimalDual, MoDL
from unroll.operators import FourierSample, Matrix, Ray
from unroll.penalties import TV
from unroll.problems import Ellipses, Imaging, Photographs
from unroll.problems.patches import grey_photograph
from unroll.training import LastNMSE, Recipe

SEEDS = (0, 1, 2)
ROWS = 26  # of blocks in a photograph of 427 x 640
DEPTH = 6  # stages of ADMM-Net
STARTS = (0.0005, 0.001, 0.002, 0.004), (0.05, 0.1, 0.2, 0.4, 0.8)  # lam, rho
Row = dict[str, Any]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# The three problems: what is trained on, and the images to measure with


def blocks() -> tuple[Imaging, Imaging]:
    """Blocks of 16 x 16 behind 64 orthonormal random rows: 25 %, SNR 40."""
    Q = torch.linalg.qr(torch.randn(256, 64, generator=seeded(100)))[0]
    A = Matrix(Q.T.contiguous(), (16, 16))
    return tuple(
        Imaging(A, Photographs((16, 16), names=(name,)), snr_db=40.0)
        for name in ("china", "flower")
    )


def scans() -> tuple[Imaging, Imaging]:
    """Phantoms of 32 x 32 at 16 angles; noise of about 5 %, as the paper has."""
    problem = Imaging(Ray((32, 32), 16), Ellipses((32, 32)), snr_db=26.0)
    return problem, problem


def samples() -> tuple[Imaging, Imaging]:
    """Photographs of 48 x 48, 20 % of their Fourier coefficients, SNR 40."""
    A = FourierSample.random((48, 48), 0.2, seeded(100))
    return tuple(
        Imaging(A, Photographs((48, 48), names=(name,)), snr_db=40.0)
        for name in ("china", "flower")
    )


def spread(b: Tensor) -> Tensor:
    """The standard deviation of each sample's measurements. Shape ``(batch, 1, 1)``."""
    return b.flatten(1).std(dim=1).reshape(-1, 1, 1)


class Scaled(Imaging):
    """Measurements and images divided by the spread of the measurements.

    The noise is then the same in all, and dark images weigh as much as bright ones.
    """

    def sample(
        self, batch: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        b, x = super().sample(batch, generator)
        s = spread(b)
        return b / s, x / s[..., None]


PROBLEMS: dict[str, tuple[Callable, int]] = {
    "blocks": (blocks, ROWS * 40),
    "scans": (scans, 100),
    "samples": (samples, 40),
}


def test_set(name: str) -> tuple[Imaging, Tensor, Tensor]:
    """The problem to measure with, and its images; blocks are a whole photograph."""
    make, count = PROBLEMS[name]
    problem = make()[1]
    if name != "blocks":
        return problem, *problem.sample(count, seeded(200))
    given = Whole("flower", 16)
    return problem, *Imaging(problem.A, given, snr_db=40.0).sample(count, seeded(200))


class Whole:
    """All blocks of a photograph, row by row, in place of random ones."""

    def __init__(self, name: str, size: int) -> None:
        self.size = (size, size)
        grey = grey_photograph(name)
        blocks = grey.unfold(0, size, size).unfold(1, size, size)
        self.blocks = blocks.reshape(-1, 1, size, size)

    def sample(self, batch: int, generator: torch.Generator | None = None) -> Tensor:
        return self.blocks[:batch]


def whole(x: Tensor) -> Tensor:
    """Put the blocks of a photograph together again."""
    if x.shape[-1] != 16:
        return x
    rows = x.reshape(ROWS, -1, 16, 16).transpose(1, 2)
    return rows.reshape(1, 1, 16 * ROWS, -1)


def measured(x_hat: Tensor, x: Tensor) -> Row:
    x_hat, x = whole(x_hat), whole(x)
    return {"psnr": round(psnr(x_hat, x), 2), "ssim": round(ssim(x_hat, x), 4)}


# Classical methods at their best parameter


def classical(
    name: str, solve: Callable[[Any, Tensor, float], Tensor], start: float
) -> Row:
    problem, b, x = test_set(name)
    clock = time.process_time()
    solve(problem.A, b, start)
    seconds = time.process_time() - clock
    number, x_hat = best(lambda lam: whole(solve(problem.A, b, lam)), whole(x), start)
    return measured(x_hat, x) | {
        "parameter": round(number, 6),
        "seconds_to_apply": round(seconds, 2),
    }


def tv(name: str, start: float, scaled: bool = False) -> Row:
    """Return total variation with its best weight and its best step.

    With the default step, made for numbers of the size of the data, images in 0 to 1
    can be far from the minimum after hundreds of iterations. Both are searched with a
    fifth of the test images, and then applied to all, with twice the iterations.
    Scaled, the weight is times the spread of each image's measurements.
    """
    problem, b, x = test_set(name)
    few = slice(None, None, 5) if name == "blocks" else slice(len(x) // 5)
    seen = x[few].reshape(1, 1, 16, -1) if name == "blocks" else x[few]
    steps = (30.0,) if scaled else (1.0, 10.0, 30.0)  # the best there
    default = (problem.A.norm() ** 2 + 8) ** -0.5

    def solve(b: Tensor, lam: float, step: float, iterations: int) -> Tensor:
        size, s = step * default, spread(b) if scaled else torch.ones(())
        x = u.primal_dual(
            problem.A, b / s, lam, penalty=TV(), iterations=iterations, step_size=size
        ).x
        return x * s[..., None] if scaled else x

    found = {}
    for step in steps:

        def tried(lam: float, step: float = step) -> Tensor:
            return solve(b[few], lam, step, 300).reshape(seen.shape)

        lam, x_hat = best(tried, seen, start)
        found[step, lam] = psnr(x_hat, seen)
    step, lam = max(found, key=found.__getitem__)
    clock = time.process_time()
    x_hat = solve(b, lam, step, 600)
    return measured(x_hat, x) | {
        "parameter": round(lam, 6),
        "step": step,
        "searched": {f"step {s:g}": round(value, 2) for (s, _), value in found.items()},
        "seconds_to_apply": round(time.process_time() - clock, 2),
    }


def wavelets(A: Matrix, b: Tensor, lam: float) -> Tensor:
    W = haar(A.domain[0])
    return in_basis(A, b, torch.kron(W, W), lam)


def cosines(A: Matrix, b: Tensor, lam: float) -> Tensor:
    n = A.domain[0]
    return in_basis(A, b, u.dct_dictionary(n, n * n).T.contiguous(), lam)


# Networks


def best_start(problem: Imaging, seed: int = 300) -> Row:
    """Return the TV-ADMM of a few stages that is best on the training images."""
    lams, rhos = STARTS
    b, x = problem.sample(40, seeded(seed))
    found = {}
    for lam, rho in itertools.product(lams, rhos):
        if 8 * lam / rho < 1:  # what it cuts at is within the nodes
            with torch.no_grad():
                x_hat = ADMMNet(problem.A, DEPTH, channels=2, lam=lam, rho=rho)(b)
            found[lam, rho] = psnr(x_hat, x)
    return dict(zip(("lam", "rho"), max(found, key=found.__getitem__), strict=True))


def learned(name: str, make: partial[u.Unrolled], seed: int, **options: Any) -> Row:
    """Train one network; measure it, and its untrained self."""
    training, _ = PROBLEMS[name][0]()
    problem, b, x = test_set(name)
    scaled = bool(zooms := options.pop("zooms", ()))
    if scaled:
        images = Zoomed(training.A.domain, "china", zooms)
        training = Scaled(training.A, images, snr_db=training.snr_db)
    start = best_start(training) if options.pop("best_start", False) else {}
    net = make(problem.A, generator=seeded(seed), **start)
    with torch.no_grad():
        s = spread(b) if scaled else torch.ones(())
        at, back = b / s, s[..., None] if scaled else s
        before = measured(back * net(at), x)["psnr"]
    recipe = Recipe(validation=100, every=50, **options)
    clock = time.process_time()
    history = u.train(net, training, recipe, generator=seeded(1000 + seed))
    seconds, clock = time.process_time() - clock, time.process_time()
    with torch.no_grad():
        x_hat = back * net(at)
        apply = time.process_time() - clock
        row = measured(x_hat, x)
        if isinstance(net, MoDL):
            depths = (1, 5, 10)
            net.depth = max(depths)
            row["by_depth"] = {str(k): measured(net(b, depth=k), x) for k in depths}
    return (
        row
        | {
            "untrained_psnr": before,
            "parameters": sum(p.numel() for p in net.parameters()),
            "samples": history.samples,
            "steps": recipe.steps,
            "seconds": round(seconds, 1),
            "seconds_to_apply": round(apply, 2),
        }
        | start
    )


NETWORKS: dict[str, tuple[str, partial[u.Unrolled], dict]] = {
    "ISTA-Net+": (
        "blocks",
        partial(ISTANet, depth=6, channels=16, plus=True),
        {"steps": 800, "batch": 32, "lr": 5e-3, "lr_matrices": 3e-3}
        | {"objective": LastNMSE()},
    ),
    "LPD": (
        "scans",
        partial(LearnedPrimalDual, depth=6, channels=16),
        {"steps": 2000, "batch": 4, "lr": 3e-3, "lr_matrices": 3e-3}
        | {"objective": LastNMSE()},
    ),
    "ADMM-Net": (
        "samples",
        partial(ADMMNet, depth=DEPTH, channels=8),
        {"steps": 250, "batch": 4, "lr": 2e-3, "lr_matrices": 2e-3}
        | {"objective": EachPSNR(), "best_start": True},
    ),
    "ADMM-Net, scaled, three zooms": (
        "samples",
        partial(ADMMNet, depth=DEPTH, channels=8, lam=0.001, rho=0.4),
        {"steps": 200, "batch": 4, "lr": 2e-3, "lr_matrices": 2e-3}
        | {"objective": MeanPSNR(), "zooms": (1.0, 2.0, 3.0)},
    ),
    "ADMM-Net, from its defaults, by the ratio": (
        "samples",
        partial(ADMMNet, depth=DEPTH, channels=8),
        {"steps": 600, "batch": 4, "lr": 2e-3, "lr_matrices": 2e-3}
        | {"objective": LastNMSE()},
    ),
    "MoDL": (
        "samples",
        partial(MoDL, depth=5, channels=16),
        {"steps": 400, "batch": 4, "lr": 5e-3, "lr_matrices": 1e-3}
        | {"objective": LastNMSE()},
    ),
}


def plan() -> dict[str, Callable[[], Row]]:
    """All rows: a problem and a classical method, or a network and a seed."""
    rows: dict[str, Callable[[], Row]] = {
        "blocks: ISTA, Haar wavelets": partial(classical, "blocks", wavelets, 0.01),
        "blocks: ISTA, cosines": partial(classical, "blocks", cosines, 0.01),
        "blocks: TV": partial(tv, "blocks", 0.005),
        "scans: filtered back-projection": partial(
            classical, "scans", filtered_back_projection, 1.0
        ),
        "scans: TV": partial(tv, "scans", 0.1),
        "samples: TV": partial(tv, "samples", 0.002),
        "samples: TV, scaled": partial(tv, "samples", 0.002, scaled=True),
    }
    for net, (name, make, options) in NETWORKS.items():
        for seed in SEEDS:
            rows[f"{name}: {net}, seed {seed}"] = partial(
                learned, name, make, seed, **options
            )
    return rows


def stored() -> dict[str, Row]:
    """The rows that are measured."""
    path = record.RESULTS / "images.json"
    return json.loads(path.read_text())["rows"] if path.exists() else {}


def medians(rows: dict[str, Row]) -> dict[str, Row]:
    """The median over the seeds of every network, lowest and highest PSNR too."""
    found: dict[str, Row] = {}
    for name in dict.fromkeys(row.partition(", seed")[0] for row in rows):
        runs = [row for key, row in rows.items() if key.startswith(f"{name}, seed")]
        if not runs:
            continue
        values = [run["psnr"] for run in runs]
        found[name] = {
            "psnr": statistics.median(values),
            "lowest": min(values),
            "highest": max(values),
            "seeds": len(runs),
        } | {
            key: statistics.median(run[key] for run in runs)
            for key in ("ssim", "seconds", "seconds_to_apply", "untrained_psnr")
        }
        if "by_depth" in runs[0]:
            found[name]["by_depth"] = {
                f"K = {depth}": statistics.median(
                    run["by_depth"][depth]["psnr"] for run in runs
                )
                for depth in runs[0]["by_depth"]
            }
    return found


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
    for name in options.only or [name for name in todo if name not in stored()]:
        row = todo[name]()
        print(f"{name:34}", row, flush=True)
        setting = {
            "seeds": SEEDS,
            "test_images": {key: count for key, (_, count) in PROBLEMS.items()},
            "modl_layers": NETWORKS["MoDL"][1].keywords["depth"],
            "dtype": "float32",
        }
        rows = stored() | {name: row}
        rows = {known: rows[known] for known in todo if known in rows}
        facts = {"machine": record.machine(("torch",)), "setting": setting}
        facts |= {"medians": medians(rows)}
        record.write("images", facts | {"rows": rows})


if __name__ == "__main__":
    main()
