"""Tables of neural ODEs: adaptive steps and stiff ones, optimisers, the horizon."""

from statistics import median

from tests.benchmarks.record import where


def adaptive(record: dict) -> str:
    """Seconds and exactness with adaptive steps, a row each; then the reactions."""
    lines = [
        "| gradient | a step of training | in parts of odeint_adjoint "
        "| error of the gradient | error of the last state |",
        "|---|---|---|---|---|",
    ]
    rows, stiff = record["adaptive"], record["robertson"]
    slowest = rows["torchdiffeq odeint_adjoint"]["ms"]
    for name, row in rows.items():
        pairs = zip(row["ms"], slowest, strict=True)
        share = median(one / other for one, other in pairs)
        errors = row["gradient_error"]
        error = "0" if not any(errors) else f"{median(errors):.1e}"
        lines.append(
            f"| {name} | {median(row['ms']):.0f} ms | {share:.2f} | {error} "
            f"| {median(row['state_error']):.0e} |"
        )
    told = "; ".join(f"{name}: {text}" for name, text in stiff["explicit"].items())
    before = ", ".join(f"{100 * one:.0f}" for one in stiff["error_before"])
    after = ", ".join(f"{100 * one:.2g}" for one in stiff["error_after"])
    lines += [
        "",
        "Dormand and Prince's fifth order at a relative tolerance of 1e-5, the same "
        "field with weights three times as large, CPU time of a busy machine; the "
        "gradient's error is the relative distance from autograd through the same "
        "steps, the state's from 400 fixed steps. torchode gives each sample steps of "
        "its own unless it is joint, and is used as it comes, not compiled. "
        "Robertson's reactions, explicit methods: "
        f"{told}. SDIRK of order 2 with the discrete adjoint, {stiff['steps']} steps, "
        "fitted to SciPy's Radau solution: the three rate constants are off by "
        f"{before} % before and {after} % after. {where(record)}.",
    ]
    return "\n".join(lines)


def shares(rows: dict) -> tuple[str, list[float]]:
    """Return the best first-order side, and which part of its time SNOpt needs.

    For each seed: seconds until SNOpt has the other's final error, by the other's
    seconds; infinity if it never has it.
    """
    best = min(("SGD", "Adam"), key=lambda side: median(_finals(rows[side])))
    found = []
    for ours, other, goal in zip(
        rows["SNOpt"]["curves"], rows[best]["curves"], _finals(rows[best]), strict=True
    ):
        looks = zip(ours["seconds"], ours["errors"], strict=True)
        there = [s for s, e in looks if e is not None and e <= goal]
        found.append(min(there, default=float("inf")) / other["seconds"][-1])
    return best, found


def _finals(row: dict) -> list[float]:
    """Return the final errors; infinity where a run has blown up."""
    return [float("inf") if one is None else one for one in row["final"]]


def race(record: dict) -> str:
    """Final errors of optimisers on two problems, a row each, and the time saved."""
    lines = [
        "| side | spiral: setting | error, median (worst) | letters: setting "
        "| error, median (worst) | accuracy |",
        "|---|---|---|---|---|---|",
    ]
    spiral, letters = record["spiral"], record["letters"]
    for side in dict.fromkeys([*spiral, *letters]):
        cells = [_cells(rows.get(side)) for rows in (spiral, letters)]
        right = [
            curve["accuracy"][-1] for curve in letters.get(side, {}).get("curves", [])
        ]
        accuracy = "" if None in right or not right else f"{100 * median(right):.0f} %"
        lines.append(f"| {side} | {cells[0]} | {cells[1]} | {accuracy} |")
    told = []
    for name, rows in (("spiral", spiral), ("letters", letters)):
        best, parts = shares(rows)
        each = ", ".join("never" if p == float("inf") else f"{p:.2f}" for p in parts)
        told.append(f"on the {name} that of {best}, in these parts of its time: {each}")
    lines += [
        "",
        "Means of the last three looks at new examples, five seeds; squared distance "
        "on the spiral, cross-entropy on twelve letters that a pen writes, generated "
        "here. "
        "Each side has the best of twelve settings on another seed; the control is "
        "reversed, and Euler's steps take Adam's. No moments: SNOpt's Kronecker "
        "factors alone, at its setting. SNOpt's first look with the final error of the "
        "best first-order run, seed by seed: "
        f"{'; '.join(told)}. CPU time of a busy "
        f"machine. {where({'machine': record['race_machine']})}.",
    ]
    return "\n".join(lines)


def _cells(row: dict | None) -> str:
    """Return a setting and its errors as two cells."""
    if row is None:
        return " | "
    setting = ", ".join(f"{key} {value:g}" for key, value in row["setting"].items())
    ends = [
        "none" if e == float("inf") else f"{e:.2g}" if e < 100 else "> 100"
        for e in (median(_finals(row)), max(_finals(row)))
    ]
    return f"{setting} | {ends[0]} ({ends[1]})"


def horizon(record: dict) -> str:
    """What a learned horizon saves, a row for each way to choose how deep."""
    rows = dict(record["horizon"])
    found = rows.pop("search")
    lines = [
        "| time to move | accuracy, median (lowest) | T at the end | looks at the "
        "field | CPU time, in parts of the fixed one |",
        "|---|---|---|---|---|",
    ]
    whole = rows["fixed"]
    for name, row in rows.items():
        pairs = zip(row["seconds"], whole["seconds"], strict=True)
        part = median(one / other for one, other in pairs)
        lines.append(
            f"| {name} | {_named(row['accuracy'])} "
            f"| {median(row['T']):.2f} | {median(row['looks']):.0f} | {part:.2f} |"
        )
    lines += [
        "",
        "The digits of scikit-learn, five seeds, 400 digits to test on. Adam at its "
        f"best rate for the fixed time ({found['lr']:g} of four), time at the highest "
        f"price of four ({found['price']:g}) that loses at most a point of accuracy on "
        "digits kept for that, from T = 1, let free after a third of the updates. A "
        "horizon has run away when it is beyond 2, and its training ends. "
        f"{where(record)}.",
    ]
    return "\n".join(lines)


def _named(right: list[float | None]) -> str:
    """Return the accuracies, or how many horizons ran away."""
    kept = [one for one in right if one is not None]
    if len(kept) < len(right):
        return f"{len(right) - len(kept)} of {len(right)} ran away"
    return f"{100 * median(kept):.1f} % ({100 * min(kept):.1f} %)"
