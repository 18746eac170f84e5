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
        "| problem | method | PSNR | SSIM | numbers learned | training |",
        "|---|---|---|---|---|---|",
    ]
    for problem, text in PROBLEMS.items():
        for name, row in rows.items():
            home, _, method = name.partition(": ")
            if home == problem and "parameter" in row:
                weight = f"parameter {row['parameter']:.3g}"
                lines.append(
                    f"| {text} | {method} | {row['psnr']:.1f} dB | {row['ssim']:.3f} "
                    f"| {weight} | |"
                )
        for name, row in medians.items():
            home, _, method = name.partition(": ")
            if home == problem:
                learned = rows[f"{name}, seed 0"]["parameters"]
                lines.append(
                    f"| {text} | {method} | {row['psnr']:.1f} dB ({row['lowest']:.1f} "
                    f"to {row['highest']:.1f}) | {row['ssim']:.3f} | {learned:,} "
                    f"| {row['seconds']:.0f} s |"
                )
    modl = medians["samples: MoDL"]
    depths = ", ".join(f"{v:.1f} dB at {k}" for k, v in modl["by_depth"].items())
    photograph, scans, samples = setting["test_images"].values()
    lines += [
        "",
        f"Blocks: one photograph of {photograph:,} of them, put together again; "
        f"{scans} phantoms, {samples} windows of the photograph that was not trained "
        "on. Classical methods have the number that is best for these very images. "
        "Networks: median of "
        f"{', '.join(str(row['seeds']) for row in medians.values())} seeds, lowest and "
        f"highest; CPU seconds of training. One MoDL, trained with "
        f"{setting['modl_layers']} layers, run at other depths: {depths}. deepinv was "
        f"not run. {where(record)}.",
    ]
    return "\n".join(lines)
