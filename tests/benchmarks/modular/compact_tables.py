"""The tables of small networks."""

from tests.benchmarks.record import where

PROBLEMS = ("digits", "pair_sum")


def label(name: str, rows: dict) -> str:
    """Say what a row is."""
    word, _, wide = name.partition(", ")
    texts = {
        "float": "32 bits",
        "neurons out": f"neurons taken out, {wide} left",
        "taught": f"{wide} wide, with a teacher",
        "small": f"{wide} wide",
    }
    return texts.get(word, name)


def frontier(record: dict) -> str:
    """Bytes and accuracy of every side, on both tasks."""
    lines = [
        "| | digits: KiB | accuracy, %, median | seeds "
        "| pair_sum: KiB | accuracy, %, median | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    names = [list(record[problem]) for problem in PROBLEMS]
    for both in zip(*names, strict=True):
        found = [record[p][name] for p, name in zip(PROBLEMS, both, strict=True)]
        said = dict.fromkeys(label(n, r) for n, r in zip(both, found, strict=True))
        lines.append(f"| {' / '.join(said)} | {' | '.join(map(cells, found))} |")
    late = [record[f"{problem}, rounded after"] for problem in PROBLEMS]
    for bits in late[0]:
        found = [rows[bits] for rows in late]
        text = f"{bits} bit{'s' * (bits != '1')}, rounded after training"
        lines.append(f"| {text} | {' | '.join(map(cells, found))} |")
    setting = record["setting"]
    rates = [row["rate"] for problem in PROBLEMS for row in record[problem].values()]
    at_end = rates.count(max(setting["rates"]))
    sizes = " and ".join("-".join(map(str, s)) for s in setting["sizes"].values())
    passes = " and ".join(map(str, setting["passes"].values()))
    lines += [
        "",
        f"{sizes}, {setting['seeds']} paired seeds, {passes} passes for all sides, the "
        "first half of them with floats where weights are rounded or pruned. Best of "
        f"the rates {', '.join(f'{r:g}' for r in setting['rates'])} by "
        f"validation data of one seed more; {at_end} of {len(rates)} sides take the "
        "largest. Pruned: a tenth of the weights, stored with a mask. A teacher is the "
        "network of floats. Three levels: a learned step with as many as STE has. "
        f"{where(record)}.",
    ]
    return "\n".join(lines)


def cells(row: dict) -> str:
    """Size, accuracy and range of one side."""
    low, high = row["range"]
    return (
        f"{row['bytes'] / 1024:.1f} | {row['accuracy']:.1f} | {low:.1f} to {high:.1f}"
    )


def int8(record: dict) -> str:
    """Files and seconds of integer kernels beside floats."""
    lines = [
        "| layers | file, floats | file, int8 | smaller | one input, µs: floats, int8 "
        "| faster | 64 inputs, µs | faster |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in record["int8"].items():
        large, small = row["file"]
        timed = [
            f"{t['float_us']:,.0f}, {t['int8_us']:,.0f} "
            f"| {t['faster']:.2f} ({t['range'][0]:.2f} to {t['range'][1]:.2f})"
            for t in (row["batch 1"], row["batch 64"])
        ]
        lines.append(
            f"| {name} | {large / 1024:,.1f} KiB | {small / 1024:,.1f} KiB "
            f"| {large / small:.1f} | {' | '.join(timed)} |"
        )
    gaps = []
    for problem, row in record["int8, accuracy"].items():
        most = max(abs(a - b) for a, b in row["float_and_int8"])
        gaps.append(f"{most:.1f} points on {problem}")
    lines += [
        "",
        "Promised: a quarter of the bytes, and two to four times the speed where the "
        "hardware helps. Networks that were trained with floats and then exported "
        f"differ by at most {' and '.join(gaps)} from what they were. CPU time on a "
        f"busy machine, median and range of {record['setting']['pairs']} pairs in "
        f"turns; {where(record)}.",
    ]
    return "\n".join(lines)
