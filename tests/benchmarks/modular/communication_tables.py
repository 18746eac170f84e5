"""The tables of large batches and lean messages."""

import statistics

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
        equal = (
            "all bits are" if record["gloo"]["all bits equal"] else "not all bits are"
        )
        same = f" On four real processes {equal} the same."
    lines.append(
        f"{setting['workers']} workers, {setting['seeds']} paired seeds, the best of "
        "three rates, by the mean over validation data, for every row; top-k "
        f"sends {100 * setting['share']:g} % of the entries. On the wire: what a "
        "worker sends in a ring, messages gathered or gradients added. "
        f"Simulated in one process.{same} {where(record)}."
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
        "seeds, mean and range, each at the best of three rates by the mean over "
        f"validation data, or of more while the largest was best. {where(record)}.",
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
    for size, row in record["steps"].items():
        done = [run for run in row["runs"] if run["steps"]]
        if not done:
            lines.append(f"| {size} | not reached | | |")
            continue
        count = statistics.median(run["steps"] for run in done)
        noise = statistics.median(run["noise scale"] for run in done)
        lines.append(
            f"| {size} | {count:.0f} | {count * int(size):,.0f} | {noise:.0f} |"
        )
    lines += [
        "",
        "Plain SGD at the best of three constant rates, medians; the noise scale is "
        "that of the gradients on the way.",
    ]
    return lines
