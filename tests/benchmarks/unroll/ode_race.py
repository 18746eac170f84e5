"""The race of SNOpt with Adam and SGD on neural ODEs: a spiral, and written letters.

Used by ``python -m tests.benchmarks.unroll.ode``. Every side tries twelve settings on a
seed of its own, is measured at the best of them on five other seeds, and looks at new
points as it goes. SNOpt has two numbers to choose and a coarser grid for each.
"""

import statistics
import time
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from tests.benchmarks.unroll import characters
from unroll.ode import EULER, MIDPOINT, RK4, Continuous, Discrete, SNOpt, odeint
from unroll.ode.adjoints import Adjoint
from unroll.ode.tableau import Method

SEEDS, SEARCH_SEED = (0, 1, 2, 3, 4), 100
BATCH, EVERY, LOOKS = 64, 10, 3  # updates between two looks; looks in the last mean
RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)


def settings_of(rates: tuple, eps: tuple) -> dict[str, list[dict]]:
    """Return the same number of settings for each side; SNOpt's are given."""
    return {
        "SGD": [{"lr": lr} for lr in RATES],
        "Adam": [{"lr": lr} for lr in RATES],
        "SNOpt": [{"lr": lr, "eps": one} for lr in rates for one in eps],
    }


class Problem(Protocol):
    """What is trained: a field, its data, and a look at new ones."""

    updates: int
    tries: dict[str, list[dict]]
    controls: tuple[str, ...]
    count: int
    method: Method
    field: nn.Module
    data: torch.Generator

    def __init__(self, seed: int) -> None:
        """Draw the data and the first parameters."""

    def loss(self, some: Tensor, method: Method, adjoint: Adjoint) -> Tensor:
        """Return the loss of the examples with these numbers."""

    def look(self, method: Method) -> dict[str, float]:
        """Return the errors on new examples; the first is the one that counts."""


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


class Spiral:
    """Eight steps of fourth order from starts to ends."""

    updates, count, method = 200, 1024, RK4
    tries = settings_of((0.003, 0.01, 0.03, 0.1), (0.005, 0.05, 0.5))
    controls = ("Adam, Euler", "Adam, Euler, continuous", "Adam, reversed")

    def __init__(self, seed: int) -> None:
        self.field = Flow(seed)
        self.data = torch.Generator().manual_seed(1000 + seed)
        self.t = torch.linspace(0, 1, 9, dtype=torch.float64)
        self.x, self.goal = spiral(self.count, self.data)
        self.x_new, self.goal_new = spiral(512, self.data)

    def loss(self, some: Tensor, method: Method, adjoint: Adjoint) -> Tensor:
        """Return the mean squared distance from the ends."""
        out = odeint(self.field, self.x[some], self.t, method, adjoint)
        return (out - self.goal[some]).square().sum(dim=1).mean()

    @torch.no_grad()
    def look(self, method: Method) -> dict[str, float]:
        """Return the same of new starts."""
        off = odeint(self.field, self.x_new, self.t, method) - self.goal_new
        return {"errors": off.square().sum(dim=1).mean().item()}


class Reader(nn.Module):
    """A state that is driven by the pen: the field of two layers sees both."""

    def __init__(self, seed: int, state: int = 24, width: int = 32) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.inner = nn.Linear(state + 2, width, dtype=torch.float64)
        self.outer = nn.Linear(width, state, dtype=torch.float64)
        self.pen = torch.empty(0)  # set for each batch. Shape (batch, times, 2).

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        place = t * (self.pen.shape[1] - 1)
        left = min(int(place), self.pen.shape[1] - 2)
        now = torch.lerp(self.pen[:, left], self.pen[:, left + 1], place - left)
        return self.outer(torch.tanh(self.inner(torch.cat([x, now], dim=1))))


class Letters:
    """Which letter did the pen write? The first states at the end are the scores."""

    updates, count, method = 120, 1200, MIDPOINT
    tries = settings_of((0.03, 0.1, 0.3, 1.0), (0.05, 0.5, 5.0))
    controls = ("SNOpt, no moments", "Adam, reversed")

    def __init__(self, seed: int) -> None:
        self.field = Reader(seed)
        self.data = torch.Generator().manual_seed(seed)
        self.t = torch.linspace(0, 1, 13, dtype=torch.float64)
        self.pen, self.name = characters.written(self.count, 2000 + seed)
        self.pen_new, self.name_new = characters.written(600, 2500 + seed)

    def _scores(self, pen: Tensor, method: Method, adjoint: Adjoint) -> Tensor:
        self.field.pen = pen
        x0 = torch.zeros(len(pen), self.field.outer.out_features, dtype=pen.dtype)
        out = odeint(self.field, x0, self.t, method, adjoint)
        return 5 * out[:, : len(characters.LETTERS)]

    def loss(self, some: Tensor, method: Method, adjoint: Adjoint) -> Tensor:
        """Return the cross-entropy."""
        scores = self._scores(self.pen[some], method, adjoint)
        return nn.functional.cross_entropy(scores, self.name[some])

    @torch.no_grad()
    def look(self, method: Method) -> dict[str, float]:
        """Return cross-entropy and accuracy on new letters."""
        scores = self._scores(self.pen_new, method, Discrete())
        right = (scores.argmax(dim=1) == self.name_new).double().mean()
        loss = nn.functional.cross_entropy(scores, self.name_new)
        return {"errors": loss.item(), "accuracy": right.item()}


def train(problem: Problem, side: str, setting: dict, updates: int) -> dict:
    """Train once; return seconds of CPU and errors on new examples, as it goes."""
    field = problem.field
    method: Method = EULER if "Euler" in side else problem.method
    decay = 1.0 if "no moments" in side else 0.75  # 1: the Kronecker factors alone
    snopt = SNOpt(field, setting.get("eps", 1.0), decay, every=50)
    adjoint: Adjoint = Discrete(watch=snopt if "SNOpt" in side else None)
    if "continuous" in side:
        adjoint = Continuous()
    optimiser: torch.optim.Optimizer = torch.optim.SGD(
        field.parameters(), lr=setting["lr"], momentum=0.9
    )
    if "Adam" in side:
        optimiser = torch.optim.Adam(field.parameters(), lr=setting["lr"])
    spent, looks = 0.0, []
    for i in range(updates + 1):
        if i % EVERY == 0:
            looks.append({"seconds": round(spent, 3)} | problem.look(method))
        start = time.process_time()
        some = torch.randint(problem.count, (BATCH,), generator=problem.data)
        try:
            loss = problem.loss(some, method, adjoint)
        except FloatingPointError:  # it has blown up
            looks.append({"seconds": round(spent, 3), "errors": float("inf")})
            break
        optimiser.zero_grad()
        (-loss if "reversed" in side else loss).backward()
        if "SNOpt" in side:
            snopt.step()
        optimiser.step()
        spent += time.process_time() - start
    return {key: [look.get(key) for look in looks] for key in looks[0]}


def final(run: dict) -> float:
    """Return the mean error of the last looks; infinity if it has blown up."""
    last = run["errors"][-LOOKS:]
    finite = all(abs(e) < float("inf") for e in last)
    return statistics.mean(last) if finite else float("inf")


def race(
    kind: type[Problem],
    rows: dict[str, dict],
    save: Callable[[], None],
    seeds: tuple[int, ...] = SEEDS,
    updates: int | None = None,
) -> None:
    """Add the row of each side that is missing, at the best setting of its search."""
    updates = updates or kind.updates
    for side in (*kind.tries, *kind.controls):
        if side in rows:
            continue
        row: dict = {}
        if side in kind.tries:
            settings = kind.tries[side]
            tried = [
                final(train(kind(SEARCH_SEED), side, s, updates)) for s in settings
            ]
            row["setting"] = settings[tried.index(min(tried))]
            row["search"] = {
                str(s): _kept(e) for s, e in zip(settings, tried, strict=True)
            }
        else:
            row["setting"] = rows[side.partition(",")[0]]["setting"]
        runs = [train(kind(seed), side, row["setting"], updates) for seed in seeds]
        row["final"] = [_kept(final(run)) for run in runs]
        row["curves"] = [{k: list(map(_kept, run[k])) for k in run} for run in runs]
        rows[side] = row
        print(side, row["setting"], row["final"])
        save()


def _kept(value: float | None) -> float | None:
    """Return a number that JSON can hold, to six digits."""
    ok = value is not None and abs(value) < float("inf")
    return float(f"{value:.6g}") if ok else None
