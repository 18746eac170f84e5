"""The tables of activation memory."""

import statistics

from tests.benchmarks.record import where


def _scores(row: dict) -> list[float]:
    return [run["accuracy"] for run in row["runs"]]


def memory(record: dict) -> str:
    """Bytes of activations against accuracy, with the control and the published."""
    lines = [
        "| activations kept | times less, median | least | accuracy, %, mean | seeds "
        "| test loss |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in record["runs"].items():
        values, less = _scores(row), [run["less"] for run in row["runs"]]
        loss = statistics.mean(run["loss"] for run in row["runs"])
        lines.append(
            f"| {name} | {statistics.median(m for m, _ in less):.1f} "
            f"| {min(low for _, low in less):.1f} | {statistics.mean(values):.1f} "
            f"| {min(values):.1f} to {max(values):.1f} | {loss:.2f} |"
        )
    setting, published = record["setting"], record["published"]
    lines += [
        "",
        f"{setting['layers']} convolutions with {setting['channels']} channels on "
        f"digits, float32, Adam, {setting['epochs']} epochs, {setting['seeds']} seeds; "
        "times less: of what passes the codec, within a training. Controller: the "
        f"share of noise, bounds set every {setting['period']} steps. Control: the "
        "same bounds, rounded to the nearest, zeros and signs not kept. SZ3: by the "
        "paper's compressor, with signs beside it. Bits: by "
        "chance, in groups. Bound: one for all activations and steps, without a "
        f"controller. {published['source']}, on large networks: "
        f"{published['less']} times. {where(record)}.",
    ]
    return "\n".join(lines)


def held(record: dict) -> str:
    """Bytes against seconds, all ways on one scale."""
    base = record["step"]["plain"]
    lines = [
        "| one step | waits, kB | highest moment, kB | times as slow |",
        "|---|---|---|---|",
    ]
    for name, row in record["step"].items():
        lines.append(
            f"| {name} | {row['held'] / 1e3:,.0f} | {row['peak'] / 1e3:,.0f} "
            f"| {row['ratio']:.1f} |"
        )
    states = record["states"]
    whole = states["32 bits"]["runs"][0]["bytes"]
    for name, row in states.items():
        right = _scores(row)
        told = "diverges" if None in right else f"{statistics.mean(right):.1f} %"
        size = row["runs"][0]["bytes"]
        lines.append(f"| Adam's states, {name}: {told} | {size / 1e3:,.0f} | | |")
    for stage, row in record["zero"]["four workers"].items():
        lines.append(
            f"| ZeRO, {stage}, parameters, gradients and states of each of "
            f"{record['setting']['ranks']} | {row['most'] / 1e3:,.0f} | | |"
        )
    lines += [
        "",
        "Batch of "
        f"{record['setting']['batch']}; what is left between forward and backward, and "
        "most at one moment, by the allocator (bytes that offload moves are counted, "
        "since host and device are one machine here); CPU seconds beside a plain step "
        f"of {1e3 * base['seconds']:.0f} ms, in turns, beside other work. Checkpoints: "
        f"segments. Adam's states of 32 bits take {whole / 1e3:,.0f} kB. ZeRO by "
        f"arithmetic. {where(record)}.",
    ]
    return "\n".join(lines)
