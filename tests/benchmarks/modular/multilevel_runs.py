"""Tasks, sides and meters of the multilevel benchmark."""

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from modular.multilevel import (
    ASNTR,
    LSR1,
    Constant,
    Point,
    Region,
    TimeHierarchy,
    TimeNet,
    VCycle,
)

BUDGET, QUIET, MEMORY = 200, 1e-4, 20


@dataclass(frozen=True)
class Task:
    """A residual network over a time of four, and what it learns."""

    steps: int
    width: int
    rows: int
    target: float
    images: bool = False

    def data(self, seed: int) -> tuple[Tensor, Tensor]:
        """Return all that is learned from, in float64."""
        g = torch.Generator().manual_seed(seed)
        if self.images:
            x, y = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
            chosen = torch.randperm(len(y), generator=g)[: self.rows]
            return x[chosen].double() / 16 - 0.5, y[chosen]
        y = torch.arange(self.rows) % 2
        t = torch.rand(self.rows, generator=g, dtype=torch.float64).sqrt() * 3 * math.pi
        arm = (1 - 2 * y) * t / (3 * math.pi)
        x = torch.stack([arm * t.cos(), arm * t.sin()], dim=1)
        noise = torch.randn(self.rows, 2, generator=g, dtype=torch.float64)
        return x + 0.02 * noise, y

    def network(self, seed: int, alike: int = 4) -> TimeNet:
        """Return it; ``alike`` blocks in a row begin alike: weights smooth in time."""
        torch.manual_seed(seed)
        blocks = [self._block() for _ in range(self.steps)]
        for k, block in enumerate(blocks):
            block.load_state_dict(blocks[k // alike * alike].state_dict())
        first, last = (64, 10) if self.images else (2, 2)
        ends = nn.Linear(first, self.width), nn.Linear(self.width, last)
        return TimeNet(ends[0], blocks, ends[1], dt=4 / self.steps).double()

    def _block(self) -> nn.Module:
        return nn.Sequential(nn.Linear(self.width, self.width), nn.Tanh())


TASKS = {
    "spirals": Task(steps=64, width=6, rows=200, target=0.01),
    "digits": Task(steps=32, width=10, rows=400, target=0.01, images=True),
}


class Meter:
    """Counts gradients, and notes when the loss falls below the target."""

    def __init__(self, target: float, rest: bool = True) -> None:
        self.target, self.rest, self.start = target, rest, time.process_time()
        self.cost, self.reached, self.seconds = 0.0, math.inf, math.inf
        self.loss, self.slope, self.quiet = math.inf, math.inf, math.inf

    def see(self, loss: Tensor, gradient: Tensor) -> None:
        """Note a loss of the finest network."""
        if float(loss) < self.target and math.isinf(self.reached):
            self.reached, self.seconds = self.cost, time.process_time() - self.start
        if float(loss) < self.loss:
            self.loss, self.slope = float(loss), float(gradient.norm())
            if self.slope < QUIET and self.loss < self.target:
                self.quiet = min(self.quiet, self.cost)

    def on(self) -> bool:
        """Return whether to go on: to the budget, or to the target only."""
        done = not math.isinf(self.quiet if self.rest else self.reached)
        return self.cost < BUDGET and not done

    def row(self) -> dict[str, float | None]:
        """Return what was seen; None where it was not within the budget."""

        def told(number: float, digits: int) -> float | None:
            within = not math.isinf(number) and self.reached <= BUDGET
            return round(number, digits) if within else None

        return {
            "cost": told(self.reached, 2),
            "seconds": told(self.seconds, 3),
            "quiet": told(self.quiet, 2),
            "loss": float(f"{self.loss:.3g}"),
            "gradient": float(f"{self.slope:.3g}"),
        }


def multilevel(task: Task, seed: int, how: dict[str, Any], meter: Meter) -> list:
    """Minimise on levels; return all that the finest one tried.

    How: levels, gamma, per_time, alike; and cycle (before, after, coarsest) with reach,
    or steps of a nested iteration.
    """
    levels = how["levels"]
    hierarchy = TimeHierarchy(
        task.network(seed, how.get("alike", 4)),
        levels,
        Constant(full_weighting="steps" not in how),
        per_time=how["per_time"],
    )
    x, y = task.data(seed)

    def counted(level: int) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        f = hierarchy.function(level, x, y, functional.cross_entropy)

        def g(theta: Tensor) -> tuple[Tensor, Tensor]:
            found = f(theta)
            meter.cost += 0.5**level
            if level == 0:
                meter.see(*found)
            return found

        return g

    functions = [counted(level) for level in range(levels)]
    regions = [Region(1.0, LSR1(MEMORY, how["gamma"])) for _ in range(levels)]
    before, after, coarsest = how.get("cycle", (1, 0, 5))
    cycle = VCycle(
        hierarchy.transfers, regions, before, after, coarsest, how.get("reach")
    )
    if "steps" in how:
        at = cycle.nested(functions, hierarchy.theta(), how["steps"])
        cycle, functions = VCycle([], regions[:1], 1, 0), functions[:1]
    else:
        at = Point.at(functions[0], hierarchy.theta())
    tried = []
    while meter.on():
        at, trials = cycle(functions, at)
        tried += trials
    return tried


def optimiser(parameters: Any, how: dict[str, Any]) -> torch.optim.Optimizer:
    """Return a first-order side, or L-BFGS."""
    if how["name"] == "Adam":
        return torch.optim.Adam(parameters, lr=how["lr"])
    if how["name"] == "SGD":
        return torch.optim.SGD(parameters, lr=how["lr"], momentum=how["momentum"])
    return torch.optim.LBFGS(
        parameters,
        lr=how.get("lr", 1.0),
        max_iter=20,
        history_size=how["history"],
        line_search_fn=how.get("search"),
    )


def by_torch(task: Task, seed: int, how: dict[str, Any], meter: Meter) -> None:
    """Minimise by an optimiser of torch."""
    net, (x, y) = task.network(seed), task.data(seed)
    optimizer = optimiser(net.parameters(), how)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(net(x), y)
        loss.backward()
        meter.cost += 1
        gradient = torch.cat(
            [p.grad.flatten() for p in net.parameters() if p.grad is not None]
        )
        meter.see(loss.detach(), gradient)
        return loss

    while meter.on():
        before = meter.cost
        loss = optimizer.step(closure)
        if meter.cost == before or not math.isfinite(loss.item()):
            break  # L-BFGS is at its end, or the rate was too large


def nested_adam(task: Task, seed: int, how: dict[str, Any], meter: Meter) -> None:
    """Take Adam's steps on coarse levels first, then on the finest."""
    weave = Constant(full_weighting=True)
    hierarchy = TimeHierarchy(task.network(seed), len(how["steps"]) + 1, weave)
    (x, y), theta = task.data(seed), hierarchy.theta()
    for transfer in hierarchy.transfers:
        theta = transfer.restrict_iterate(theta)
    for level in range(len(how["steps"]), -1, -1):
        f = hierarchy.function(level, x, y, functional.cross_entropy)
        theta, made = nn.Parameter(theta), 0
        adam = torch.optim.Adam([theta], lr=how["lr"])
        while meter.on() and (level == 0 or made < how["steps"][level - 1]):
            value, theta.grad = f(theta)
            meter.cost, made = meter.cost + 0.5**level, made + 1
            if level == 0:
                meter.see(value, theta.grad)
            adam.step()
        theta = theta.detach()
        if level > 0:
            theta = hierarchy.transfers[level - 1].prolong(theta)


def cycles(levels: int) -> list[dict[str, Any]]:
    """Return the settings of V-cycles that are tried."""
    forms = (1, 0, 10), (1, 1, 10), (1, 1, 20)
    return [
        {"levels": levels, "per_time": True, "gamma": g, "cycle": f, "reach": 4.0}
        for g, f in itertools.product((0.03, 0.1), forms)
    ]


def nested(*steps: list[int]) -> list[dict[str, Any]]:
    """Return the settings of nested iteration that are tried."""
    return [
        {"levels": len(s) + 1, "per_time": True, "gamma": g, "steps": s}
        for g, s in itertools.product((0.03, 0.1), steps)
    ]


ONE = [(False, 1.0), (False, 0.1), (True, 0.3), (True, 0.1), (True, 0.03), (True, 0.01)]
SIDES: dict[str, list[dict[str, Any]]] = {  # six settings each
    "one level": [{"levels": 1, "per_time": p, "gamma": g} for p, g in ONE],
    "V-cycles, 2 levels": cycles(2),
    "V-cycles, 3 levels": cycles(3),
    "nested, 2 levels": nested([20], [30], [45]),
    "nested, 3 levels": nested([5, 45], [10, 30], [30, 30]),
    "Adam": [{"name": "Adam", "lr": lr} for lr in (0.01, 0.02, 0.03, 0.06, 0.1, 0.2)],
    "SGD": [
        {"name": "SGD", "lr": lr, "momentum": m}
        for lr, m in itertools.product((0.3, 1.0, 3.0), (0.9, 0.95))
    ],
    "L-BFGS": [
        {"name": "L-BFGS", "history": 10, "search": "strong_wolfe"},
        {"name": "L-BFGS", "history": 20, "search": "strong_wolfe"},
        {"name": "L-BFGS", "history": 40, "search": "strong_wolfe"},
        {"name": "L-BFGS", "history": 20, "lr": 1.0},
        {"name": "L-BFGS", "history": 20, "lr": 0.5},
        {"name": "L-BFGS", "history": 20, "lr": 0.2},
    ],
}


ADAM = [  # on three levels
    {"lr": lr, "steps": steps}
    for lr, steps in itertools.product((0.03, 0.06, 0.1), ([10, 60], [30, 90]))
]


def growing(task: Task, seed: int, start: int, gamma: float) -> dict[str, Any]:
    """Train on samples that grow; the whole loss is looked at for nothing."""
    hierarchy = TimeHierarchy(task.network(seed), 1, Constant(), per_time=True)
    x, y = task.data(seed)
    spent = [0.0]

    def on(index: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        f = hierarchy.function(0, x[index], y[index], functional.cross_entropy)

        def g(theta: Tensor) -> tuple[Tensor, Tensor]:
            spent[0] += len(index) / task.rows
            return f(theta)

        return g

    whole = hierarchy.function(0, x, y, functional.cross_entropy)
    region = Region(1.0, LSR1(MEMORY, gamma))
    g = torch.Generator().manual_seed(seed)
    method = ASNTR(region, task.rows, start, generator=g)
    theta = hierarchy.theta()
    sizes: list[int] = []
    costs: list[float] = []
    losses: list[float] = []
    while spent[0] < BUDGET and (not losses or losses[-1] > task.target):
        theta, _ = method.step(on, theta)
        sizes.append(method.size)
        costs.append(round(spent[0], 2))
        losses.append(float(f"{float(whole(theta)[0]):.3g}"))
    done = losses[-1] <= task.target
    reached = costs[-1] if done and costs[-1] <= BUDGET else None
    return {"cost": reached, "sizes": sizes, "costs": costs, "losses": losses}
