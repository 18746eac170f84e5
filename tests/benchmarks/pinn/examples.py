"""Fourteen of DeepXDE's examples by every method that can, twenty CPU seconds each.

    python -m tests.benchmarks.pinn.examples [--only NAME ...] [--seeds N]

Every method has its defaults; what a user must say is said in the statement: where
subdomains meet, how many finite elements. Methods that refuse an example are told with
what they say. Beside them DeepXDE runs its own script's settings in the same seconds,
in float32, its default. A run that is in ``results/pinn_examples.json`` is kept.
"""

import argparse
import json
import subprocess
import sys
import warnings

import torch

from pinn import (
    CPINN,
    FEM,
    HPVPINN,
    XPINN,
    HardPINN,
    Problem,
    Vanilla,
    solve,
)
from pinn.metrics import test_points
from tests.benchmarks import record
from tests.benchmarks.pinn import examples_line as line
from tests.benchmarks.pinn import examples_plane as plane
from tests.benchmarks.pinn.example import Example
from tests.benchmarks.pinn.runs import ByLevenberg

RESULTS = record.RESULTS / "pinn_examples.json"
SECONDS = 20.0
EXAMPLES = {
    "Poisson, Dirichlet": line.poisson_dirichlet,
    "Poisson, Neumann": line.poisson_neumann,
    "Poisson, Robin": line.poisson_robin,
    "Poisson, periodic": line.poisson_periodic,
    "Euler beam": line.euler_beam,
    "ODE system": line.ode_system,
    "diffusion": plane.diffusion,
    "Burgers": plane.burgers,
    "Allen-Cahn": plane.allen_cahn,
    "Klein-Gordon": plane.klein_gordon,
    "wave": plane.wave,
    "Helmholtz": plane.helmholtz,
    "Helmholtz, a hole": plane.helmholtz_hole,
    "Kovasznay": plane.kovasznay,
}


METHODS = {
    "vanilla": lambda e: (e.problem, Vanilla()),
    "hard": lambda e: (e.problem, HardPINN()),
    "cPINN": lambda e: (e.weak(), CPINN(e.cuts)),
    "XPINN": lambda e: (e.weak(), XPINN(e.cuts)),
    "hp-VPINN": lambda e: (e.weak(), HPVPINN()),
    "hp-VPINN, Levenberg-Marquardt": lambda e: (e.weak(), ByLevenberg()),
    "FEM": lambda e: (e.weak(), FEM(e.elements)),
}
THEIRS = "DeepXDE's own"


def measure(example: Example, method: str, seed: int) -> dict:
    """Solve an example by one of our methods."""
    problem, made = METHODS[method](example)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            solution = solve(problem, made, seconds=SECONDS, seed=seed)
    except (TypeError, ValueError) as refusal:
        return {"refused": str(refusal)}
    return {
        "error": error(example, solution.predict, problem),
        "seconds": round(solution.seconds, 2),
    }


def error(example: Example, predict: object, problem: Problem) -> float:
    """Compare with the solution, where DeepXDE's network has a component for it."""
    x = test_points(problem, 4000)
    count = 1 if example.theirs.conditions else example.problem.components
    exact = example.problem.exact(x)[:, :count]
    found = torch.as_tensor(predict(x))[:, :count]
    return ((found - exact).norm() / exact.norm()).item()


def own(name: str, seed: int) -> dict:
    """Let DeepXDE train its own network, in a process of its own."""
    script = "tests.benchmarks.pinn.peers.deepxde_own"
    line = [sys.executable, "-m", script, name, str(seed), str(SECONDS)]
    done = subprocess.run(line, cwd=record.ROOT, capture_output=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Make the runs that are missing, the first seed of all before the second."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=EXAMPLES, default=list(EXAMPLES))
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else {}
    for seed in range(chosen.seeds):
        for name in chosen.only:
            for method in [*METHODS, THEIRS]:
                runs = rows.setdefault(name, {}).setdefault(method, {})
                if str(seed) in runs or (seed and method == "FEM"):
                    continue
                run = own(name, seed) if method == THEIRS else None
                run = run or measure(EXAMPLES[name](), method, seed)
                runs[str(seed)] = run
                print(name, method, seed, run, flush=True)
                machine = record.machine(("torch", "deepxde", "scikit-fem"))
                result = {"machine": machine, "seconds": SECONDS, "rows": rows}
                record.write("pinn_examples", result)


if __name__ == "__main__":
    main()
