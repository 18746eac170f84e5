"""What the benchmark of neural ODEs trains and fits: a spiral, stiff reactions.

Used by ``python -m tests.benchmarks.unroll.ode``.
"""

import statistics
import time
from collections.abc import Callable, Iterator

import torch
from scipy.integrate import solve_ivp
from torch import Tensor, nn

from unroll.ode import (
    DOPRI5,
    EULER,
    RK4,
    SDIRK2,
    Adaptive,
    Continuous,
    Discrete,
    SNOpt,
    odeint,
)

RATES = torch.tensor([0.04, 3e7, 1e4], dtype=torch.float64)
TIMES = torch.cat([torch.zeros(1), torch.logspace(-5, 2, 8)]).double()
SCALE = torch.tensor([1.0, 1e4, 1.0], dtype=torch.float64)
BETWEEN = 6  # steps from one time of the data to the next

TRIES = {  # the same number of settings for each side
    "SGD": [{"lr": lr} for lr in (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)],
    "Adam": [{"lr": lr} for lr in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)],
    "SNOpt": [{"lr": lr, "eps": e} for lr in (0.003, 0.01, 0.03) for e in (0.05, 0.5)],
}
UPDATES, EVERY, SEARCH_SEED = 200, 10, 100


class Robertson(nn.Module):
    """Three substances and three rate constants (Robertson 1966)."""

    def __init__(self, rates: Tensor) -> None:
        super().__init__()
        self.logs = nn.Parameter(rates.log())

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        a, b, c = y.unbind(dim=1)
        k1, k2, k3 = self.logs.exp()
        first, second, third = k1 * a, k2 * b**2, k3 * b * c
        return torch.stack([third - first, first - third - second, second], dim=1)


def _path(field: nn.Module) -> Tensor:
    """Return the scaled state at every time but the first."""
    y, states = torch.tensor([[1.0, 0.0, 0.0]]).double(), []
    for start, end in zip(TIMES, TIMES[1:], strict=False):
        t = torch.linspace(0, 1, BETWEEN + 1).double() * (end - start) + start
        y = odeint(field, y, t, SDIRK2, Discrete())
        states.append(y)
    return torch.cat(states) * SCALE


def robertson() -> dict:
    """Let an explicit method try; find the rates again from SciPy's Radau solution."""
    field, y0 = Robertson(RATES), torch.tensor([[1.0, 0.0, 0.0]]).double()
    told = {}
    for name, method in (("RK4", RK4), ("Dopri5, adaptive", Adaptive(DOPRI5))):
        try:
            with torch.no_grad():
                odeint(field, y0, TIMES if name == "RK4" else TIMES[[0, -1]], method)
            told[name] = "reached the end"
        except FloatingPointError as error:
            told[name] = str(error).partition(": expected")[0]

    def right(t: float, y: list[float]) -> list[float]:
        with torch.no_grad():
            return field(t, torch.tensor(y)[None])[0].tolist()

    found = solve_ivp(
        right,
        (0, TIMES[-1].item()),
        [1.0, 0.0, 0.0],
        method="Radau",
        t_eval=TIMES[1:].tolist(),
        rtol=1e-9,
        atol=1e-13,
    )
    data = torch.tensor(found.y.T) * SCALE
    field = Robertson(RATES * torch.tensor([1.3, 0.7, 1.2]).double())
    before = (field.logs.exp() / RATES - 1).abs().tolist()
    search = torch.optim.LBFGS(
        field.parameters(),
        max_iter=30,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        search.zero_grad()
        misfit = (_path(field) - data).square().sum()
        misfit.backward()
        return misfit

    start = time.process_time()
    search.step(loss)
    return {
        "explicit": told,
        "steps": BETWEEN * (len(TIMES) - 1),
        "error_before": before,
        "error_after": (field.logs.exp() / RATES - 1).abs().tolist(),
        "seconds": round(time.process_time() - start, 1),
    }


class Flow(nn.Module):
    """Two layers on two states."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.inner = nn.Linear(2, 32, dtype=torch.float64)
        self.outer = nn.Linear(32, 2, dtype=torch.float64)

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return self.outer(torch.tanh(self.inner(x)))


def spiral(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return starts and ends on the cubic spiral of Chen et al. 2018."""
    A = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]], dtype=torch.float64)
    x = 3 * torch.rand(count, 2, generator=generator, dtype=torch.float64) - 1.5
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    with torch.no_grad():
        return x, odeint(lambda t, x: x**3 @ A, x, t, RK4)


def train(side: str, setting: dict, seed: int, updates: int = UPDATES) -> dict:
    """Train once; return seconds of CPU and the error on new points, as it goes."""
    field = Flow(seed)
    data = torch.Generator().manual_seed(1000 + seed)
    x, goal = spiral(1024, data)
    x_new, goal_new = spiral(512, data)
    euler = "Euler" in side
    method, t = EULER if euler else RK4, torch.linspace(0, 1, 9).double()
    snopt = SNOpt(field, setting.get("eps", 1.0), every=50)
    if side == "SNOpt":
        adjoint = Discrete(watch=snopt)
    else:
        adjoint = Continuous() if "continuous" in side else Discrete()
    kind = torch.optim.Adam if "Adam" in side else torch.optim.SGD
    momentum = {} if "Adam" in side else {"momentum": 0.9}
    optimiser = kind(field.parameters(), lr=setting["lr"], **momentum)
    spent, seconds, errors = 0.0, [], []
    for i in range(updates + 1):
        if i % EVERY == 0:
            with torch.no_grad():
                off = odeint(field, x_new, t, method) - goal_new
            errors.append(off.square().sum(dim=1).mean().item())
            seconds.append(round(spent, 3))
        start = time.process_time()
        some = torch.randint(len(x), (64,), generator=data)
        try:
            out = odeint(field, x[some], t, method, adjoint)
        except FloatingPointError:
            return {"seconds": [*seconds, spent], "errors": [*errors, float("inf")]}
        loss = (out - goal[some]).square().sum(dim=1).mean()
        optimiser.zero_grad()
        (-loss if "reversed" in side else loss).backward()
        if side == "SNOpt":
            snopt.step()
        optimiser.step()
        spent += time.process_time() - start
    return {"seconds": seconds, "errors": errors}


def _final(run: dict) -> float:
    """Return the mean error of the last three looks."""
    last = run["errors"][-3:]
    return statistics.mean(last) if all(map(_finite, last)) else float("inf")


def _finite(value: float) -> bool:
    return value == value and abs(value) < float("inf")


def spiral_race(seeds: tuple[int, ...], updates: int = UPDATES) -> Iterator[tuple]:
    """Yield name and row of each side, at the best setting of its search."""
    best = {}
    for side, settings in TRIES.items():
        tried = [_final(train(side, one, SEARCH_SEED, updates)) for one in settings]
        best[side] = settings[tried.index(min(tried))]
        runs = [train(side, best[side], seed, updates) for seed in seeds]
        search = {
            str(s): e if _finite(e) else None
            for s, e in zip(settings, tried, strict=True)
        }
        yield side, _row(runs, best[side]) | {"search": search}
    for side in ("Adam, Euler", "Adam, Euler, continuous", "Adam, reversed"):
        runs = [train(side, best["Adam"], seed, updates) for seed in seeds]
        yield side, _row(runs, best["Adam"])


def _row(runs: list[dict], setting: dict) -> dict:
    """Return what is kept of the runs of one side."""
    return {
        "setting": setting,
        "final": [f if _finite(f := _final(run)) else None for run in runs],
        "curves": runs,
    }


def adaptive_sides(field: nn.Module, t: Tensor) -> dict[str, Callable]:
    """Return what maps the first state to the last with Dopri5 at one tolerance."""
    import torchdiffeq

    from unroll.ode import Through

    tolerances = {"rtol": 1e-5, "atol": 1e-7}
    method = Adaptive(DOPRI5, **tolerances)
    ours = {"Through": Through(), "Discrete": Discrete(), "Discrete(8)": Discrete(8)}
    found = {
        name: lambda x, a=adjoint: odeint(field, x, t, method, a)
        for name, adjoint in ours.items()
    }
    theirs = {
        "torchdiffeq odeint": torchdiffeq.odeint,
        "torchdiffeq odeint_adjoint": torchdiffeq.odeint_adjoint,
    }
    return found | {
        name: lambda x, solve=solve: solve(field, x, t, **tolerances)[-1]
        for name, solve in theirs.items()
    }
