"""The README's tables of how far tests and stored outputs can be trusted."""

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
    machine = record["machine"]
    return "\n".join([*lines, "", f"{machine['cpu']}, {machine['date']}."])


def mutation(record: dict) -> str:
    """How many slips in the library its tests catch, and what they let pass."""
    lines = [
        "| package | slips possible | tried | caught | with tests added since |",
        "|---|---|---|---|---|",
    ]
    passed = []
    for package, row in record["packages"].items():
        lines.append(
            f"| `{package}` | {row['mutants']} | {row['tried']} "
            f"| {row.get('first_score', row['score']):.0%} | {row['score']:.0%} |"
        )
        passed += [f"{s['place']} ({s['reason']})" for s in row["survivors"]]
    told = f"Not caught: {'; '.join(passed)}. " if passed else ""
    told += "The last column is on the same sample, so it flatters. "
    lines += ["", f"{told}Seed {record['seed']}; {where(record)}."]
    return "\n".join(lines)


def faults(row: dict) -> int:
    """Count cells that changed or broke, and decisions that flipped."""
    return sum(len(row.get(kind, ())) for kind in ("failed", "flipped", "error"))


def _id(slug: str) -> str:
    return slug.partition("_")[0]
