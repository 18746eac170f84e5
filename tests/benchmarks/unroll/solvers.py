"""Batched FISTA against coordinate descent, at equal duality gap, in one run.

    python -m tests.benchmarks.unroll.solvers [--quick]

Problems: Lasso with a Gaussian dictionary 250 x 500, codes of density 0.1, 40 dB, one
lam for all. Equal quality: the largest duality gap over all problems, computed here
from each method's solution with one formula (primal minus dual at the scaled residual),
is at most ``GAP`` = 1e-6, where the objective is 0.1 to 4. FISTA is asked for that gap,
each peer for the loosest tolerance, in factors of 2, that meets it. ``sparse_encode``
has no tolerance among its arguments: it is run as shipped, and its gap is reported.

Not timed: finding the tolerances, and one warm-up. Then the methods take turns, and the
median of the repetitions counts: seconds of CPU time, which with one thread is the wall
time of an idle core. A GPU, if there is one, comes in addition, in wall seconds.
Writes ``results/solvers.json``; ``--quick`` (50 problems, one repetition) only prints.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import celer
import numpy as np
import spams
import torch
from sklearn.decomposition import sparse_encode
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso
from threadpoolctl import threadpool_limits

from tests.benchmarks import record
from unroll import SparseCoding, active_set, fista

GAP, SEED = 1e-6, 0
LAMS = (0.1, 0.02, 0.003)  # the last is about the best for recovery at 40 dB
Solver = Callable[[np.ndarray, np.ndarray, float, float], np.ndarray]


def largest_gap(A: np.ndarray, b: np.ndarray, lam: float, x: np.ndarray) -> float:
    """Return the largest duality gap over the rows: primal minus dual."""
    r = b - x @ A.T
    scale = np.minimum(1, lam / np.abs(r @ A).max(axis=1, keepdims=True))
    primal = 0.5 * (r**2).sum(axis=1) + lam * np.abs(x).sum(axis=1)
    dual = 0.5 * (b**2).sum(axis=1) - 0.5 * ((b - scale * r) ** 2).sum(axis=1)
    return float((primal - dual).max())


def by_fista(A: np.ndarray, b: np.ndarray, lam: float, tol: float) -> np.ndarray:
    """unroll.fista, one batch, with restarts"""
    A, b = torch.from_numpy(A), torch.from_numpy(b)
    return fista(A, b, lam, tol=tol, iterations=50_000, restart=True).x.numpy()


def by_fista_gpu(A: np.ndarray, b: np.ndarray, lam: float, tol: float) -> np.ndarray:
    """unroll.fista on the GPU, copies to it and back included"""
    A, b = torch.from_numpy(A).cuda(), torch.from_numpy(b).cuda()
    return fista(A, b, lam, tol=tol, iterations=50_000, restart=True).x.cpu().numpy()


def by_sparse_encode(
    A: np.ndarray, b: np.ndarray, lam: float, tol: float
) -> np.ndarray:
    """sklearn sparse_encode, lasso_cd, as shipped (its tol is fixed at 1e-8)"""
    return sparse_encode(b, A.T, algorithm="lasso_cd", alpha=lam, max_iter=100_000)


def by_gram_lasso(A: np.ndarray, b: np.ndarray, lam: float, tol: float) -> np.ndarray:
    """sklearn Lasso on one Gram matrix for all, what sparse_encode does inside"""
    options = {"precompute": A.T @ A, "tol": tol, "max_iter": 100_000}
    one = Lasso(lam / len(A), fit_intercept=False, **options)
    return one.fit(A, b.T, check_input=False).coef_


def by_lasso_loop(A: np.ndarray, b: np.ndarray, lam: float, tol: float) -> np.ndarray:
    """sklearn Lasso, one fit per problem"""
    one = Lasso(lam / len(A), fit_intercept=False, tol=tol, max_iter=100_000)
    return np.stack([one.fit(A, row).coef_ for row in b])


def by_celer(A: np.ndarray, b: np.ndarray, lam: float, tol: float) -> np.ndarray:
    """celer Lasso, one fit per problem"""
    one = celer.Lasso(lam / len(A), fit_intercept=False, tol=tol)
    return np.stack([one.fit(A, row).coef_ for row in b])


def by_active_set(A: np.ndarray, b: np.ndarray, lam: float, tol: float) -> np.ndarray:
    """unroll.active_set, one batch"""
    A, b = torch.from_numpy(A), torch.from_numpy(b)
    return active_set(A, b, lam, tol=tol).x.numpy()


def by_spams(A: np.ndarray, b: np.ndarray, lam: float, tol: float) -> np.ndarray:
    """SPAMS lasso: LARS, which needs no tolerance"""
    x = spams.lasso(np.asfortranarray(b.T), D=A, lambda1=lam, mode=2, numThreads=1)
    return np.ascontiguousarray(x.todense().T)


def methods() -> dict[str, Solver]:
    """Return the methods by name; the docstrings are their descriptions."""
    found = [by_fista, by_active_set, by_spams, by_sparse_encode, by_gram_lasso]
    found += [by_lasso_loop, by_celer]
    if torch.cuda.is_available():
        found.append(by_fista_gpu)
    return {solve.__name__.removeprefix("by_"): solve for solve in found}


def tolerance(solve: Solver, A: np.ndarray, b: np.ndarray, lam: float) -> float:
    """Return the loosest tolerance whose gaps are at most ``GAP``.

    A peer's tolerance is relative to ||b||^2, so the search starts below that, and goes
    up on the first 100 problems before it comes down, if it must, on all of them.
    """
    if solve in (by_fista, by_fista_gpu, by_active_set, by_spams, by_sparse_encode):
        return GAP
    tol, few = GAP / (b**2).sum(axis=1).max() / 4, b[:100]
    while largest_gap(A, few, lam, solve(A, few, lam, 2 * tol)) <= GAP:
        tol *= 2
    while largest_gap(A, b, lam, solve(A, b, lam, tol)) > GAP:
        tol /= 2
    return tol


def compare(lam: float, problems: int, repetitions: int) -> dict[str, dict]:
    """Return seconds, tolerance and gap of every method at one lam."""
    generator = torch.Generator().manual_seed(SEED)
    coding = SparseCoding.gaussian(250, 500, generator, dtype=torch.float64)
    b = coding.sample(problems, generator)[0].numpy()
    A = np.asfortranarray(coding.A.numpy())  # the order the peers work in
    tols = {name: tolerance(solve, A, b, lam) for name, solve in methods().items()}
    seconds, gaps = {name: [] for name in tols}, {}
    for repetition in range(repetitions + 1):
        for name, solve in methods().items():
            clock = time.perf_counter if solve is by_fista_gpu else time.process_time
            start = clock()
            x = solve(A, b, lam, tols[name])
            elapsed = clock() - start
            gaps[name] = largest_gap(A, b, lam, x)
            if repetition > 0:  # the first is the warm-up
                seconds[name].append(round(elapsed, 4))
    return {
        name: {
            "method": methods()[name].__doc__,
            "median_seconds": round(statistics.median(seconds[name]), 4),
            "seconds": seconds[name],
            "tol": None if name in ("sparse_encode", "spams") else tols[name],
            "largest_gap": gaps[name],
        }
        for name in tols
    }


def main() -> None:
    """Measure, print a table, and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small, nothing written")
    quick = parser.parse_args().quick
    problems, repetitions = (50, 1) if quick else (1000, 3)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)  # the gap is checked here
    results = {}
    for lam in LAMS:
        with threadpool_limits(1):
            results[str(lam)] = found = compare(lam, problems, repetitions)
        for name, one in found.items():
            ratio = one["median_seconds"] / found["fista"]["median_seconds"]
            print(
                f"lam {lam:<6} {name:14} {one['median_seconds']:8.3f} s  "
                f"{ratio:6.2f} x fista  largest gap {one['largest_gap']:.1e}"
            )
    versions = ("torch", "numpy", "scikit-learn", "celer", "spams-bin")
    setting = {"problems": problems, "shape": [250, 500], "density": 0.1, "snr_db": 40}
    setting |= {"gap": GAP, "seed": SEED, "dtype": "float64", "clock": "CPU"}
    if not quick:
        facts = {"machine": record.machine(versions), "setting": setting}
        record.write("solvers", facts | {"lam": results})


if __name__ == "__main__":
    main()
