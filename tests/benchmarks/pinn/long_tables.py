"""The tables of long times and of thin layers."""

import statistics

from tests.benchmarks.pinn.tables import small
from tests.benchmarks.record import where

MARCHES = {
    "oscillator_30": ("oscillator until 30", "Runge–Kutta, order 8"),
    "oscillator_100": ("oscillator until 100", "Runge–Kutta, order 8"),
    "wave": ("wave, ten periods", "finite elements in space and time"),
}
ASKED = {"oscillator_30": 1e-4, "oscillator_100": 1e-4}
NETWORKS = {
    "adapted": "hp-VPINN on the adapted mesh",
    "adapted, Levenberg-Marquardt": "the same by Levenberg–Marquardt",
    "equal": "hp-VPINN, as many elements of one size: control",
    "strong": "vanilla PINN",
}


def march(record: dict) -> str:
    """Errors of marches, of one network trained as long, and of what needs none."""
    lines = [
        "| problem | slabs | by slabs, median | worst | runs | CPU s | asked "
        "| one network, as long | without a network | CPU s |",
        "|---" * 10 + "|",
    ]
    for name, (problem, other) in MARCHES.items():
        part = record.get(name, {})
        runs = [row for seed, row in part.items() if seed.isdigit()]
        if not runs:
            continue
        errors = [row["error"] for row in runs]
        seconds = statistics.median(row["cpu_seconds"] for row in runs)
        without, one = part["without"], part.get("one")
        alone = small(one["error"]) if one else "not run"
        lines.append(
            f"| {problem} | {runs[0]['slabs']} | {small(statistics.median(errors))} "
            f"| {small(max(errors))} | {len(runs)} | {seconds:.0f} "
            f"| {_asked(name, max(errors))} | {alone} "
            f"| {other}: {small(without['error'])} | {without['cpu_seconds']:.2g} |"
        )
    loss = small(record["oscillator_100"]["one"]["loss"])
    told = (
        "Relative error. Scaled to its box, one network needs no slabs until 30; until "
        f"100 its loss is {loss} all the same."
    )
    return "\n".join([*lines, "", f"{told} {where(record)}."])


def _asked(name: str, worst: float) -> str:
    """Say what was asked, and whether it falls short."""
    if name not in ASKED:
        return ""
    return small(ASKED[name]) + ("" if worst <= ASKED[name] else ": short")


def adapt(record: dict) -> str:
    """Errors on meshes that were found, and on as many elements of one size."""
    lines = [
        "| layer | method | elements | error, median | worst | runs | CPU s "
        "| as many of one size |",
        "|---" * 8 + "|",
    ]
    for width, row in record["elements"].items():
        lines.append(
            f"| {width} | finite elements, adapted | {row['elements']} "
            f"| {small(row['error'])} | | 1 | {row['cpu_seconds']:.1f} "
            f"| {small(row['equal_error'])} |"
        )
    for name, text in NETWORKS.items():
        runs = [
            row
            for run, row in record["networks"].items()
            if run.rpartition(": ")[0] == name
        ]
        if not runs:
            continue
        errors = [row["error"] for row in runs]
        seconds = statistics.median(row["cpu_seconds"] for row in runs)
        count = record["elements"]["0.001"]["elements"]
        lines.append(
            f"| 0.001 | {text} | {'' if name == 'strong' else count} "
            f"| {small(statistics.median(errors))} | {small(max(errors))} "
            f"| {len(runs)} | {seconds:.0f} | |"
        )
    return "\n".join([*lines, "", f"Relative error. {where(record)}."])
