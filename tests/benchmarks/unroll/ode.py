"""Gradients of a neural ODE: seconds, exactness and memory, beside torchdiffeq.

    python -m tests.benchmarks.unroll.ode [--quick] [--only PART ...]

A field of two hidden layers of 64 on 16 states, batch 64, float64, one thread, fourth
order with ten fixed steps, every side in turns. The error of a gradient is its distance
from autograd through the same steps, relative. torchdiffeq's ``rk4`` is Kutta's 3/8
rule, of the same order and number of stages; torchode has no method of fixed steps of
that order. Seconds are of the CPU, of one step of training (forward and backward),
medians. Then 1000 steps in ten states: what is kept and what is done again, counted.
The same race with adaptive Dopri5 steps, torchode among them, and the distance of the
last state from 400 fixed steps; Robertson's reactions; the races of optimisers
(``ode_race.py``) and the time that a learned horizon saves (``ode_horizon.py``). Parts
that are stored are not measured again, nor are the sides of a race.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.benchmarks import record
from tests.benchmarks.unroll import ode_horizon, ode_race, ode_runs
from unroll.ode import RK4, Continuous, Discrete, Through, extra_steps, odeint

SEEDS = (0, 1, 2)
STEPS, REPETITIONS = 10, 40


class Field(nn.Module):
    """``tanh`` network; counts how often it is looked at."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        widths = [16, 64, 64, 16]
        layers = []
        for i, o in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(i, o, dtype=torch.float64), nn.Tanh()]
        self.net = nn.Sequential(*layers[:-1])
        self.looks = 0

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        self.looks += 1
        return self.net(x)


def sides(field: Field, t: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return what maps the first state to the last, by name."""
    import torchdiffeq

    ours = {
        "Through": Through(),
        "Discrete": Discrete(),
        "Discrete(8)": Discrete(8),
        "Continuous": Continuous(),
    }
    found = {
        name: lambda x, a=adjoint: odeint(field, x, t, RK4, a)
        for name, adjoint in ours.items()
    }
    theirs = {
        "torchdiffeq odeint": torchdiffeq.odeint,
        "torchdiffeq odeint_adjoint": torchdiffeq.odeint_adjoint,
    }
    options = {"method": "rk4", "options": {"step_size": 1 / STEPS}}
    ends = t[[0, -1]]
    return found | {
        name: lambda x, solve=solve: solve(field, x, ends, **options)[-1]
        for name, solve in theirs.items()
    }


def gradient(field: Field, solve: Callable[[Tensor], Tensor], x0: Tensor) -> Tensor:
    """Return the gradient of a loss by all parameters, in a row."""
    field.zero_grad()
    solve(x0).square().mean().backward()
    return torch.cat([p.grad.flatten() for p in field.parameters()])


def race(
    seed: int, repetitions: int, adaptive: bool = False
) -> dict[str, dict[str, float]]:
    """Return milliseconds of a training step and error of its gradient, by side."""
    field = Field(seed)
    x0 = torch.randn(64, 16, dtype=torch.float64)
    t = torch.linspace(0, 1, STEPS + 1, dtype=torch.float64)
    if adaptive:
        with torch.no_grad():
            for layer in field.net[::2]:
                layer.weight *= 3  # so that the steps differ
        solvers = ode_runs.adaptive_sides(field, t[[0, -1]])
    else:
        solvers = sides(field, t)
    times: dict[str, list[float]] = {name: [] for name in solvers}
    for _ in range(repetitions + 2):
        for name, solve in solvers.items():
            start = time.process_time()
            gradient(field, solve, x0)
            times[name].append(1e3 * (time.process_time() - start))
    found = {name: gradient(field, solve, x0) for name, solve in solvers.items()}
    rows = {}
    for name in solvers:
        own = found[ode_runs.SAME_STEPS.get(name, name)]
        rows[name] = {
            "ms": round(statistics.median(times[name][2:]), 2),
            "gradient_error": ((found[name] - own).norm() / own.norm()).item(),
        }
    if adaptive:
        with torch.no_grad():
            end = odeint(field, x0, torch.linspace(0, 1, 401).double(), RK4)
            for name, solve in solvers.items():
                rows[name]["state_error"] = (solve(x0) - end).abs().max().item()
    return rows


def memory(steps: int = 1000, checkpoints: int = 10) -> dict[str, int]:
    """Reverse a long run in few states; count what was kept and what was done."""
    field = Field(0)
    x0 = torch.randn(4, 16, dtype=torch.float64, requires_grad=True)
    t = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    x = odeint(field, x0, t, RK4, Discrete(checkpoints))
    _, _, (*_, kept) = x.grad_fn.all
    x.sum().backward()
    looks = (field.looks - 1) // len(RK4.b)  # one look to see what it depends on
    return {
        "steps": steps,
        "states": kept.most,
        "steps_done": looks,
        "extra_steps": looks - steps,
        "extra_by_the_formula": extra_steps(steps, checkpoints),
    }


def raced(seeds: tuple[int, ...], repetitions: int, adaptive: bool) -> dict:
    """Return the rows of a race, a list for each seed."""
    runs = [race(seed, repetitions, adaptive) for seed in seeds]
    return {
        name: {key: [run[name][key] for run in runs] for key in runs[0][name]}
        for name in runs[0]
    }


def main() -> None:
    """Measure what is not stored, print it, and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small, nothing written")
    parser.add_argument("--only", nargs="+", help="names of parts")
    options = parser.parse_args()
    quick = options.quick
    torch.set_num_threads(1)
    seeds, repetitions = (SEEDS[:1], 3) if quick else (SEEDS, REPETITIONS)
    path = record.RESULTS / "ode.json"
    stored = json.loads(path.read_text()) if path.exists() and not quick else {}
    parts: dict[str, Callable[[], dict]] = {
        "rows": lambda: raced(seeds, repetitions, adaptive=False),
        "memory": memory,
        "adaptive": lambda: raced(seeds, max(3, repetitions // 8), adaptive=True),
        "robertson": ode_runs.robertson,
    }
    setting = {"seeds": seeds, "steps": STEPS, "batch": 64, "clock": "CPU"}
    if "machine" not in stored:
        stored["machine"] = record.machine(("torch", "torchdiffeq", "torchode"))
    stored.setdefault("setting", setting)

    def save() -> None:
        if not quick:
            record.write("ode", stored)

    for name, part in parts.items():
        if name in stored or name not in (options.only or parts):
            continue
        start = time.process_time()
        stored[name] = part()
        print(f"{name}: {time.process_time() - start:.0f} s of CPU")
        print(json.dumps(stored[name])[:3000])
        save()
    for name, kind in (("spiral", ode_race.Spiral), ("letters", ode_race.Letters)):
        if name in (options.only or ("spiral", "letters")):
            told = stored.setdefault(name, {})
            stored.setdefault("race_machine", record.machine(("torch",)))
            ode_race.race(kind, told, save, *((seeds, 20) if quick else ()))
    if "horizon" in (options.only or ("horizon",)):
        told = stored.setdefault("horizon", {})
        ode_horizon.saved(told, save, *((seeds,) if quick else ()))


if __name__ == "__main__":
    main()
