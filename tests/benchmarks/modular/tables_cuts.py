"""The tables of a small GPT divided in six ways, and of where models are cut."""

import statistics

from tests.benchmarks.record import where


def gpt(record: dict) -> str:
    """One small model, six ways: what a step costs, holds and learns."""
    part = record["gpt"]
    rows, setting = part["rows"], part["setting"]
    lines = [
        "| a small GPT | CPU of all processes, a step | tokens a CPU second | held for "
        "backward | weights and optimiser | loss |",
        "|---|---|---|---|---|---|",
    ]
    tokens = setting["batch"] * setting["length"]
    for name, row in rows.items():
        seconds = 1000 * statistics.median(row["cpu_seconds"])
        held, state = (max(row[key]) / 2**20 for key in ("saved_bytes", "state_bytes"))
        losses = ", ".join(f"{value:.3f}" for value in row["loss"])
        lines.append(
            f"| {name} | {seconds:.0f} ms | {1000 * tokens / seconds:,.0f} "
            f"| {held:.1f} MiB | {state:.1f} MiB "
            f"| {losses} |"
        )
    lines += [
        "",
        f"Four gloo processes, {tokens:,} tokens a step, loss of step "
        f"{setting['steps']} with seeds {', '.join(map(str, setting['seeds']))}: the "
        "same batches, so the same learning, but for local losses, whose gradient is "
        "another one; their weights include heads. Bytes of the rank that has most; "
        "FSDP2 holds weights that it has gathered, too. Two cores cannot tell how fast "
        "four machines are; CPU time counts the price of messages.",
        "",
        f"| loss on text held out, after {setting['long']} steps | seeds "
        f"{', '.join(map(str, setting['seeds']))} |",
        "|---|---|",
    ]
    for name in ("one loss", "losses of their own", "entropy"):
        values = part["learning"][name]
        lines.append(f"| {name} | {', '.join(f'{value:.2f}' for value in values)} |")
    lines += [
        "",
        f"Entropy is what the source of the text loses itself. {where(part)}.",
    ]
    return "\n".join(lines)


def cuts(record: dict) -> str:
    """A step of each way to cut, over the work divided by the ranks."""
    part = record["cuts"]
    ways = ("at random", "equal layers", "equal parameters", "plan")
    lines = [
        f"| model, ranks | {' | '.join(ways)} | best of all |",
        "|---|---|---|---|---|---|",
    ]
    for model, rows in part["where"].items():
        for ranks, row in rows.items():
            shown = [row[way] for way in ways]
            if isinstance(shown[0], list):
                cells = [f"{m:.2f} ({low:.2f} to {high:.2f})" for m, low, high in shown]
            else:
                cells = [f"{value:.2f}" for value in shown]
            best = f"{row['best']:.2f}" if "best" in row else "–"
            lines.append(f"| {model}, {ranks} | {' | '.join(cells)} | {best} |")
    again = part["again"]["0.5"]
    lines += [
        "",
        "A step of 1F1B on the exact simulator, four micro-batches a rank, over the "
        "work divided by the ranks; random costs in "
        f"{part['setting']['seeds']} chains, median and range. With half of the memory "
        f"a step takes {again['stage-aware']:.2f} of one without recomputation if each "
        "stage does again what it must, "
        f"{again['as the first stage']:.2f} if all do as the first, "
        f"{again['all again']:.2f} if everything is done again. {where(part)}.",
    ]
    return "\n".join(lines)
