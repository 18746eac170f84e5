"""Idle shares from four ranks to 16,384: simulated, then carried on by closed forms.

Two micro-batches for each rank, a backward twice as long as a forward. Points are
simulated exactly; lines are the formulas, which the points must meet. Draws
``course/site/images/ranks.png``.
"""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import matplotlib as mpl

from modular.pipeline import Chimera, Cost, OneFOneB, ZeroBubble, simulate
from modular.pipeline.scheme import Scheme
from tests.benchmarks import record

IMAGE = record.ROOT / "course" / "site" / "images" / "ranks.png"
SIMULATED = [2**k for k in range(2, 10)]
RANKS = [2**k for k in range(2, 15)]
WAYS: dict[str, tuple[Scheme, Cost, Callable[[int, int], Fraction], str]] = {
    "1F1B": (
        OneFOneB(),
        Cost(1, 2),
        lambda d, n: Fraction(d - 1, n + d - 1),
        "o-",
    ),
    "Chimera, forward doubling": (
        Chimera(doubling=True),
        Cost(1, 2),
        lambda d, n: Fraction(2 * (d - 2), 3 * n + 2 * (d - 2)),
        "s--",
    ),
    "zero bubble (ZB-H1)": (
        ZeroBubble(),
        Cost(1, 2),
        lambda d, n: Fraction(d - 1, 3 * n + d - 1),
        "^:",
    ),
}


def points(name: str) -> list[Fraction]:
    """Simulate, and hold the idle share of a rank against its formula."""
    scheme, cost, formula, _ = WAYS[name]
    found = []
    for d in SIMULATED:
        bubble = simulate(scheme.schedule(d, 2 * d), cost).bubble
        idle = sum(bubble.values() if isinstance(bubble, dict) else bubble) / Fraction(
            d
        )
        if idle != formula(d, 2 * d):
            raise ValueError(f"{name}, {d} ranks: {idle}, not {formula(d, 2 * d)}")
        found.append(idle)
    return found


def draw(path: Path) -> None:
    """Draw points and lines."""
    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 3.6), dpi=120)
    for k, (name, (_, _, formula, style)) in enumerate(WAYS.items()):
        ax.plot(SIMULATED, [float(p) for p in points(name)], style[0], color=f"C{k}")
        line = [float(formula(d, 2 * d)) for d in RANKS]
        ax.plot(RANKS, line, style[1:], color=f"C{k}", marker=None)
        ax.plot([], [], style, color=f"C{k}", label=name)
    ax.set_xscale("log", base=2)
    ax.set(xlabel="ranks", ylabel="idle share", ylim=(0, 0.4))
    ax.legend(loc="lower right", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    draw(IMAGE)
    print(f"{IMAGE.relative_to(record.ROOT)}: {len(RANKS)} sizes")
