"""The tables of modular training."""

import statistics

from tests.benchmarks.record import where

LADDER = {
    "backprop": "backpropagation",
    "interlocking n=5": "interlocking, horizon 5",
    "interlocking n=4": "interlocking, horizon 4",
    "interlocking n=3": "interlocking, horizon 3",
    "interlocking n=2": "interlocking, horizon 2",
    "interlocking n=1": "DGL: horizon 1",
    "dgl K=6": "DGL, heads with a hidden layer",
    "greedy K=6, mlp head": "greedy, heads with a hidden layer",
    "greedy K=6": "greedy",
    "greedy K=3": "greedy, 3 modules",
    "greedy K=2": "greedy, 2 modules",
    "predsim K=6": "DGL, predsim",
    "infopro K=6": "DGL, InfoPro",
}


def either(gap: dict) -> str:
    """Write a mean and its standard error."""
    return f"{gap['mean']:.1f} ± {gap['standard_error']:.1f}"


def modular(record: dict) -> str:
    """Accuracy of every method of the ladder, with what it holds and how it scales."""
    ladder, more = record["ladder"], record["more"]
    methods, runs = ladder["methods"] | more["methods"], ladder["runs"] | more["runs"]
    speed = record["frontier"]["methods"]
    lines = [
        "| six modules, sums of two digits | accuracy, % | held for backward "
        "| speed-up |",
        "|---|---|---|---|",
    ]
    for name, text in LADDER.items():
        kib = f"{max(run['saved_bytes'] for run in runs[name]) / 1024:.0f} KiB"
        faster = f"{speed[name]['speed_up']:.1f}" if name in speed else ""
        lines.append(f"| {text} | {either(methods[name])} | {kib} | {faster} |")
    gaps = ladder["paired"] | more["paired"]
    lines += [
        "",
        f"Mean ± standard error over {ladder['setting']['seeds']} seeds, linear heads "
        "where nothing is said. Seed by seed: backpropagation is ahead of horizon 4 by "
        f"{either(gaps['backprop - interlocking n=4'])} points and of DGL with hidden "
        f"layers in its heads by {either(gaps['backprop - dgl K=6'])}; that is ahead "
        f"of greedy by {either(gaps['dgl K=6 - greedy K=6'])}, nearly all of it owed "
        "to the heads: with the same ones, by "
        f"{either(gaps['dgl K=6 - greedy K=6, mlp head'])}. Unlike on images, "
        "predsim and InfoPro change little here: "
        f"{either(gaps['predsim K=6 - interlocking n=1'])} and "
        f"{either(gaps['infopro K=6 - interlocking n=1'])} points against DGL. "
        "Speed-up: by the schedule, a machine per module and heads for nothing. The "
        "ladder took "
        f"{ladder['wall_seconds']:.0f} s on {ladder['machine']['cpu_count']} cores "
        f"({ladder['cpu_seconds']:.0f} s of CPU); {where(ladder)}.",
    ]
    return "\n".join(lines)


def memory(record: dict) -> str:
    """Share of end-to-end training's memory, by number of modules."""
    table = record["memory"]
    rows = {
        "local losses, heads left out": "dgl K={}",
        "local losses, heads with a hidden layer": "dgl K={}",
        "interlocking, horizon 2": "interlocking n=2, K={}",
        "checkpointing, as many segments": "checkpointing {}",
    }
    parts, whole = (2, 4, 8), table["backprop"]["bytes"]
    lines = [
        f"| 32 layers, share of {whole / 2**20:.1f} MiB | "
        + " | ".join(f"K = {k}" for k in parts)
        + " |",
        "|---|" + "---|" * len(parts),
    ]
    for index, (text, key) in enumerate(rows.items()):
        cells = []
        for k in parts:
            row = table[key.format(k)]
            heads = row["head_bytes"] if index == 0 else 0
            cells.append(f"{(row['bytes'] - heads) / whole:.2f}")
        lines.append(f"| {text} | {' | '.join(cells)} |")
    lines += ["", "Most bytes that autograd holds in a step, the same on every run."]
    return "\n".join(lines)


def unlocking(record: dict) -> str:
    """How long four processes take whose modules sleep instead of computing."""
    table, names = record["unlocking"], ("locked", "pairwise", "local")
    steps, one = table["steps"], f"{1000 * table['forward']:.0f}"
    lines = [
        f"| four processes, {steps} steps | measured | critical path | speed-up "
        "| real work |",
        "|---|---|---|---|---|",
    ]
    for name in names:
        row, real = table[name], table["real_work"]
        faster = real["locked"]["seconds"] / real[name]["seconds"]
        lines.append(
            f"| {name} | {row['seconds']:.2f} s | {row['critical_path']:.2f} s | "
            f"{row['speed_up']:.2f} | {faster:.2f} |"
        )
    lines += [
        "",
        f"Modules sleep {one} ms forward and {1000 * table['backward']:.0f} ms "
        f"backward, so that {table['machine']['cpu_count']} cores do for four. Local "
        "training exceeds 4 because no module computes the gradient of its input. "
        "Real work of this size is all messages and a busy machine: reported, not "
        "claimed.",
    ]
    return "\n".join(lines)


def kernel(record: dict) -> str:
    """Ten labels against all, and what transferability predicts."""
    few, found = record["kernel"]["ten_labels"], record["kernel"]["transfer"]
    return "\n".join(
        [
            "| kernel modules on digits | |",
            "|---|---|",
            f"| output module trained on ten labels in all | {few['ten']:.1f} % |",
            f"| on all labels | {few['all']:.1f} % |",
            f"| transferability against accuracy, {found['tasks']} tasks: rank "
            f"correlation | {found['spearman']:.2f}, p = {found['permutation_p']:.1g} "
            "|",
        ]
    )


def pipeline(record: dict) -> str:
    """Idle shares side by side, real processes, and the simulator at scale."""
    sides = record["table"]
    sizes = ", ".join(sides).replace(" x ", " × ")
    lines = [
        f"| backward twice a forward | idle, {sizes} | activations held | copies |",
        "|---|---|---|---|",
    ]
    for name in next(iter(sides.values())):
        cells = [side[name] for side in sides.values()]
        idle = ", ".join(f"{100 * cell['idle']:.1f} %" for cell in cells)
        held = ", ".join(f"{cell['held']:g}" for cell in cells)
        lines.append(f"| {name} | {idle} | {held} | {cells[0]['copies']} |")
    lines += [
        "",
        "Ranks × micro-batches; exact, by simulation. Held: micro-batches on the rank "
        "that holds most.",
        "",
        "| stages that sleep | processes × micro-batches | measured | range "
        "| simulated | over |",
        "|---|---|---|---|---|---|",
    ]
    clocks = {k.removeprefix("clock "): v for k, v in record.items() if "clock" in k}
    for size, rows in clocks.items():
        for name, row in rows.items():
            seconds = row["seconds"]
            measured = f"{statistics.median(seconds):.2f} s"
            spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
            over = f"{100 * (row['over'] - 1):+.1f} %".replace("-", "−")
            lines.append(
                f"| {name} | {size.replace('x', '×')} | {measured} | {spread} "
                f"| {row['simulated']:.2f} s | {over} |"
            )
    seconds, steps = record["setting"]["forward"], len(seconds)
    lines += [
        "",
        f"A forward of a rank's part of the model takes {1000 * seconds:.0f} ms, a "
        f"backward twice that; median and range of {steps} steps on gloo. Rows called "
        "torch are run by torch's own runtime, the others by ours. With forward "
        "doubling the first of two micro-batches is sent on before the second is done, "
        f"which the simulation does not count. {record['setting'].get('shared', '')}",
        "",
        "| simulated, ranks × micro-batches | operations | CPU | memory | each |",
        "|---|---|---|---|---|",
    ]
    for name, row in record["scale"].items():
        each = 1e6 * row["cpu_seconds"] / row["operations"]
        lines.append(
            f"| {name.replace(' x ', ' × ')} | {row['operations']:,} "
            f"| {row['cpu_seconds']:.1f} s | {row['gib']:.1f} GiB | {each:.1f} µs |"
        )
    lines += ["", f"{where(record)}."]
    return "\n".join(lines)
