"""The tables of auxiliary variables."""

from tests.benchmarks.record import where

SEARCH = "Each side at the best of three settings, tried on a split not reported."


def spread(row: dict) -> str:
    """Write a median accuracy and its range as two cells."""
    low, high = row["accuracy_range"]
    return f"{row['accuracy']:.1f} | {low:.1f} to {high:.1f}"


def accuracy(part: dict, title: str) -> list[str]:
    """Write accuracy, side by side."""
    rows = [f"| {name} | {spread(row)} |" for name, row in part["rows"].items()]
    head = [f"| {title} | accuracy, %, median | range |", "|---|---|---|"]
    return [*head, *rows, "", f"{part['seeds']} paired seeds. {SEARCH}"]


def lifted(record: dict) -> str:
    """Accuracy of lifted training, with augmentation and without."""
    easy, hard = record["digits"], record["accuracy"]
    lines = [
        "| three modules, % | digits | range | sums of two digits | range |",
        "|---|---|---|---|---|",
    ]
    for name, row in easy["rows"].items():
        lines.append(f"| {name} | {spread(row)} | {spread(hard['rows'][name])} |")
    lines += [
        "",
        f"Medians of {easy['seeds']} paired seeds each. {SEARCH} "
        "AuxNets are fitted in half as many epochs before.",
    ]
    titles = {
        "augment": "digits, moved by a pixel in each epoch",
        "transport": "sums of two digits, six residual modules",
    }
    for name, title in titles.items():
        if name in record:
            lines += ["", *accuracy(record[name], title)]
    return "\n".join([*lines[:-1], f"{lines[-1]} {where(record)}."])


def bregman(record: dict) -> str:
    """Networks trained without derivatives of activations, and sparse codes."""
    lines = []
    titles = {
        "bregman": "digits, 64-64-64-10, ReLUs, equal epochs",
        "flat": "digits, 64-64-64-10, signs, equal epochs",
    }
    for name, title in titles.items():
        part = record[name]
        lines += [f"| {title} | accuracy, %, median | range | forward passes |"]
        lines += ["|---|---|---|---|"]
        for side, row in part["rows"].items():
            lines.append(f"| {side} | {spread(row)} | {row['passes']:,.0f} |")
        lines += ["", f"{part['seeds']} paired seeds. {SEARCH}", ""]
    lines += ["| autoencoder, equal multiplications | error left, %, median | range |"]
    lines[-1] += " code not zero, % |"
    lines += ["|---|---|---|---|"]
    kinds = {"autoencoder": "digits", "denoising": "noise", "wide": "photographs"}
    for name, what in kinds.items():
        for side, row in record.get(name, {"rows": {}})["rows"].items():
            low, high = row["error_range"]
            lines.append(
                f"| {what}: {side} | {row['error']:.0f} | {low:.0f} to {high:.0f} "
                f"| {row['active']:.0f} |"
            )
    seeds = record["autoencoder"]["seeds"]
    lines += [
        "",
        f"{seeds} paired seeds, five layers, 64 or 256 wide, a price of α on the code "
        "in the third. Error: squares left of those of centred test images. Each side "
        "at the best of three settings by the objective. " + where(record) + ".",
    ]
    return "\n".join(lines)


def unfolded(record: dict) -> str:
    """An unrolled denoiser, trained by backpropagation and by the lifted loss."""
    titles = {
        "unfolded": "start: total variation at its best weight",
        "asleep": "start: nearly all units at their limits",
    }
    lines = []
    for name, title in titles.items():
        part = record[name]
        base = [run["psnr"] for run in part["runs"]["backpropagation"]]
        lines += [f"| {title} | PSNR, dB, median | range | less backpropagation |"]
        lines[-1] += " forward passes |"
        lines += ["|---|---|---|---|---|"]
        for side, row in part["rows"].items():
            low, high = row["psnr_range"]
            pairs = zip(part["runs"][side], base, strict=True)
            gap = [run["psnr"] - other for run, other in pairs]
            lines.append(
                f"| {side} | {row['psnr']:.2f} | {low:.2f} to {high:.2f} | "
                f"{min(gap):+.2f} to {max(gap):+.2f} | {row['passes']:,.0f} |"
            )
        lines += [""]
    seeds = record["unfolded"]["seeds"]
    lines += [
        f"{seeds} paired seeds. {SEARCH} Squares of 8 x 8 pixels of two photographs, "
        "noise of a tenth of their range (20 dB), ten layers, twenty epochs; forward "
        "passes over the training set. The control moves the last matrix only and is "
        f"run like the lifted ones. {where(record)}."
    ]
    return "\n".join(lines)


def law(record: dict) -> str:
    """Speed-up of stages that sleep, beside the law."""
    found = record["law"]
    lines = ["| processes | measured | eq. 27 | bound |", "|---|---|---|---|"]
    for stages, row in found["rows"].items():
        lines.append(
            f"| {stages} | {row['speed_up']:.2f} | {row['eq27']:.2f} | "
            f"{row['bound']:.0f} |"
        )
    lines += [
        "",
        "Stages that sleep and exchange their states, against backpropagation over the "
        "same stages: eq. 27 of Sun, Dong et al. 2021, with half a backward sweep less "
        "in the first stage. One run each, on a busy machine.",
    ]
    return "\n".join(lines)
