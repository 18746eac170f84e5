"""The lines that every comparison of chapter 13 needs, on thousands of codes.

Rows of ``claims.py``, which runs them: best Lasso, the same with its values
refitted by least squares, oracle, Bayes-AMP (told the prior), HyperLISTA from a wide
grid, ALISTA. Also how far the order of two rows depends on which 200 codes are drawn.
"""

import math
import time
from collections.abc import Callable, Sequence
from itertools import pairwise, product
from typing import Any

import torch
from torch import Tensor

import unroll as u

CODES = 3000  # of each small dictionary
DRAW = 200  # codes in one of the small test sets whose spread is shown
Row = dict[str, Any]


def gaussian(m: int, n: int, seed: int) -> u.SparseCoding:
    """A dictionary of the standard kind, in float32."""
    g = torch.Generator().manual_seed(seed)
    return u.SparseCoding.gaussian(m, n, g, dtype=torch.float32)


def refit(A: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """Least squares on the support of each code. Shape ``(batch, n)``."""
    refitted = torch.zeros_like(x)
    for i, support in enumerate(x != 0):
        if support.any():
            values = torch.linalg.lstsq(A[:, support], b[i, :, None]).solution
            refitted[i, support] = values[:, 0]
    return refitted


def lasso_and_refit(
    A: Tensor, b: Tensor, x: Tensor, lams: Sequence[float], iterations: int
) -> dict[str, tuple[float, Tensor]]:
    """The best Lasso and the best refitted one: lambda and codes of each.

    A refit is tried down to a lambda of 0.007: below it, every support is too large.
    """
    best: dict[str, tuple[float, float, Tensor]] = {}
    code = None
    for lam in lams:  # each starts at the last
        code = u.fista(A, b, lam, iterations=iterations, restart=True, x0=code).x
        tried = {"Lasso": code}
        if lam > 0.007:
            tried["Lasso, refitted"] = refit(A, b, code)
        for name, found in tried.items():
            error = u.nmse_db(found, x).item()
            if name not in best or error < best[name][0]:
                best[name] = (error, lam, found)
    return {name: (lam, found) for name, (_, lam, found) in best.items()}


@torch.no_grad()
def best_triple(
    A: Tensor, b: Tensor, x: Tensor, grid: dict[str, list[float]]
) -> dict[str, Any]:
    """HyperLISTA's numbers: the best of the grid, then of a finer one around it."""
    wide, tried = _searched(A, b, x, grid)
    on_edge = [
        name
        for name, value in zip(grid, wide, strict=True)
        if value in (grid[name][0], grid[name][-1])
    ]
    finer = {
        name: sorted({value, *_between(grid[name], value)})
        for name, value in zip(grid, wide, strict=True)
    }
    best, more = _searched(A, b, x, finer)
    return dict(zip(grid, best, strict=True)) | {
        "on_edge_of_the_wide_grid": on_edge,
        "triples": tried + more,
    }


def _searched(
    A: Tensor, b: Tensor, x: Tensor, grid: dict[str, list[float]]
) -> tuple[tuple[float, ...], int]:
    """The best triple of a grid, and how many it has."""
    errors = {}
    for c1, c2, c3 in product(*grid.values()):
        error = u.nmse_db(u.HyperLISTA(A, 16, c1=c1, c2=c2, c3=c3)(b), x).item()
        errors[c1, c2, c3] = error if math.isfinite(error) else math.inf
    return min(errors, key=errors.get), len(errors)


def _between(values: list[float], value: float) -> list[float]:
    """The middles of the two intervals of a list that a value belongs to."""
    return [(a + b) / 2 for a, b in pairwise(values) if value in (a, b)]


def by_draws(codes: dict[str, Tensor], x: Tensor) -> Row:
    """Error on all codes, and on each draw of 200; who is ahead of the Lasso there."""

    def errors(code: Tensor, part: int) -> Tensor:
        wrong = (code - x).square().sum(dim=1).reshape(-1, part).sum(dim=1)
        return 10 * torch.log10(wrong / x.square().sum(1).reshape(-1, part).sum(1))

    rows, lasso = {}, errors(codes["Lasso"], DRAW)
    for name, code in codes.items():
        draws = errors(code, DRAW)
        rows[name] = {
            "db": round(errors(code, len(x)).item(), 2),
            "draws_lowest_db": round(draws.min().item(), 2),
            "draws_highest_db": round(draws.max().item(), 2),
            "draws_ahead_of_lasso": int((draws < lasso).sum()),
        }
    return rows


def small(seeds: Sequence[int], fit: Callable, keep: list[int]) -> Row:
    """50 x 100: ALISTA, HyperLISTA and the lines, 3000 codes of each dictionary."""
    start, per_seed, triples = time.process_time(), [], []
    grid = {
        "c1": [0.02, 0.04, 0.06, 0.08, 0.11, 0.15, 0.2],
        "c2": [0.0, 0.003, 0.01, 0.02, 0.03],
        "c3": [1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 18.0],
    }
    for seed in seeds:
        coding = gaussian(50, 100, seed)
        A = coding.A
        b, x = coding.sample(CODES, torch.Generator().manual_seed(2000 + seed))
        lams = [0.1 / 2**i for i in range(7)]
        lines = lasso_and_refit(A, b, x, lams, iterations=300)
        codes = {name: code for name, (_, code) in lines.items()}
        codes["oracle"] = refit(A, b, x)
        tuned = best_triple(
            A, *coding.sample(500, torch.Generator().manual_seed(3000 + seed)), grid
        )
        triples.append(tuned)
        hyper = u.HyperLISTA(A, 16, c1=tuned["c1"], c2=tuned["c2"], c3=tuned["c3"])
        alista = u.ALISTA(A, 16, lam=0.1, keep=keep)
        fit(alista, seed)
        with torch.no_grad():
            codes["HyperLISTA"], codes["ALISTA"] = hyper(b), alista(b)
        per_seed.append(by_draws(codes, x))
    return _gathered(per_seed) | {
        "triples": triples,
        "codes": CODES,
        "draws": CODES // DRAW,
        "seconds": round(time.process_time() - start, 1),
    }


def _gathered(per_seed: list[Row]) -> Row:
    """Rows of each seed, turned into lists over the seeds."""
    methods = {
        name: {key: [row[name][key] for row in per_seed] for key in first}
        for name, first in per_seed[0].items()
    }
    return {"db": methods["Lasso"]["db"], "methods": methods}


def standard() -> Row:
    """250 x 500, the benchmark's dictionary: the lines, and HyperLISTA's wide grid."""
    start, coding = time.process_time(), gaussian(250, 500, 0)
    A = coding.A
    b, x = coding.sample(2000, torch.Generator().manual_seed(2001))
    lams = (0.03, 0.02, 0.014, 0.01, 0.0056, 0.004, 0.0028, 0.002)
    lines = lasso_and_refit(A, b, x, lams, iterations=80)
    codes = {name: code for name, (_, code) in lines.items()}
    codes["oracle"] = refit(A, b, x)
    prior = u.BernoulliGaussian(coding.density)
    for iterations in (50, 16):
        code = u.bayes_amp(A, b, prior, iterations=iterations).x
        codes[f"Bayes-AMP, {iterations} iterations"] = code
    grid = {
        "c1": [0.03, 0.045, 0.06, 0.08],
        "c2": [0.0, 0.001, 0.002, 0.004, 0.006],
        "c3": [15.0, 25.0, 40.0, 60.0, 80.0, 110.0],
    }
    tuned = best_triple(
        A, *coding.sample(200, torch.Generator().manual_seed(3001)), grid
    )
    with torch.no_grad():
        hyper = u.HyperLISTA(A, 16, c1=tuned["c1"], c2=tuned["c2"], c3=tuned["c3"])
        codes["HyperLISTA"] = hyper(b)
    return _gathered([by_draws(codes, x)]) | {
        "lams": {name: lam for name, (lam, _) in lines.items()},
        "triples": [tuned],
        "codes": 2000,
        "draws": 2000 // DRAW,
        "seconds": round(time.process_time() - start, 1),
    }
