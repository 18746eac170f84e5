"""The tables of how far tests and stored outputs can be trusted."""

from tests.benchmarks.record import where


def robust(record: dict) -> str:
    """Notebooks whose outputs, or whose decisions, stay the same, by setting."""
    lines = [
        "| setting | chapters that stay the same | projects | not the same |",
        "|---|---|---|---|",
    ]
    names = dict.fromkeys(name for row in record["rows"].values() for name in row)
    for name in names:
        rows = {n: row[name] for n, row in record["rows"].items() if name in row}
        chapters = {n: row for n, row in rows.items() if n[0].isdigit()}
        projects = {n: row for n, row in rows.items() if n not in chapters}
        changed = [n.partition("_")[0] for n, row in chapters.items() if faults(row)]
        changed += [n for n, row in projects.items() if faults(row)]
        lines.append(
            f"| {name} | {_held(chapters)} | {_held(projects)} | {', '.join(changed)} |"
        )
    machine = record["machine"]
    return "\n".join([*lines, "", f"{machine['cpu']}, {machine['date']}."])


def _held(rows: dict) -> str:
    """How many rows are without a fault; empty if there is none at all."""
    return f"{sum(not faults(r) for r in rows.values())} of {len(rows)}" if rows else ""


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


def load(record: dict) -> str:
    """What a class needs that runs chapter 11 at once, and what follows for thirty."""
    rows, machine = record["rows"], record["machine"]
    lines = [
        "| students at once | server answers, s (last) | chapter has run, s (last) "
        "| CPU s each | MiB each (most) | used by others |",
        "|---|---|---|---|---|---|",
    ]
    for number, row in rows.items():
        start, run = (_most(row, f"{name}_seconds") for name in ("start", "run"))
        lines.append(
            f"| {number} | {start} | {run} | {row['cpu_seconds']:.0f} "
            f"| {_most(row, 'mib')} | {row['others']:.0%} |"
        )
    largest = rows[max(rows, key=int)]
    failed = sum(row["failed"] for row in rows.values())
    memory = 30 * largest["mib_most"] / 1024
    minutes = 30 * largest["cpu_seconds"] / machine["cpu_count"] / 60
    told = (
        f"For thirty that is {memory:.0f} GiB, and {minutes:.0f} minutes if all run "
        f"the whole chapter at once on {machine['cpu_count']} processors that nobody "
        f"else uses, half of it on twice as many. {failed or 'None'} of those who ran "
        "it had a cell that failed. Memory is what processes hold, what they share "
        "divided among them."
    )
    return "\n".join([*lines, "", told, "", f"{where(record)}."])


def _most(row: dict, name: str) -> str:
    """What half of them needed less than, and the most."""
    return f"{row[name]:.0f} ({row[f'{name}_most']:.0f})"


def faults(row: dict) -> int:
    """Count cells that changed or broke, and decisions that flipped."""
    return sum(len(row.get(kind, ())) for kind in ("failed", "flipped", "error"))
