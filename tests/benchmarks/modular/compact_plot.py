"""Draw size against accuracy, as in the survey of Roth et al. 2020.

Reads ``results/compact.json``, draws ``course/site/images/compact.png``.
"""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

from tests.benchmarks import record
from tests.benchmarks.modular.compact_tables import PROBLEMS

IMAGE = record.ROOT / "course" / "site" / "images" / "compact.png"
ROUNDED = ("float", "8 bits", "4 bits", "3 bits", "2 bits", "1 bit")
LOOKS = {
    "rounded while it learns": ("o-", ROUNDED),
    "small": ("s--", ("float", "small")),
    "small, with a teacher": ("^", ("taught",)),
    "neurons taken out": ("v", ("neurons",)),
    "a tenth of the weights": ("D", ("pruned",)),
}


def along(rows: dict[str, Any], words: tuple[str, ...]) -> list[dict]:
    """Rows whose names begin with one of some words, the largest first."""
    found = [
        row
        for name, row in rows.items()
        if name in words or name.split(",")[0].split()[0] in words
    ]
    return sorted(found, key=lambda row: -row["bytes"])


def draw(path: Path) -> None:
    """Two panels, median and range."""
    mpl.use("agg")
    import matplotlib.pyplot as plt

    found = json.loads((record.RESULTS / "compact.json").read_text())
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.9), dpi=120, sharey=True)
    for ax, problem in zip(axes, PROBLEMS, strict=True):
        for name, (look, words) in LOOKS.items():
            rows = along(found[problem], words)
            x, y = ([r["bytes"] / 1024 for r in rows], [r["accuracy"] for r in rows])
            low = [r["accuracy"] - r["range"][0] for r in rows]
            high = [r["range"][1] - r["accuracy"] for r in rows]
            ax.errorbar(x, y, yerr=(low, high), fmt=look, ms=6, capsize=3, label=name)
        late = along(found[f"{problem}, rounded after"], ("8", "4", "3", "2", "1"))
        x, y = ([r["bytes"] / 1024 for r in late], [r["accuracy"] for r in late])
        ax.plot(x, y, "x:", ms=7, color="0.3", label="rounded after training")
        ax.set(xscale="log", xlabel="KiB", title=problem, ylim=(0, 103))
        ax.set_xticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
        ax.minorticks_off()
    axes[0].set_ylabel("test accuracy in %")
    axes[0].legend(loc="lower right", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    draw(IMAGE)
    print(f"{IMAGE.relative_to(record.ROOT)}: drawn")
