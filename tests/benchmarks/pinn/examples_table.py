"""The table of DeepXDE's examples."""

import math
import statistics

from tests.benchmarks.pinn.tables import small
from tests.benchmarks.record import where

THEIRS = "DeepXDE's own"
DAMPED = "hp-VPINN, Levenberg-Marquardt"


def examples(record: dict) -> str:
    """Error of every method on DeepXDE's examples, and which methods refuse which."""
    known = dict.fromkeys(m for row in record["rows"].values() for m in row)
    ours = [method for method in known if method not in (THEIRS, "FEM")]
    names = [*ours, THEIRS, "FEM"]
    lines = [
        f"| DeepXDE's example | {' | '.join(names)} |",
        "|---" * (1 + len(names)) + "|",
    ]
    refusals: dict[str, list[str]] = {}
    won, ran = 0, 0
    for example, row in record["rows"].items():
        cells = []
        for method in names:
            runs = [run for run in row[method].values() if "error" in run]
            for run in row[method].values():
                if "refused" in run:
                    refusals.setdefault(run["refused"], []).append(
                        f"{method} ({example})"
                    )
            cells.append(_median(runs) if runs else "refused")
        lines.append(f"| {example} | {' | '.join(cells)} |")
        theirs = _middle(row[THEIRS])
        won += min(_middle(row[method]) for method in ours) < theirs < math.inf
        ran += theirs < math.inf
    count = max(len(runs) for row in record["rows"].values() for runs in row.values())
    told = f"median and worst of {count} seeds" if count > 1 else "one seed"
    lines += [
        "",
        f"Relative error after {record['seconds']:g} CPU seconds, {told}; finite "
        "elements take what they need. The best of our networks is ahead of DeepXDE's "
        f"own settings in {won} of the {ran} that run there. {_optimiser(record)} "
        + where(record)
        + ". Refused, and why:",
        "",
        *(f"- {', '.join(dict.fromkeys(who))}: {why}" for why, who in refusals.items()),
    ]
    return "\n".join(lines)


def _optimiser(record: dict) -> str:
    """Say why the hp-VPINN is trained by SSBroyden, run by run of the same seed."""
    pairs = [
        (run["error"], row[DAMPED][seed]["error"])
        for row in record["rows"].values()
        for seed, run in row["hp-VPINN"].items()
        if "error" in run and "error" in row[DAMPED].get(seed, {})
    ]
    ahead = sum(own < other for own, other in pairs)
    return (
        "The default optimiser of the hp-VPINN, SSBroyden, ends ahead of "
        f"Levenberg–Marquardt in {ahead} of {len(pairs)} pairs of runs."
    )


def _middle(runs: dict[str, dict]) -> float:
    """Return the median error; of a method that refuses, infinity."""
    return statistics.median(run.get("error", math.inf) for run in runs.values())


def _median(runs: list[dict]) -> str:
    """Write median and worst error, one number where there is one run."""
    errors = [run["error"] for run in runs]
    middle, worst = statistics.median(errors), max(errors)
    return small(middle) + (f" ({small(worst)})" if len(errors) > 1 else "")
