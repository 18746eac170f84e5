"""The tables of K-FAC: placements to the byte, and the races."""

import statistics

from tests.benchmarks.modular.curvature_race import METHODS, TASKS
from tests.benchmarks.record import where


def curvature(record: dict) -> str:
    """What every placement sends, holds and computes."""
    lines = [
        "| K-FAC on 2, 4, 8 processes | on the wire, MB | held by the fullest, MB "
        "| on average | operations of the busiest, millions |",
        "|---|---|---|---|---|",
    ]
    runs = record["placements"]
    for name in next(iter(runs.values())):
        rows = [run[name] for run in runs.values()]
        means = [
            row["held_all"] / int(ranks) for ranks, row in zip(runs, rows, strict=True)
        ]
        cells = (
            ", ".join(f"{row['wire'] / 1e6:.1f}" for row in rows),
            ", ".join(f"{row['held_most'] / 1e6:.2f}" for row in rows),
            ", ".join(f"{mean / 1e6:.2f}" for mean in means),
            ", ".join(f"{row['flops_most'] / 1e6:.0f}" for row in rows),
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    shapes, published = record["formula"]["ResNet-50"], record["published"]
    low, high = published["traffic"]
    less, more = published["memory"]
    memory = [
        (run["Local"]["rest"] + run["Replicated"]["held_most"])
        / (run["Local"]["rest"] + run["Local"]["held_most"])
        for run in runs.values()
    ]
    lines += [
        "",
        "Ten steps of a small convolutional net, one preparation; bytes sent and held "
        "and operations of every process are those of the formulas, exactly. On the "
        "wire: a ring for averages, one copy for each hearer of anything else. Factors "
        "over gradients of ResNet-50, from its shapes: "
        f"{shapes['ratio']:.2f}, and {shapes['ratio_halves']:.2f} where one half of a "
        f"symmetric matrix is sent; published for DP-KFAC: {low} to {high}. Memory of "
        "the fullest with weights, gradients, momentum and activations, Replicated "
        f"over Local: {', '.join(f'{m:.2f}' for m in memory)} here; published: {less} "
        f"to {more}, of larger nets. {where(record)}.",
    ]
    return "\n".join(lines)


def below(run: dict, target: float) -> tuple[float, float]:
    """Return step and seconds at which a run is first at a loss."""
    for step, seconds, loss in zip(
        run["steps"], run["seconds"], run["train"], strict=True
    ):
        if loss <= target:
            return step, seconds
    return float("inf"), float("inf")


def race(record: dict) -> str:
    """Steps and seconds to a loss, of every method and task."""
    seeds = range(record["setting"]["seeds"])
    lines = [
        "| to a training loss | steps | CPU seconds | last loss | on test data |",
        "|---|---|---|---|---|",
    ]
    done = [t for t in TASKS if f"{t}, {METHODS[-1]}, {seeds[-1]}" in record["race"]]
    for task in done:
        runs = {
            m: [record["race"][f"{task}, {m}, {s}"] for s in seeds] for m in METHODS
        }
        last = {m: statistics.median(r["train"][-1] for r in runs[m]) for m in METHODS}
        target = 1.05 * max(last[m] for m in ("SGD, momentum", "Adam", "K-FAC"))
        for method in METHODS:
            reached = [below(run, target) for run in runs[method]]
            steps, seconds = (statistics.median(c) for c in zip(*reached, strict=True))
            test = statistics.median(r["test"][-1] for r in runs[method])
            cells = (
                (f"{steps:.0f}", f"{seconds:.2f}")
                if steps < float("inf")
                else ("beyond", "beyond")
            )
            lines.append(
                f"| {task}, {target:.2g}: {method} | {' | '.join(cells)} "
                f"| {last[method]:.3g} | {test:.3g} |"
            )
    setting = record["setting"]
    lines += [
        "",
        f"Medians of {setting['seeds']} seeds, batches of {setting['batch']}; each "
        f"method at the best of {setting['trials']} settings, by the training loss on "
        "two other seeds. The loss to reach is what the slowest of SGD, Adam and K-FAC "
        "ends at, and 5 %. SGD, clipped: K-FAC without its factors. CPU time on a "
        "busy machine.",
        "",
        "| factors from one of so many shares | training loss, median | range "
        "| control: a batch as small as a share |",
        "|---|---|---|---|",
    ]
    price = record["price"]
    for shares in setting["shares"]:
        local, small = (
            [price[f"{kind}, {shares}, {seed}"]["loss"] for seed in seeds]
            for kind in ("local", "small batch")
        )
        lines.append(
            f"| {shares} | {statistics.median(local):.2g} | {min(local):.2g} to "
            f"{max(local):.2g} | {statistics.median(small):.2g} |"
        )
    lines += [
        "",
        "K-FAC on digits at its best setting above, damping once, three or ten times "
        f"as large, whichever is best on another seed. {where(record)}.",
    ]
    return "\n".join(lines)
