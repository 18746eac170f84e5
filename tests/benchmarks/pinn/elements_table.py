"""Tables of networks beside finite elements: a flow, many dimensions, finer meshes."""

import json
import statistics

from tests.benchmarks.pinn.tables import small
from tests.benchmarks.record import RESULTS, where

THEIRS = ("FEM", "DeepXDE's own")


def cavity(record: dict) -> str:
    """The driven cavity: how far from Ghia's table, and from fine elements."""
    lines = [
        "| lid-driven cavity, Re = 100 | numbers | CPU s | u at Ghia's heights off, "
        "root mean square | largest |",
        "|---|---|---|---|---|",
    ]
    meshes = [r for name, r in record["cavity"].items() if name.startswith("elements")]
    nets = [r for name, r in record["cavity"].items() if name.startswith("network")]
    for row in meshes:
        lines.append(
            f"| Taylor–Hood elements, graded mesh | {row['unknowns']} "
            f"| {row['seconds']:.1f} | {small(row['ghia_rms'])} "
            f"| {small(row['ghia_largest'])} |"
        )
    seconds = statistics.median(row["seconds"] for row in nets)
    rms, largest = (
        _middle([row[f"ghia_{key}"] for row in nets]) for key in ("rms", "largest")
    )
    lines.append(
        f"| network, Levenberg–Marquardt, median (worst) of {len(nets)} seeds "
        f"| {nets[0]['numbers']} | {seconds:.0f} | {rms} | {largest} |"
    )
    fine = meshes[-1]["profile"]
    apart = [
        max(abs(a - b) for a, b in zip(row["profile"], fine, strict=True))
        for row in meshes[:-1]
    ]
    lines += [
        "",
        "Ghia, Ghia and Shin 1982, table I: 15 values inside of the line x = 0.5. The "
        "coarser meshes' values there are "
        + ", ".join(small(gap) for gap in apart)
        + " from those of the finest, at most: what is left between it and the table "
        "is not the mesh. Relative error of the networks' velocity, the finest mesh "
        f"for the truth: {_middle([row['velocity_error'] for row in nets])}. "
        f"{where(record)}.",
    ]
    return "\n".join(lines)


def dimension(record: dict) -> str:
    """Poisson's equation in five and ten dimensions: a network, and polynomials."""
    lines = [
        "| coordinates, solution | network, median (worst) | numbers | CPU s "
        "| polynomials of degree: error, CPU s |",
        "|---|---|---|---|---|",
    ]
    kinds = dict.fromkeys(name.rpartition(",")[0] for name in record["dimension"])
    for what in kinds:
        nets = [
            row
            for name, row in record["dimension"].items()
            if name.startswith(f"{what},")
        ]
        told = [
            f"{name.rpartition(' ')[2]}: {small(row['error'])}, {row['seconds']:.1f} s"
            for name, row in record["polynomials"].items()
            if name.startswith(f"{what},")
        ]
        seconds = statistics.median(row["seconds"] for row in nets)
        lines.append(
            f"| {what} | {_middle([row['error'] for row in nets])} "
            f"| {nets[0]['numbers']} | {seconds:.0f} | {'; '.join(told)} |"
        )
    lines += [
        "",
        "Relative error. Sum and product: of sin πx over all coordinates; hill: one "
        "over one plus the squared distance from a place. Polynomials of a total "
        "degree, by least squares on the same equation and border: what there is "
        "beside a network "
        f"where meshes end. {len(nets)} seeds. {where(record)}.",
    ]
    return "\n".join(lines)


def meshes(record: dict) -> str:
    """DeepXDE's examples by finite elements on finer meshes, beside networks."""
    examples = json.loads((RESULTS / "pinn_examples.json").read_text())
    lines = [
        "| DeepXDE's example | best network: error, CPU s | elements, finest mesh: "
        "error, CPU s | CPU s of elements until as good |",
        "|---|---|---|---|",
    ]
    for name, ladder in record["meshes"].items():
        error, method = best_network(examples["rows"][name])
        last = min(ladder, key=lambda row: row["error"])
        lines.append(
            f"| {name} | {method}: {small(error)}, {examples['seconds']:g} "
            f"| {small(last['error'])}, {last['seconds']:.1f} "
            f"| {until(ladder, error)} |"
        )
    lines += [
        "",
        "Median error of the best of our methods on each example, and meshes of which "
        "each has twice as many elements per axis, from an eighth to 512 times those "
        f"of the other table, {examples['seconds']:g} s for all of them together. In "
        "time they are elements, too, and no steps. Seconds until as good: of all "
        "meshes so far together, since nobody knows before which is fine enough. "
        f"{where(record)}.",
    ]
    return "\n".join(lines)


def best_network(row: dict) -> tuple[float, str]:
    """Return the smallest median error of our networks, and the method."""
    found = []
    for method, runs in row.items():
        errors = [run["error"] for run in runs.values() if "error" in run]
        if errors and method not in THEIRS:
            found.append((statistics.median(errors), method))
    return min(found)


def until(ladder: list[dict], error: float) -> str:
    """Add the seconds of meshes up to the first as good; or say that none is."""
    used = 0.0
    for row in ladder:
        used += row["seconds"]
        if row["error"] <= error:
            return f"{used:.2g}"
    return "not reached"


def _middle(values: list[float]) -> str:
    """Write median and worst."""
    return f"{small(statistics.median(values))} ({small(max(values))})"
