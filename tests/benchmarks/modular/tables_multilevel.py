"""The tables of multilevel training."""

from tests.benchmarks.record import where


def told(number: float | None, digits: int) -> str:
    """Write a number, or that it was not within the budget."""
    return "beyond" if number is None else f"{number:.{digits}f}"


def line(name: str, row: dict, seeds: int) -> str:
    """Write one side as a row."""
    low, high = (told(c, 0) for c in row["spread"])
    return (
        f"| {name} | {told(row['cost'], 0)} | {low} to {high} | {row['reached']} of "
        f"{seeds} | {told(row['quiet'], 0)} | {row['gradient']:.1e} | "
        f"{told(row['seconds'], 2)} |"
    )


def head(title: str, target: float) -> list[str]:
    """Write the head of a table."""
    return [
        f"| {title} | gradients to a loss of {target:g}, median | range | reached | "
        "gradients to rest | gradient at the end | CPU seconds to the loss |",
        "|---|---|---|---|---|---|---|",
    ]


def multilevel(record: dict) -> str:
    """Cost to a loss, in gradients of the finest network."""
    setting, lines = record["setting"], []
    seeds = setting["seeds"]
    for name in ("spirals", "digits"):
        title = f"{name}, {setting[name]['steps']} time steps"
        lines += head(title, setting[name]["target"])
        lines += [line(side, row, seeds) for side, row in record[name].items()]
        lines.append(line("Adam, nested, 3 levels", record["adam"][name], seeds))
        lines.append("")
    title = "spirals, V-cycles of 2 levels taken apart"
    lines += head(title, setting["spirals"]["target"])
    lines += [line(name, row, seeds) for name, row in record["why"].items()]
    lines += ["", "| digits, samples that grow | gradients to the loss | reached |"]
    lines.append("|---|---|---|")
    lines += [
        f"| {name} of {setting['digits']['rows']} | {told(row['cost'], 0)} | "
        f"{row['reached']} of {seeds} |"
        for name, row in record["growing"].items()
    ]
    lines += [
        "",
        f"A budget of {setting['budget']} gradients of the finest network, of all "
        "points; one of a level below costs half, one of some samples their share. At "
        f"rest: below {setting['quiet']:g}. {seeds} paired seeds, each side at the "
        f"best of six settings tried with {setting['searched']} more; the last two "
        f"tables were not searched for. {where(record)}.",
    ]
    return "\n".join(lines)
