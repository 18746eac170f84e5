"""Write the README's result tables from the stored records: nobody types a figure.

A table stands between ``<!-- results: NAME -->`` and ``<!-- end -->`` and is made from
``results/NAME.json``; of NAME.PART, too. Runs last in ``make bench``; a test compares
the README with it.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parents[2] / "README.md"
PLACE = re.compile(r"(<!-- results: ([\w.]+) -->\n).*?(<!-- end -->)", re.DOTALL)


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
    """Error of every learned network beside the published one, and the bounds."""
    rows = record["rows"]
    lines = [
        "| network, 16 layers | SNR | NMSE | mean of dB | published | numbers learned "
        "| samples |",
        "|---|---|---|---|---|---|---|",
    ]
    learned = {k: v for k, v in rows.items() if "ratio_db" in v and "50x100" not in k}
    order = {"40": 0, "20": 1, "noiseless": 2}
    for name, row in sorted(
        learned.items(),
        key=lambda item: (order[item[0].rsplit(" ", 1)[1]], -item[1]["ratio_db"]),
    ):
        network, snr = name.rsplit(" ", 1)
        published = row["published_db"]
        lines.append(
            f"| {network} | {snr} | {row['ratio_db']:.1f} dB | {row['sample_db']:.1f} "
            f"dB | {'' if published is None else f'{published:.1f} dB'} "
            f"| {row.get('parameters', 3):,} | {row['samples']:,} |"
        )
    setting, bounds = record["setting"], rows["bounds"]
    small = ", ".join(
        f"{name.removesuffix(' 50x100')} {row['ratio_db']:.1f}"
        for name, row in rows.items()
        if name.endswith("50x100")
    )
    gradient = rows["ablation"]["gradient x 0.3 per age"]["ratio_db"]
    neither = rows["ablation"]["neither"]["ratio_db"]
    lines += [
        "",
        f"NMSE: ratio of sums on {setting['test_samples']:,} test codes, 250 × 500, "
        f"density {setting['density']}; the mean of each sample's dB is the field's "
        f"other definition. At SNR 40 the best Lasso reaches {bounds['lasso']:.1f} dB, "
        f"AMP {bounds['amp']:.1f} dB and the oracle {bounds['oracle']:.1f} dB. "
        "Published: the logs of Behrens, Sauder and Jung 2021, about 20.8 million "
        f"samples each. At the teaching size 50 × 100: {small} dB. The custom of "
        "multiplying the gradients of older layers by 0.3 per layer does nothing under "
        f"Adam: ALISTA {gradient:.1f} dB with it, {neither:.1f} dB without, after the "
        f"same 200 steps. {where(record)}.",
    ]
    return "\n".join(lines)


def shifts(record: dict) -> str:
    """What happens off the training distribution, and what the safeguard does."""
    table = record["rows"]["elsewhere"]["shifts"]
    names = [name for name in table["as trained"] if "safeguarded" not in name]
    nets = [name for name in names if f"{name} safeguarded" in table["as trained"]]
    head = " | ".join(name.replace("lam", "λ =") for name in names)
    lines = [
        f"| test codes | {head} | safeguard: certified | FISTA steps saved |",
        "|---|" + "---|" * (len(names) + 2),
    ]
    for shift, row in table.items():
        guards = [row[f"{name} safeguarded"] for name in nets]
        certified = "all" if all(g["converged"] for g in guards) else "**not all**"
        saved = " / ".join(f"{g['saved']:.0%}" for g in guards)
        cells = " | ".join(f"{row[name]:.1f}" for name in names)
        lines.append(f"| {shift} | {cells} | {certified} | {saved} |")
    setting = record["rows"]["elsewhere"]
    lines += [
        "",
        f"Ratio NMSE in dB on {setting['samples']} codes each; certified: duality gap "
        f"at most {setting['tol']:g} for every code; saved by {' / '.join(nets)}.",
    ]
    return "\n".join(lines)


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
        f"{ladder['cpu_seconds']:.0f} s of CPU; {where(ladder)}.",
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


TABLES: dict[str, Callable[[dict], str]] = {
    "solvers": solvers,
    "lista": lista,
    "lista.shifts": shifts,
    "modular": modular,
    "modular.memory": memory,
    "modular.unlocking": unlocking,
    "modular.kernel": kernel,
}


def render(text: str) -> str:
    """Return a page with its tables made anew."""

    def table(place: re.Match) -> str:
        name = place[2]
        record = json.loads((RESULTS / f"{name.partition('.')[0]}.json").read_text())
        return f"{place[1]}{TABLES[name](record)}\n{place[3]}"

    return PLACE.sub(table, text)


if __name__ == "__main__":
    README.write_text(render(README.read_text()))
    print("README.md: tables written")
