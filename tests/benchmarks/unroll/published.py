"""Every published cell of the ALISTA family, by one recipe and the library's defaults.

    python -m tests.benchmarks.unroll.published [--only CELL ...]

The logs of Behrens, Sauder and Jung 2021 (NA-ALISTA): 250 measurements, 50 non-zeros,
4 to 28 layers, 500 to 2000 atoms, "ratio" NMSE in dB. Nothing is tuned to a cell:
dictionary, density, noise and depth are all that differs, and the recipe was chosen on
other dictionaries. One thing follows from them, by one formula for all cells: the ridge
of the weight (:func:`ridge`). The logs' weight comes from a descent that is stopped on
a way as long as that of a ridge of about 1. A row says with which ridge it was made;
those with 0 are older. Beyond ``2 m`` atoms few samples, whose codes grow without end,
decide the error: by default nothing is clipped there, and ALISTA, ALISTA-AT and AGLISTA
get 200 steps more, on the mean error of the last layer (:func:`finishes`); rows that
say ``"before"`` are of the recipe without that. The test set is one of 10 000 codes
that no training sees.
Float32, one thread; times are CPU seconds, and a cell may use ten minutes.

A cell is written to ``results/published.json`` as soon as it is measured, and not
measured again while it is there; ``--only`` measures the named cells afresh.
"""

import argparse
import json
import time
from dataclasses import asdict

import torch

import unroll as u
from tests.benchmarks import record
from tests.benchmarks.unroll.lista import LOGS, SEEDS, iterates_db, problem, seeded

RECIPE = u.Recipe()
FINISH = u.Recipe("last", steps=200, lr=0.01, grow=0, validation=4000, every=40)
NETWORKS = {
    "ALISTA": u.ALISTA,
    "AGLISTA": u.AGLISTA,
    "ALISTA-AT": u.ALISTAAT,
    "NA-ALISTA": lambda A, depth, weight: u.NAALISTA(
        A, depth, weight=weight, generator=seeded("network")
    ),
}
SIZES = {  # atoms, layers, SNR: the published dB of the networks, in their order
    (500, 4, 40): (-17.48, -18.65, -17.32, -17.70),
    (500, 8, 40): (-32.42, -33.00, -32.89, -34.24),
    (500, 12, 40): (-37.77, -39.23, -39.76, -40.77),
    (500, 16, 40): (-39.07, -41.35, -41.97, -42.19),
    (500, 20, 40): (-39.28, -41.42, -42.88, -42.45),
    (500, 28, 40): (-38.13, -39.67, -42.00, -43.00),
    (500, 16, 20): (-21.08, -21.37, -21.80, -21.64),
    (1000, 16, 40): (-33.55, -35.48, -34.51, -39.13),
    (2000, 16, 40): (-25.18, -25.61, -26.08, -32.50),
}
NON_ZEROS, SLACK, BUDGET = 50, 0.3, 600  # codes, dB, CPU seconds
CELLS = {
    f"{network} n={n} K={depth} SNR={snr}": (network, n, depth, snr, published)
    for (n, depth, snr), row in SIZES.items()
    for network, published in zip(NETWORKS, row, strict=True)
}


def ridge(m: int, n: int, non_zeros: float, snr: float) -> float:
    """Return noise over error of an entry, where linear estimates stop to gain.

    A linear step from errors of variance ``e`` per entry, in noise of variance ``v``
    per measurement, wants the ridge ``v / e``: nearly 0 at the start, where ``e`` is
    the density, some ``n / non_zeros`` at the end, which is the oracle's error. One
    weight serves all layers: two thirds of the way in dB.
    """
    noise = non_zeros / m * 10 ** (-snr / 10)
    oracle = 10 ** (-snr / 10) * non_zeros / (m - non_zeros)  # over the code's energy
    return noise / (non_zeros / n * oracle ** (2 / 3))


def finishes(network: str, n: int) -> bool:
    """Whether few samples decide: numbers that all share, more atoms than ``2 m``."""
    return n > 2 * 250 and network != "NA-ALISTA"


def measured(network: str, n: int, depth: int, snr: int, published: float) -> dict:
    """Train a cell and test it."""
    coding = problem(float(snr), 250, n, NON_ZEROS / n)
    added = ridge(250, n, NON_ZEROS, snr)
    weight = u.analytic_weight(coding.A, ridge=added)
    net = NETWORKS[network](coding.A, depth, weight=weight)
    start, generator = time.process_time(), seeded("train")
    runs = [u.train(net, coding, RECIPE, generator=generator)]
    if finishes(network, n):
        runs.append(u.train(net, coding, FINISH, generator=generator))
    seconds = time.process_time() - start
    errors = iterates_db(net, coding)
    return {
        "published_db": published,
        "ratio_db": errors["ratio_db"],
        "sample_db": errors["sample_db"],
        "reached": errors["ratio_db"] <= published + SLACK and seconds <= BUDGET,
        "samples": sum(run.samples for run in runs),
        "best_step": runs[0].best_step,
        "finish_steps": len(runs[1].loss) if runs[1:] else 0,
        "seconds": round(seconds, 1),
        "ridge": round(added, 4),
        "recipe": asdict(RECIPE),
        "remarks": [remark for run in runs for remark in run.remarks],
    }


def stored() -> dict[str, dict]:
    """The rows so far; of a cell that was not run, what is published."""
    rows: dict[str, dict] = {name: {"published_db": c[-1]} for name, c in CELLS.items()}
    path = record.RESULTS / "published.json"
    return rows | json.loads(path.read_text())["rows"] if path.exists() else rows


def main() -> None:
    """Measure what is missing, cell by cell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", default=[], help="cells to measure afresh")
    options = parser.parse_args()
    torch.set_num_threads(1)
    unknown = set(options.only) - set(CELLS)
    if unknown:
        parser.error(f"unknown cells {sorted(unknown)}; choose from {list(CELLS)}")
    missing = [name for name, row in stored().items() if "ratio_db" not in row]
    for name in options.only or missing:
        row = measured(*CELLS[name])
        print(f"{name:32} {row['ratio_db']} dB  {row['seconds']} s", flush=True)
        setting = {"seeds": SEEDS, "m": 250, "non_zeros": NON_ZEROS, "slack_db": SLACK}
        setting |= {"budget_seconds": BUDGET, "published_samples_at_K_16": LOGS}
        setting |= {"test_samples": 10_000, "dtype": "float32"}
        setting |= {"recipe": asdict(RECIPE), "finish": asdict(FINISH)}
        setting |= {"nmse": "ratio, unless named sample"}
        facts = {"machine": record.machine(("torch",)), "setting": setting}
        record.write("published", facts | {"rows": stored() | {name: row}})


if __name__ == "__main__":
    main()
