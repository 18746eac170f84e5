"""The tables of large batches and lean messages."""

import statistics

from tests.benchmarks.modular.steps import fitted
from tests.benchmarks.record import where


def scores(row: dict) -> list[float]:
    """Return the accuracies of all seeds."""
    return [run["accuracy"] for run in row["runs"]]


def messages(record: dict) -> str:
    """Bytes against accuracy, on both tasks."""
    setting, lines = record["setting"], []
    texts = {
        "convolutions": "digits, a convolutional network",
        "pair_sum": "sums of two digits",
    }
    for part in (name for name in texts if name in record):
        lines += [
            f"| {texts[part]} | message shorter | less on the wire | accuracy, % "
            "| points behind, each seed |",
            "|---|---|---|---|---|",
        ]
        base = scores(record[part]["all of the gradient"])
        for name, row in record[part].items():
            run, found = row["runs"][0], scores(row)
            gaps = [a - b for a, b in zip(base, found, strict=True)]
            behind = ", ".join(f"{gap:.1f}".replace("-", "−") for gap in gaps)
            lines.append(
                f"| {name} | {run['shorter']:.0f}× | {run['less on the wire']:.0f}× | "
                f"{statistics.mean(found):.1f} | {behind} |"
            )
        lines.append("")
    same = ""
    if "gloo" in record:
        run = record["gloo"]
        equal = "all bits are" if run["all bits equal"] else "not all bits are"
        same = (
            f" One run of top-k with feedback again on four real processes, all "
            f"{run['steps']} steps: {equal} the same, {run['accuracy']:.1f} % here and "
            f"{run['simulated']:.1f} % there, {run['sent']:,} bytes sent in place of "
            f"{run['plain']:,}."
        )
    lines.append(
        f"{setting['workers']} workers, {setting['seeds']} paired seeds, for every row "
        "the best rate of the same search, by the mean over validation data: factors "
        "of two, until the best is between two others; top-k sends "
        f"{100 * setting['share']:g} % of the entries. On the wire: what a worker "
        "sends in a ring, messages gathered or gradients added. Post-local: every step "
        f"in the first half. Simulated in one process.{same} {where(record)}."
    )
    return "\n".join(lines)


def cell(row: dict | None) -> str:
    """Return mean and range of a row's accuracies."""
    if row is None:
        return ""
    found = scores(row)
    return f"{statistics.mean(found):.1f} ({min(found):.1f} to {max(found):.1f})"


def batches(record: dict) -> str:
    """Accuracy against the batch, and steps to a loss beside the noise scale."""
    setting, rows = record["setting"], record["batches"]
    sizes = sorted({int(name.split(", ")[1]) for name in rows})
    lines = [
        "| sums of two digits, accuracy in % | "
        + " | ".join(f"batch {size}" for size in sizes)
        + " |",
        "|---|" + "---|" * len(sizes),
    ]
    for name in dict.fromkeys(name.split(", ")[0] for name in rows):
        for warm in ("", ", warm-up"):
            shown = [cell(rows.get(f"{name}, {size}{warm}")) for size in sizes]
            lines.append(f"| {name}{warm} | " + " | ".join(shown) + " |")
    lines += [
        "",
        f"{setting['epochs']} passes through 6,000 pairs, {setting['seeds']} paired "
        "seeds, mean and range, each at its best rate by the mean over validation "
        "data: of three, and of more until the best was between two others. "
        f"{where(record)}.",
    ]
    return "\n".join(lines + (steps(record) if "steps" in record else []))


def steps(record: dict) -> list[str]:
    """Steps to a loss beside the noise scale."""
    setting = record["setting"]
    lines = [
        "",
        f"| batch | steps to a training loss of {setting['target']:g} | samples "
        "| noise scale |",
        "|---|---|---|---|",
    ]
    for size, (count, noise) in step_medians(record).items():
        lines.append(f"| {size} | {count:.0f} | {count * size:,.0f} | {noise:.0f} |")
    medians = step_medians(record)
    least, scale = fitted({size: count for size, (count, _) in medians.items()})
    noise = [found for _, found in medians.values()]
    lines += [
        "",
        "Plain SGD at a constant rate, the best of factors of two with its neighbours "
        f"tried, medians of {setting['seeds']} seeds; the noise scale is that of the "
        f"gradients on the way. The law steps = S (1 + B / batch), fitted: S = "
        f"{least:.0f}, B = {scale:.0f}. Measured noise scales: {min(noise):.0f} to "
        f"{max(noise):.0f}.",
    ]
    return lines


def step_medians(record: dict) -> dict[int, tuple[float, float]]:
    """Return the median steps and noise scale of each batch that got there."""
    found = {}
    for size, row in record["steps"].items():
        done = [run for run in row["runs"] if run["steps"]]
        if done:
            found[int(size)] = (
                statistics.median(run["steps"] for run in done),
                statistics.median(run["noise scale"] for run in done),
            )
    return found
