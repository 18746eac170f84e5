"""What chapter 32 claims of its own experiments, over several seeds.

The code that runs is the chapter's: its given cells and its own answers, up to the
exercise that is named. Three questions: which part of an error is learned first in
time, and which is more accurate in the end; which points serve a steep solution at an
equal number of points and steps; where the weights of section 3 end.

    python -m tests.benchmarks.pinn.claims_training
"""

import json
import statistics
from collections.abc import Callable

import torch

from course.building.syllabus import chapter
from tests.benchmarks import record
from tests.course.judging import prepared

RESULTS = record.RESULTS / "claims_training.json"
SEEDS = range(6)
STEPS, LOOK, TAIL = 800, 20, 5
ROUNDS, ROUND, POINTS = 6, 25, 120


def order(n: dict, seed: int) -> dict:
    """Steps after which wave and ripple are half right, and what is left of them."""
    found = {}
    x = n["midpoints"](120)
    tasks: dict[str, Callable] = {
        "fit": lambda u: (u(x) - n["exact"](x))[:, 0] / 120**0.5,
        "equation": n["soft"](),
    }
    for task, residuals in tasks.items():
        u = n["Network"](seed=seed)
        _, paths = n["adam"](u, residuals, STEPS, watch=n["error_on_grid"])
        for name, curve in n["parts"](torch.stack(paths)).items():
            below = (curve < 0.5).nonzero()
            first = LOOK * int(below[0]) if len(below) else None
            left = curve[-TAIL:].median().item()
            found[f"{task}, {name}"] = {"half_right_at": first, "left": left}
    return found


def points(n: dict, seed: int) -> dict:
    """Errors for a step of width 1/60: the same points and steps in number for each."""
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(POINTS, 1, generator=generator)

    def drawn(u: torch.nn.Module, weighted: bool) -> tuple:
        with torch.no_grad():
            r = n["equation"](u, n["candidates"], n["step_source"])
        chosen, w = n["draw"](n["density"](r, 1.0, 1.0), POINTS, generator)
        return n["candidates"][chosen], w.sqrt() if weighted else 1.0

    ways: dict[str, Callable] = {
        "even": lambda u: (n["midpoints"](POINTS), 1.0),
        "uniform, kept": lambda u: (uniform, 1.0),
        "uniform, redrawn": lambda u: (torch.rand(POINTS, 1, generator=generator), 1.0),
        "RAD": lambda u: drawn(u, False),
        "RAD, weighted": lambda u: drawn(u, True),
    }
    found = {}
    for name, way in ways.items():
        u = n["step_network"](seed)
        for _ in range(ROUNDS):
            x, root = way(u)

            def residuals(
                u: torch.nn.Module, x: torch.Tensor = x, root: object = root
            ) -> torch.Tensor:
                return root * n["equation"](u, x, n["step_source"])

            n["levenberg"](u, residuals, ROUND)
        found[name] = n["relative_error"](u, n["step_exact"])
    return found


def boundary(n: dict, seed: int) -> dict:
    """Errors of section 3: the median of the last five looks of each way."""
    x = n["midpoints"](120)
    hard = n["Hard"](n["Network"](seed=seed))
    curves = {
        "equal weights": n["adam"](n["Network"](seed=seed), n["soft"](), STEPS)[1],
        "weights from gradients": n["adam_balanced"](
            n["Network"](seed=seed), STEPS, momentum=0.9
        )[0],
        "hard constraint": n["adam"](hard, lambda u: n["equation"](u, x), STEPS)[1],
    }
    return {name: statistics.median(curve[-TAIL:]) for name, curve in curves.items()}


def main() -> None:
    """Run what is not stored yet, seed by seed, and store it at once."""
    n = dict(prepared(chapter("32"), "ex32-7"))  # sets float64 and one thread
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else {}
    for row in (order, points, boundary):
        runs = rows.setdefault(row.__name__, {})
        for seed in map(str, SEEDS):
            if seed not in runs:
                print(row.__name__, seed, flush=True)
                runs[seed] = row(n, int(seed))
                machine = record.machine(("torch",))
                record.write("claims_training", {"machine": machine, "rows": rows})


if __name__ == "__main__":
    main()
