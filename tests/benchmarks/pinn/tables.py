"""The tables of physics-informed networks."""

import statistics
from collections.abc import Iterable

from tests.benchmarks.record import where

WAYS = {
    "network": "network, hard constraint, Levenberg–Marquardt",
    "twin": "least squares on finite elements",
    "control": "network whose equation weighs a millionth: control",
}
ERRORS = {  # row: (problem, method)
    "burgers_900s": ("Burgers, ν = 0.01/π", "hard constraint, SSBroyden"),
    "burgers_100s_broyden": ("", "the same in less time, a loaded machine"),
    "burgers_100s_gain": (
        "",
        "Levenberg–Marquardt, geodesic, gain ratio; a loaded machine",
    ),
    "burgers_100s_target": (
        "",
        "Levenberg–Marquardt, geodesic, target ratio 0.075; the same",
    ),
    "hp_vpinn_steep_1d_30s": (
        "steep Poisson, 1-D",
        "hp-VPINN with hats, Levenberg–Marquardt",
    ),
    "hp_vpinn_steep_1d_bubbles_30s": ("", "the same without hats"),
    "hp_vpinn_steep_1d_default_30s": (
        "",
        "the same with hats, the defaults: SSBroyden, weights of one",
    ),
    "hp_vpinn_steep_1d_adam_30s": ("", "the same with hats, Adam"),
    "hp_vpinn_steep_2d_100s": (
        "steep Poisson, 2-D",
        "hp-VPINN, Levenberg–Marquardt",
    ),
    "fem_steep_2d": ("", "**finite elements**, Q2, 64 × 64"),
    "fastvpinns_features_2s": (
        "Poisson, sin 4πx sin 4πy",
        "hp-VPINN with Fourier features",
    ),
    "buckley_leverett_strong_40s": ("Buckley–Leverett", "strong form: fails"),
    "buckley_leverett_weak_40s": ("", "weak form, vanishing viscosity"),
    "allen_cahn_soft_40s": ("Allen–Cahn, D = 1e-4", "vanilla, SSBroyden"),
    "allen_cahn_periodic_40s": (
        "",
        "periodic features, hard initial value",
    ),
    "cpinn_burgers_600s": ("Burgers, four subdomains", "cPINN, flux as it must be"),
    "cpinn_burgers_wrong_flux_600s": ("", "cPINN, flux as published: wrong"),
}
ASKED = {  # row: (figure, largest value asked for)
    "burgers_900s": ("error", 1e-6),
    "burgers_100s_gain": ("error", 5e-6),
    "burgers_100s_target": ("error", 5e-6),
    "hp_vpinn_steep_1d_30s": ("error", 5e-6),
    "hp_vpinn_steep_2d_100s": ("error", 1e-4),
    "fastvpinns_features_2s": ("error", 6e-2),
    "cpinn_burgers_600s": ("mass_defect", 1e-5),
}
SPEEDS = {  # row: (what, ours, theirs)
    "assembly_256_elements": (
        "weak residual, 256 elements: batched, loop",
        "batched_ms",
        "looped_ms",
    ),
    "subdomains_64": (
        "64 subdomain networks, 100 points each: batched, loop",
        "batched_ms",
        "looped_ms",
    ),
    "subdomains_64_compiled": (
        "the same: batched and compiled, loop",
        "batched_ms",
        "looped_ms",
    ),
    "subdomains_64_of_cpinn": (
        "64 subdomain networks, 31 points each: batched, loop",
        "batched_ms",
        "looped_ms",
    ),
    "deepxde_step_8x20": (
        "step of Adam, 8 × 20, 10 000 points: ours, DeepXDE's",
        "ours_ms",
        "deepxde_ms",
    ),
    "deepxde_step_8x20_compiled": (
        "the same: ours compiled, DeepXDE's",
        "ours_ms",
        "deepxde_ms",
    ),
    "jacobian_steep_1d": (
        "Jacobian of 1-D residuals: by points, by rows",
        "points_ms",
        "rows_ms",
    ),
    "jacobian_steep_2d": (
        "Jacobian of 2-D residuals: by points, by rows",
        "points_ms",
        "rows_ms",
    ),
    "jacobian_burgers": (
        "Jacobian of collocation, 1 000 points: by points, by rows",
        "points_ms",
        "rows_ms",
    ),
    "fastvpinns_steps": (
        "step of FastVPINNs' own test, float32: ours, FastVPINNs'",
        "ours_ms",
        "fastvpinns_ms",
    ),
}
RATIOS = {  # row: least ratio asked for
    "assembly_256_elements": 7,
    "subdomains_64": 5,
    "subdomains_64_compiled": 5,
    "subdomains_64_of_cpinn": 5,
    "deepxde_step_8x20_compiled": 1.4,
    "fastvpinns_steps": 1,
}


def small(value: float) -> str:
    """Write a number with two digits, in powers of ten where it is small."""
    return f"{value:.1e}" if value < 0.01 else f"{value:.2g}"


def errors(record: dict) -> str:
    """Error and CPU seconds of every method that was measured, finite elements too."""
    lines = [
        "| problem | method | relative error, median | worst | runs | CPU seconds "
        "| mass defect | asked |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, (problem, method) in ERRORS.items():
        if name not in record["rows"]:
            continue
        row = record["rows"][name]
        if "machine" in row:
            method += " \\*"
        found, worst = row.get("median", row), row.get("worst", row)
        defect = small(found["mass_defect"]) if "mass_defect" in found else ""
        lines.append(
            f"| {problem} | {method} | {small(found['error'])} "
            f"| {small(worst['error'])} | {len(row.get('runs', '1'))} "
            f"| {round(found['cpu_seconds'], 1):g} | {defect} "
            f"| {_asked_of(found, *ASKED.get(name, ('error', None)))} |"
        )
    early = record["rows"]["burgers_900s"]["median"]["error_150s"]
    lines += [
        "",
        f"Burgers' equation after 150 s: {small(early)}. One thread; "
        + starred(record, ERRORS),
    ]
    return "\n".join(lines)


def _asked_of(found: dict, figure: str, most: float | None) -> str:
    """Say what was asked of a row, and whether it falls short."""
    if most is None:
        return ""
    what = "" if figure == "error" else figure.replace("_", " ") + " "
    return f"{what}{small(most)}{'' if found[figure] <= most else ': short'}"


def inverse(record: dict) -> str:
    """How far networks and twins are off, in deviations of Cramer and Rao."""
    rows = list(record["rows"].values())
    lines = [
        "| unknown, values, noise | method | off, median | largest | draws | CPU s |",
        "|---|---|---|---|---|---|",
    ]
    for side in ("network", "twin"):
        off = [row[f"{side}_off"] for row in rows]
        lines.append(_spread("diffusivity, 10, 1 %", WAYS[side], off, rows, side))
    for level in ("0.1 %", "finer", "1 %", "10 %"):
        some = [r for n, r in record["burgers"].items() if n.startswith(f"{level},")]
        for side in ("network", "twin"):
            off = [abs(row[f"{side}_off"][1]) for row in some]
            noise = "0.1 %, finer" if level == "finer" else level
            title = f"viscosity of Burgers' equation, 500, {noise}"
            lines.append(_spread(title, WAYS[side], off, some, side))
    some = [r for n, r in record["burgers"].items() if n.startswith("control")]
    off = [abs(row["network_off"][1]) for row in some]
    lines.append(_spread("the same, 1 %", WAYS["control"], off, some, "network"))
    apart = max(row["apart"] for row in rows)
    lines += [
        "",
        "Off: from the truth, in Cramér–Rao deviations. Diffusivity "
        f"({rows[0]['deviation']:.2g}): the two are {apart:.1g} of one apart at most. "
        "To be off by less in every draw is no merit: no unbiased estimate can be, so "
        "the network's is biased, towards the value that the source was made for. "
        "Finer: a mesh of 40 × 24 for 24 × 12, twice the steps. "
        f"{_leaks(record)} {_fields(record)} {where(record)}.",
    ]
    return "\n".join(lines)


def _spread(what: str, how: str, off: list[float], rows: list[dict], side: str) -> str:
    """One line: median and largest of some errors, and the median of seconds."""
    seconds = statistics.median(row[f"{side}_seconds"] for row in rows)
    return (
        f"| {what} | {how} | {statistics.median(off):.2g} | {max(off):.2g} "
        f"| {len(off)} | {seconds:.1f} |"
    )


def _leaks(record: dict) -> str:
    """A conductivity where the end of the rod is not what it is believed to be."""
    told = {}
    for way in ("believed", "suspected", "network", "polynomial"):
        off = [row[way]["off_percent"] for row in record["leak"].values()]
        told[way] = f"{statistics.mean(off):.1f} ± {statistics.stdev(off):.1f} %"
    return (
        f"A rod whose end is not as believed, {len(record['leak'])} draws, "
        f"conductivity off, mean ± spread: elements that believe {told['believed']}, "
        f"with the end as a second unknown {told['suspected']}; without start and "
        f"ends, a network {told['network']}, polynomials in its place "
        f"{told['polynomial']}."
    )


def _fields(record: dict) -> str:
    """A source with 21 values of its own, with a prior and without."""
    told = {}
    for way in ("twin", "twin without", "network"):
        rows = [row[way] for row in record["field"].values()]
        off = statistics.median(row["off_percent"] for row in rows)
        seconds = statistics.median(row["seconds"] for row in rows)
        told[way] = f"{off:.3g} % in {seconds:.0f} s"
    return (
        f"A source with 21 knots from 49 values with 1 % noise, {len(record['field'])} "
        f"draws, off in the median: elements {told['twin without']}, with a prior on "
        f"its slope {told['twin']}, a network with that prior {told['network']}."
    )


def speeds(record: dict) -> str:
    """CPU milliseconds of two ways to compute the same numbers, and their ratio."""
    lines = [
        "| what: first way, second way | first, ms | second, ms | ratio | asked |",
        "|---|---|---|---|---|",
    ]
    for name, (text, first, second) in SPEEDS.items():
        if name not in record["rows"]:
            continue
        a, b = record["rows"][name][first], record["rows"][name][second]
        text += " \\*" if "machine" in record["rows"][name] else ""
        goal = RATIOS.get(name)
        told = "" if goal is None else f"{goal:g}{'' if b / a >= goal else ': short'}"
        lines.append(f"| {text} | {a:.3g} | {b:.3g} | {b / a:.2g} | {told} |")
    lines += ["", starred(record, SPEEDS)]
    return "\n".join(lines)


def starred(record: dict, names: Iterable[str]) -> str:
    """Say on which machine the rows were measured, and which those with a star."""
    rows = [record["rows"][name] for name in names if name in record["rows"]]
    here = [] if all("machine" in row for row in rows) else [where(record)]
    stars = dict.fromkeys(f"\\* {where(row)}" for row in rows if "machine" in row)
    return "; ".join([*here, *stars]) + "."
