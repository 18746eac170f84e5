"""The table of clips in two parts, unknown blurs and labels."""

import statistics
from collections.abc import Callable

from tests.benchmarks.record import where

Row = dict[str, list[float]]


def structured(record: dict) -> str:
    """What every network reaches beside its parent, equally deep and ten times so."""
    setting, rows = record["setting"], record["rows"]
    short, long = setting["depth"], setting["long"]
    pieces: dict[str, tuple[str, dict[str, str], Callable[[Row], str]]] = {
        "clips": (
            "clips in two parts, error of the background",
            {
                "median over time": "median over time",
                "parent": f"proximal gradient, {short} iterations",
                "parent, long": f"proximal gradient, {long} iterations",
                "PCP": "principal component pursuit",
                "network": f"CORONA, {short} layers",
            },
            lambda row: _spread(row["error"], 100, "%"),
        ),
        "blurs": (
            "phantoms behind unknown blurs, PSNR; squared error of the kernel",
            {
                "nothing done": "nothing done",
                "parent": f"half-quadratic splitting, {short} iterations",
                "parent, long": f"half-quadratic splitting, {long} iterations",
                "network": f"DUBLID, {short} layers",
            },
            lambda row: (
                f"{_spread(row['psnr'], 1, 'dB')}; "
                f"{100 * statistics.median(row['kernel_error']):.0f} %"
            ),
        ),
        "labels": (
            "three labels, pixels that are right; log-loss",
            {
                "scores alone": "scores alone",
                "parent": f"mean field, {short} steps",
                "parent, long": f"mean field, {long} steps",
                "network": f"CRF-RNN, {short} steps",
                "network, another's picture": "the same with another sample's picture",
            },
            lambda row: (
                f"{_spread(row['right'], 100, '%')}; "
                f"{statistics.median(row['log_loss']):.2f}"
            ),
        ),
    }
    lines = ["| problem | method | reached | training |", "|---|---|---|---|"]
    for kind, (problem, names, said) in pieces.items():
        for name, text in names.items():
            row = rows[kind][name]
            seconds = row.get("training_seconds")
            training = f"{statistics.median(seconds):.0f} s" if seconds else ""
            lines.append(f"| {problem} | {text} | {said(row)} | {training} |")
    lines += [
        "",
        f"Medians of seeds {', '.join(map(str, setting['seeds']))}, lowest and "
        "highest. A parent has the best numbers of a search for as many iterations, on "
        "samples that are not those of the test; the network starts at those, CORONA "
        "at those from which a short training gets furthest. CPU "
        "seconds of one training. "
        f"{where(record)}.",
    ]
    return "\n".join(lines)


def _spread(values: list[float], unit: float, name: str) -> str:
    """Say the median of some values, the lowest and the highest."""
    low, mid, high = min(values), statistics.median(values), max(values)
    return f"{unit * mid:.1f} {name} ({unit * low:.1f} to {unit * high:.1f})"
