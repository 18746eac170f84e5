"""Write the README's result tables from the stored records: nobody types a figure.

A table stands between ``<!-- results: NAME -->`` and ``<!-- end -->`` and is made from
``results/NAME.json``. Runs last in ``make bench``; a test compares the README with it.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parents[2] / "README.md"
PLACE = re.compile(r"(<!-- results: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def where(record: dict) -> str:
    """Say on what machine and when a record was made."""
    machine = record["machine"]
    return (
        f"{machine['cpu']}, {machine['threads']} thread, {machine['date']}, "
        + ", ".join(f"{name} {v}" for name, v in machine["versions"].items())
    )


def solvers(record: dict) -> str:
    """Seconds of every solver at equal duality gap, a column per lam."""
    lams, setting = record["lam"], record["setting"]
    m, n = setting["shape"]
    names = {
        "fista": "`unroll.fista`, one batch",
        "gram_lasso": "scikit-learn `Lasso`, one Gram matrix",
        "sparse_encode": "scikit-learn `sparse_encode`",
        "lasso_loop": "scikit-learn `Lasso`, a loop",
        "celer": "celer, a loop",
    }
    head = " | ".join(f"λ = {lam}" for lam in lams)
    lines = [f"| {setting['problems']} Lasso problems {m} × {n} | {head} |"]
    lines.append("|---|" + "---|" * len(lams))
    for name, text in names.items():
        cells = []
        for methods in lams.values():
            met = methods[name]["largest_gap"] <= 1.01 * setting["gap"]
            cells.append(f"{methods[name]['median_seconds']:.2f} s{'' if met else '*'}")
        lines.append(f"| {text} | {' | '.join(cells)} |")
    lines += [
        "",
        f"To a duality gap of {setting['gap']:g}, median of three; {where(record)}.",
    ]
    if "*" in "".join(lines):
        lines[-1] += " An asterisk: as shipped, it stops at a larger gap."
    return "\n".join(lines)


def lista(record: dict) -> str:
    """Error of every learned network beside the published one, SNR by SNR."""
    lines = [
        "| network, 16 layers | SNR | NMSE | published | numbers learned | samples |"
    ]
    lines.append("|---|---|---|---|---|---|")
    for name, row in record["rows"].items():
        if "ratio_db" not in row or "50x100" in name:
            continue
        network, snr = name.rsplit(" ", 1)
        published = row["published_db"]
        lines.append(
            f"| {network} | {snr} | {row['ratio_db']:.1f} dB "
            f"| {'' if published is None else f'{published:.1f} dB'} "
            f"| {row.get('parameters', 3)} | {row['samples']:,} |"
        )
    setting = record["setting"]
    lines += [
        "",
        f"Ratio NMSE on {setting['test_samples']:,} test codes, 250 × 500, density "
        f"{setting['density']}. Published: the logs of Behrens, Sauder and Jung 2021, "
        f"about 20.8 million samples each; {where(record)}. Not blind: learning rates, "
        "the ε of ALISTA-AT and HyperLISTA's grid were chosen on this dictionary, with "
        "samples of the test's seed.",
    ]
    return "\n".join(lines)


TABLES: dict[str, Callable[[dict], str]] = {"solvers": solvers, "lista": lista}


def render(text: str) -> str:
    """Return a page with its tables made anew."""

    def table(place: re.Match) -> str:
        name = place[2]
        record = json.loads((RESULTS / f"{name}.json").read_text())
        return f"{place[1]}{TABLES[name](record)}\n{place[3]}"

    return PLACE.sub(table, text)


if __name__ == "__main__":
    README.write_text(render(README.read_text()))
    print("README.md: tables written")
