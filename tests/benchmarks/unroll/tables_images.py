"""The table of splitting methods unrolled, on images."""

from tests.benchmarks.record import where

PROBLEMS = {
    "blocks": "blocks 16 × 16, 25 % random rows",
    "scans": "phantoms 32 × 32, 16 angles",
    "samples": "photographs 48 × 48, 20 % Fourier",
}


def images(record: dict) -> str:
    """PSNR and SSIM of every network beside the classical methods of its problem."""
    rows, medians, setting = record["rows"], record["medians"], record["setting"]
    lines = [
        "| problem | method | PSNR | SSIM | numbers chosen | training |",
        "|---|---|---|---|---|---|",
    ]
    for problem, text in PROBLEMS.items():
        for name, row in rows.items():
            home, _, method = name.partition(": ")
            if home == problem and "parameter" in row:
                lines.append(
                    f"| {text} | {method} | {row['psnr']:.1f} dB | {row['ssim']:.3f} "
                    f"| 1: {row['parameter']:.3g} | |"
                )
        for name, row in medians.items():
            home, _, method = name.partition(": ")
            if home == problem:
                learned = rows[f"{name}, seed 0"]["parameters"]
                low, high = row["lowest"], row["highest"]
                spread = f" ({low:.1f} to {high:.1f})" if row["seeds"] > 1 else ""
                lines.append(
                    f"| {text} | {method} | {row['psnr']:.1f} dB{spread} "
                    f"| {row['ssim']:.3f} | {learned:,} | {row['seconds']:.0f} s, "
                    f"{_seeds(row['seeds'])} |"
                )
    modl = medians["samples: MoDL"]
    depths = ", ".join(f"{v:.1f} dB at {k}" for k, v in modl["by_depth"].items())
    photograph, scans, samples = setting["test_images"].values()
    lines += [
        "",
        f"Blocks: one photograph of {photograph:,} of them, put together again; "
        f"{scans} phantoms, {samples} windows of the photograph that was not trained "
        "on. Classical methods have the number that is best for these very images, and "
        "total variation the best step, too: the default one does not end in time. "
        "Networks: medians over the seeds, lowest and highest; CPU seconds of one "
        "training. ADMM-Net starts at the total variation that is best on windows of "
        "the training photograph, and is trained for the mean PSNR; the others, and "
        "the row that says so, by the ratio of squared errors. Scaled: every "
        "sample is divided by the spread of its measurements, which the noise follows; "
        "three zooms: windows of the training photograph as it is, and twice and three "
        "times as large. One MoDL, trained with "
        f"{setting['modl_layers']} layers, run at other depths: {depths}. deepinv "
        "needs torchvision and was not run: the rows are published algorithms of the "
        "kinds that its unfolded solvers are, re-stated on these problems. "
        f"{where(record)}.",
    ]
    return "\n".join(lines)


def _seeds(count: int) -> str:
    """Say with how many seeds a network was trained."""
    return "1 seed" if count == 1 else f"{count} seeds"
