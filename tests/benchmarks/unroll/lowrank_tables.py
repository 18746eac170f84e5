"""Tables of low rank and parts: where unrolling wins, and where it does not."""

import statistics

from tests.benchmarks.record import where


def lowrank(record: dict) -> str:
    """Error and seconds of LRPCA, its parents and PCP, a row each."""
    rows, setting = record["rows"]["lowrank"], record["setting"]
    rows = rows | record["rows"]["pursuit"]
    names = {
        "200: untrained": "scaled gradient, defaults",
        "200: tuned": "scaled gradient, its three numbers at their best",
        "200: LRPCA": "LRPCA",
        "200: LRPCA and its tail": "LRPCA, twice as deep by its tail",
        "200: PCP, fixed, as near": "PCP, weight fixed, ended as near",
        "200: PCP, fixed, end": "PCP, its own tolerance 1e-7, 2000 iterations at most",
        "200: PCP, growing, as near": "PCP with growing weight, ended as near",
        "200: PCP, growing, end": "PCP with growing weight, tolerance 1e-7",
        "400: tuned": "400 × 400: scaled gradient, the same three numbers",
        "400: LRPCA": "400 × 400: LRPCA, the same network",
    }
    lines = [
        "| method | iterations | relative error | seeds | seconds a matrix |",
        "|---|---|---|---|---|",
    ]
    for name, text in names.items():
        row = rows[name]
        depth = 2 * setting["depth"] if "tail" in name else setting["depth"]
        count = statistics.median(row.get("iterations", [depth]))
        spread = f"{min(row['error']):.1e} to {max(row['error']):.1e}"
        lines.append(
            f"| {text} | {count:.0f} | {statistics.median(row['error']):.1e} "
            f"| {spread} | {statistics.median(row['seconds']):.3f} s |"
        )
    tuned = ", ".join(f"{k} {v:g}" for k, v in setting["tuned"].items())
    seconds = statistics.median(rows["200: LRPCA"]["training_seconds"])
    lines += [
        "",
        f"200 × 200 where nothing else is said, rank {setting['rank']}, a tenth of the "
        f"entries wrong; medians over {setting['test']} matrices and seeds "
        f"{', '.join(map(str, setting['seeds']))}. LRPCA learns two numbers a layer in "
        f"{seconds:.0f} s of CPU, from the defaults. Best of a grid of 48 for "
        f"{setting['depth']} iterations: {tuned}. {where(record)}.",
    ]
    return "\n".join(lines)


def parts(record: dict) -> str:
    """Error of DeepNMF beside multiplicative updates, a row each."""
    rows, setting = record["rows"]["parts"], record["setting"]
    lines = ["| method | NMSE of the codes | seeds |", "|---|---|---|"]
    for name, row in sorted(
        rows.items(), key=lambda item: -statistics.median(item[1]["ratio_db"])
    ):
        found, layers = row["ratio_db"], setting["layers"]
        text = f"DeepNMF, {layers} layers" if name == "DeepNMF" else name
        lines.append(
            f"| {text} | {statistics.median(found):.1f} dB "
            f"| {min(found):.1f} to {max(found):.1f} dB |"
        )
    seconds = statistics.median(rows["DeepNMF"]["training_seconds"])
    lines += [
        "",
        "Six parts of 40 uniform entries, half of a code's entries zero, no noise, "
        "5000 test samples; the updates are told the true parts, the network starts "
        f"at them and learns in {seconds:.0f} s of CPU. {where(record)}.",
    ]
    return "\n".join(lines)
