"""The same search of rates for all: wide enough, and not on data that are shown."""

import math
import statistics
from collections.abc import Callable, Iterable

GIVE_UP = 0.05
Tried = dict[float, float | None]


def score(runs: list[dict]) -> float:
    """Return what a search maximises: accuracy on validation data, or few steps."""
    if "validation" in runs[0]:
        return round(statistics.mean(run["validation"] for run in runs), 3)
    return -round(statistics.mean(run["steps"] or 10**6 for run in runs), 1)


def following(rates: tuple[float, ...], first: int, tried: Tried) -> tuple[float, ...]:
    """Return which rates to try next: none where the best is between two others.

    Of equal ones the smallest is the best: where all diverge, it goes down.
    """
    if not tried:
        three = rates[first : first + 3]
        return three[1:] + three[:1]
    best = max(tried, key=lambda rate: (value(tried[rate]), -rate))
    if best == max(tried):
        return tuple(rate for rate in rates if rate > best)[:1]
    if best == min(tried):
        return tuple(rate for rate in rates if rate < best)[-1:]
    return ()


def value(found: float | None) -> float:
    """Return a score, the lowest for a rate that was given up."""
    return -math.inf if found is None else found


def tried_by(row: dict) -> Tried:
    """Return the scores of a stored row."""
    return {float(rate): found for rate, found in row.get("searched", {}).items()}


def open_ended(row: dict, rates: tuple[float, ...]) -> bool:
    """Say whether the best rate of a stored row is the largest or the smallest."""
    return bool(following(rates, 0, tried_by(row)))


def measured(
    run: Callable[[int, float], dict],
    rates: tuple[float, ...],
    first: int,
    seeds: Iterable[int],
    row: dict,
) -> dict:
    """Run the search, or go on with it; keep the runs of the best rate.

    A rate is given up, and has no score, if its first seed is a twentieth worse than
    the first seed of the best so far.
    """
    tried, kept = tried_by(row), {row["rate"]: row["runs"]} if row else {}
    while more := following(rates, first, tried):
        for rate in more:
            (at, best) = next(iter(kept.items()), (0.0, []))
            runs = tried_with(run, rate, seeds, best)
            tried[rate] = score(runs) if runs else None
            if runs and (not kept or (score(runs), -rate) > (score(best), -at)):
                kept = {rate: runs}
    (best,) = kept
    return {
        "rate": best,
        "searched": {str(rate): tried[rate] for rate in sorted(tried)},
        "runs": kept[best],
    }


def tried_with(
    run: Callable[[int, float], dict],
    rate: float,
    seeds: Iterable[int],
    best: list[dict],
) -> list[dict]:
    """Return the runs of a rate; none if the first is far behind the best's."""
    runs: list[dict] = []
    for seed in seeds:
        runs.append(run(seed, rate))
        if best and len(runs) == 1:
            bar = score(best[:1])
            if score(runs) < bar - GIVE_UP * abs(bar):
                return []
    return runs
