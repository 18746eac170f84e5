"""The tables of classical and learned solvers."""

import json
import statistics

from tests.benchmarks.record import RESULTS, where


def solvers(record: dict) -> str:
    """Seconds of every solver at equal duality gap, a column per lam."""
    lams, setting = record["lam"], record["setting"]
    m, n = setting["shape"]
    names = {
        "fista": "`unroll.fista`, one batch",
        "active_set": "`unroll.active_set`, one batch",
        "spams": "SPAMS, LARS",
        "gram_lasso": "scikit-learn `Lasso`, one Gram matrix",
        "sparse_encode": "scikit-learn `sparse_encode`",
        "lasso_loop": "scikit-learn `Lasso`, a loop",
        "celer": "celer, a loop",
    }
    head = " | ".join(f"λ = {lam}" for lam in lams)
    lines = [f"| {setting['problems']} Lasso problems {m} × {n} | {head} |"]
    lines.append("|---|" + "---|" * len(lams))
    measured = next(iter(lams.values()))
    unknown = set(measured) - set(names) - {"fista_gpu"}
    if unknown:
        raise KeyError(f"no text for the methods {sorted(unknown)}")
    for name, text in names.items():
        if name not in measured:
            continue
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
    told = json.loads((RESULTS / "bayes.json").read_text())["rows"]
    lines += [
        "",
        f"NMSE: ratio of sums on {setting['test_samples']:,} test codes, 250 × 500, "
        f"density {setting['density']}; the mean of each sample's dB is the field's "
        f"other definition. At SNR 40 the best Lasso reaches {bounds['lasso']:.1f} dB "
        f"and AMP {bounds['amp']:.1f} dB. A classical method that knows how the codes "
        "are drawn, Bayes-AMP, is better than every network here: "
        f"{told['SNR 40: Bayes-AMP']['ratio_db']:.1f} dB at SNR 40, "
        f"{told['SNR 20: Bayes-AMP']['ratio_db']:.1f} dB at SNR 20, and as good where "
        f"it learns that from the sample; the oracle, told the support, reaches "
        f"{bounds['oracle']:.1f} dB at SNR 40. "
        "Published: the logs of Behrens, Sauder and Jung 2021, about 20.8 million "
        f"samples each. At the teaching size 50 × 100: {small} dB. The custom of "
        "multiplying the gradients of older layers by 0.3 per layer does nothing under "
        f"Adam: ALISTA {gradient:.1f} dB with it, {neither:.1f} dB without, after the "
        f"same 200 steps. {where(record)}.",
    ]
    return "\n".join(lines)


LOADED = ", the others on a loaded machine, whose seconds are longer"


def published(record: dict) -> str:
    """Reached and published error of every cell, a column per network."""
    setting, sizes = record["setting"], {}
    for name, row in record["rows"].items():
        network, size = name.split(" ", 1)
        sizes.setdefault(size, {})[network] = row
    networks = list(next(iter(sizes.values())))
    lines = [f"| cell | {' | '.join(networks)} |", "|---|" + "---|" * len(networks)]
    for size, row in sizes.items():
        cells = [_cell(row[network], setting["slack_db"]) for network in networks]
        lines.append(f"| {size} | {' | '.join(cells)} |")
    done = [row for row in record["rows"].values() if "ratio_db" in row]
    reached = sum(row["reached"] for row in done)
    samples = sorted({row["samples"] for row in done})
    recipe = setting["recipe"]
    older = sum(_is_older(row) and "before" not in row for row in done)
    before = sum("before" in row for row in done)
    lines += [
        "",
        f"Reached (published) ratio NMSE in dB, and CPU seconds. {reached} of the "
        f"{len(record['rows'])} cells are within {setting['slack_db']} dB or better, "
        f"missed, in bold by how much: {len(done) - reached}; not run: "
        f"{len(record['rows']) - len(done)}. One recipe for all, "
        f"{recipe['steps']} steps of {recipe['batch']}, and a ridge of the weight that "
        f"follows from size and noise; the {older} cells marked with \\* were measured "
        f"before, without ridge{'' if older == len(done) else LOADED}. Of more than "
        "500 atoms, where few codes that grow without end decide the ratio, ALISTA, "
        "ALISTA-AT and AGLISTA are trained without clipping, then 200 steps on the "
        f"mean error of the last layer; {before} cells marked with \\*\\* are of "
        "the recipe without ridge, clipped, not finished so, at n = 2000 with counts "
        "that grow faster. "
        f"{' or '.join(f'{n:,}' for n in samples)} samples a cell, where the logs of "
        "Behrens, Sauder and Jung 2021 take "
        f"{setting['published_samples_at_K_16'] / 1e6:.1f} million at K = 16. "
        f"{setting['m']} measurements, n atoms, K layers, {setting['non_zeros']} "
        f"non-zeros, {setting['test_samples']:,} test codes; {where(record)}.",
    ]
    return "\n".join(lines)


def bayes(record: dict) -> str:
    """Error of the methods that know or learn the prior, a column per setting."""
    rows, setting = record["rows"], record["setting"]
    known = {
        "oracle": "the support",
        "VAMP": "density, variance, SNR",
        "Bayes-AMP": "density, variance",
        "EM-VAMP": "nothing",
        "EM-Bayes-AMP": "nothing",
        "LVAMP": f"{rows['SNR 40: LVAMP']['samples']:,} samples (unknown: "
        f"{rows['unknown: LVAMP']['samples']:,})",
    }
    columns = ("SNR 40", "SNR 20", "condition number 100", "unknown")
    lines = [
        "| 16 iterations or layers | is told | SNR 40 | SNR 20 | condition number 100 "
        "| density and SNR unknown |",
        "|---|---|---|---|---|---|",
    ]

    def cell(column: str, method: str) -> str:
        row = rows.get(f"{column}: {method}")
        if row is None:
            return ""
        return f"{row['ratio_db']:.1f} dB" if row["ratio_db"] < 0 else "diverges"

    for method, told in known.items():
        cells = " | ".join(cell(column, method) for column in columns)
        lines.append(f"| {method} | {told} | {cells} |")
    ridge = rows["condition number 100: RidgeALISTA"]
    cells = f"{cell('condition number 100', 'RidgeALISTA')} | "
    lines.append(f"| RidgeALISTA | {ridge['samples']:,} samples | | | {cells}|")
    for home in ("SNR 40", "SNR 20"):
        suffix = f", trained at {home}"
        for name, row in rows.items():
            if name.endswith(suffix):
                method = name.removeprefix("unknown: ")
                lines.append(f"| {method} | | | | | {row['ratio_db']:.1f} dB |")
    lines += [
        "",
        f"NMSE: ratio of sums on {setting['test_samples']:,} test codes, 250 × 500, "
        f"density {setting['density']}. Condition number 100: singular values that "
        "fall geometrically, SNR 40. Unknown: every sample has its own density, 0.05 "
        "to 0.15, and its own SNR, 20 to 40 dB. EM learns prior and noise from the one "
        "sample that it is given. LVAMP starts from twice the density and an SNR that "
        f"is 10 dB wrong. {where(record)}.",
    ]
    return "\n".join(lines)


def _cell(row: dict, slack: float) -> str:
    """One network at one size: reached, published, how much is missing, seconds."""
    if "ratio_db" not in row:
        return f"not run ({row['published_db']:.1f})"
    text = f"{row['ratio_db']:.1f} ({row['published_db']:.1f}), {row['seconds']:.0f} s"
    text += "\\*\\*" if "before" in row else "\\*" if _is_older(row) else ""
    missing = row["ratio_db"] - row["published_db"]
    if missing > slack:
        text += f", **{missing:.1f} missing**"
    return text if missing > slack or row["reached"] else f"{text}, **too slow**"


def _is_older(row: dict) -> bool:
    """Whether a cell was measured before its weight had a ridge."""
    return row["ridge"] == 0


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


def equilibrium(record: dict) -> str:
    """Seconds, faithfulness and accuracy of every gradient, a row each."""
    rows, setting = record["rows"], record["setting"]
    lines = [
        "| gradient | forward | backward | 1 - cosine with the exact one "
        "| training loss | accuracy |",
        "|---|---|---|---|---|---|",
    ]
    learned = record["learning"]
    for name, row in (rows | learned).items():
        accuracy = ", ".join(f"{100 * value:.1f}" for value in row["accuracy"])
        losses = learned[name]["loss"] if name in learned else []
        loss = ", ".join(f"{value:.3f}" for value in losses) or "–"
        cells = "– | – | –"
        if name in rows:
            row = rows[name]
            cells = (
                f"{statistics.median(row['forward_ms']):.1f} ms "
                f"| {statistics.median(row['backward_ms']):.1f} ms "
                f"| {row['one_minus_cosine']:.1e}"
            )
        lines.append(f"| {name} | {cells} | {loss} | {accuracy} % |")
    stops = ", ".join(
        f"{name} {row['gap']:.1g} ({row['iterations']})"
        for name, row in record["lasso"].items()
    )
    lines += [
        "",
        f"Digits 8 × 8, a convolution with 16 channels at its fixed point, batch "
        f"{setting['batch']}, relative residual {setting['tol']:g}; CPU time of one "
        f"step, medians; training loss and accuracy on the test after "
        f"{setting['epochs']} epochs, seeds {', '.join(map(str, setting['seeds']))}; "
        "the last two rows are controls, a layer that stays at its random start and "
        "one whose gradient is reversed. LISTA's layer, repeated with the "
        f"defaults of each library, stops at these duality gaps of the Lasso (after so "
        f"many iterations): {stops}. {where(record)}.",
    ]
    return "\n".join(lines)


def ode(record: dict) -> str:
    """Seconds and exactness of every gradient of a neural ODE, a row each."""
    setting, memory = record["setting"], record["memory"]
    head = "| gradient | a step of training | error of the gradient |"
    lines = [head, "|---|---|---|"]
    for name, row in record["rows"].items():
        ms, errors = statistics.median(row["ms"]), row["gradient_error"]
        error = "0" if not any(errors) else f"{statistics.median(errors):.1e}"
        lines.append(f"| {name} | {ms:.1f} ms | {error} |")
    lines += [
        "",
        f"{setting['steps']} steps of fourth order, batch {setting['batch']}, float64; "
        "medians of CPU time, seeds "
        f"{', '.join(map(str, setting['seeds']))}; the error is the relative distance "
        f"from autograd through the same steps. {memory['steps']} steps in "
        f"{memory['states']} states: {memory['extra_steps']} steps are done again, and "
        f"{memory['extra_by_the_formula']} are the fewest there are. {where(record)}.",
    ]
    return "\n".join(lines)
