"""The README's table of what holds on other processors and with other seeds."""

from tests.benchmarks.record import where


def robust(record: dict) -> str:
    """Chapters whose outputs, or whose decisions, stay the same, by setting."""
    lines = [
        "| setting | chapters that stay the same | not the same |",
        "|---|---|---|",
    ]
    names = dict.fromkeys(name for row in record["rows"].values() for name in row)
    for name in names:
        rows = {c: row[name] for c, row in record["rows"].items() if name in row}
        changed = [_id(c) for c, row in rows.items() if faults(row)]
        held = f"{len(rows) - len(changed)} of {len(rows)}"
        lines.append(f"| {name} | {held} | {', '.join(changed)} |")
    return "\n".join([*lines, "", f"{where(record)}."])


def faults(row: dict) -> int:
    """Count the cells whose outputs changed, or the decisions that flipped."""
    return len(row.get("failed", ())) + len(row.get("flipped", ()))


def _id(slug: str) -> str:
    return slug.partition("_")[0]
