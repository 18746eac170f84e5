"""K-FAC beside SGD and Adam, and the price of factors from a share of the batch."""

import statistics
import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from modular import digits
from modular.curvature import KFAC, Eigen, Local
from modular.curvature.solves import Solve

SEEDS, TRIALS, SEARCHED = 5, 9, (100, 101)
CODE = [64, 48, 24, 8, 24, 48, 64]  # of the autoencoder
TASKS = {"autoencoder": 1, "digits": 2}  # and the seed of their searches
STEPS = {"autoencoder": (900, 180), "digits": (300, 80)}  # first order, K-FAC
BATCH, EVERY = 256, 10
SHARES = [1, 4, 16]
METHODS = ("SGD, momentum", "SGD, clipped", "Adam", "K-FAC", "K-FAC, labels drawn")


def network(sizes: list[int], seed: int) -> nn.Sequential:
    """Return linear layers with tanh between, as Glorot and Bengio start them."""
    generator, layers = torch.Generator().manual_seed(seed), []
    for a, b in zip(sizes, sizes[1:], strict=False):
        layer = nn.Linear(a, b)
        nn.init.xavier_normal_(layer.weight, generator=generator)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def squares(out: Tensor, x: Tensor) -> Tensor:
    """Return the squared error of an image, a mean over images."""
    return (out - x).square().sum(dim=1).mean()


def drawn(task: str, out: Tensor, generator: torch.Generator) -> Tensor:
    """Return labels from the model's own distribution."""
    if task == "digits":
        chances = out.detach().softmax(dim=1)
        return torch.multinomial(chances, 1, generator=generator)[:, 0]
    return out.detach() + torch.randn(out.shape, generator=generator) * 0.5**0.5


class Plain(Solve):
    """No curvature: a control that keeps the momentum and the clipping only."""

    def prepare(self, A: Tensor, G: Tensor) -> tuple[Tensor, ...]:
        """Return nothing."""
        return ()

    def blank(self, A: Tensor, G: Tensor) -> tuple[Tensor, ...]:
        """Return nothing."""
        return ()

    def divide(self, W: Tensor, prepared: tuple[Tensor, ...]) -> Tensor:
        """Return the gradient as it is."""
        return W


class Run:
    """One training with one setting, watched on all training data."""

    def __init__(self, task: str, method: str, setting: dict, seed: int) -> None:
        self.task, self.method = task, method
        data = digits(torch.Generator().manual_seed(seed))
        self.x, self.test = data.x, data.x_test
        self.y, self.y_test = (
            (data.y, data.y_test) if task == "digits" else (data.x, data.x_test)
        )
        self.loss = functional.cross_entropy if task == "digits" else squares
        sizes = [64, 64, 64, 10] if task == "digits" else CODE
        self.net = network(sizes, seed)
        self.generator = torch.Generator().manual_seed(seed)
        if method == "Adam":
            self.optimizer = torch.optim.Adam(self.net.parameters(), setting["lr"])
        else:
            p = self.net.parameters()
            self.optimizer = torch.optim.SGD(p, setting["lr"], momentum=0.9)
        self.kfac = None
        if "clip" in setting:
            solve = Eigen(setting["damping"]) if "damping" in setting else Plain()
            self.kfac = KFAC(
                self.net, self.optimizer, solve=solve, clip=setting["clip"]
            )

    def step(self) -> None:
        """Take one step."""
        rows = torch.randint(len(self.x), (BATCH,), generator=self.generator)
        x, y = self.x[rows], self.y[rows]
        self.optimizer.zero_grad()
        if self.method == "K-FAC, labels drawn":
            out = self.net.train()(x)
            self.loss(out, drawn(self.task, out, self.generator)).backward()
            self.optimizer.zero_grad()
            self.net.eval()
        self.loss(self.net(x), y).backward()
        if self.kfac is not None:
            self.kfac.step()
        self.optimizer.step()

    @torch.no_grad()
    def look(self) -> tuple[float, float]:
        """Return the loss on training and on test data."""
        training = self.net.training
        self.net.eval()
        found = (
            self.loss(self.net(self.x), self.y).item(),
            self.loss(self.net(self.test), self.y_test).item(),
        )
        self.net.train(training)
        return found

    def curve(self, steps: int) -> list[tuple[int, float, float, float]]:
        """Return step, CPU seconds, training and test loss; looking is not timed."""
        rows, seconds = [], 0.0
        for index in range(0, steps, EVERY):
            start = time.process_time()
            try:
                for _ in range(EVERY):
                    self.step()
            except FloatingPointError:
                return rows
            seconds += time.process_time() - start
            rows.append((index + EVERY, round(seconds, 3), *self.look()))
            if not rows[-1][2] < 1e4:  # NaN, too
                return rows
        return rows


def steps_of(task: str, method: str) -> int:
    """Return the budget of a method: about the same CPU time for all."""
    return STEPS[task][method.startswith("K-FAC")]


RANGES = {
    "SGD, momentum": {"lr": (1e-3, 1.0)},
    "SGD, clipped": {"lr": (1e-3, 1.0), "clip": (1e-5, 1e-1)},
    "Adam": {"lr": (1e-4, 1e-1)},
    "K-FAC": {"lr": (1e-2, 1.0), "damping": (1e-3, 1.0), "clip": (3e-4, 3e-2)},
}
RANGES["K-FAC, labels drawn"] = RANGES["K-FAC"]


def draw_settings(method: str, seed: int) -> list[dict[str, float]]:
    """Return settings from the method's ranges, even in the logarithm."""
    generator, found = torch.Generator().manual_seed(seed), []
    ranges = RANGES[method]
    for index in range(TRIALS):
        u = torch.rand(len(ranges), generator=generator)
        if len(ranges) == 1:  # one number: a grid is better than chance
            u = torch.tensor([index / (TRIALS - 1)])
        found.append(
            {
                name: round(low * (high / low) ** u[k].item(), 6)
                for k, (name, (low, high)) in enumerate(ranges.items())
            }
        )
    return found


def last(task: str, method: str, setting: dict, steps: int, seed: int) -> float:
    """Return the training loss after some steps; infinite where it went astray."""
    rows = Run(task, method, setting, seed).curve(steps)
    return rows[-1][2] if len(rows) * EVERY == steps else float("inf")


def search(task: str, method: str) -> dict[str, Any]:
    """Return the setting with the lowest mean last loss on other seeds.

    All settings take a third of the steps with one seed, the best third of them all
    steps with every seed: the same for each method.
    """
    steps = steps_of(task, method)
    settings = draw_settings(method, TASKS[task])
    first = [last(task, method, s, steps // 30 * EVERY, SEARCHED[0]) for s in settings]
    ranked = sorted(range(TRIALS), key=lambda index: first[index])[: TRIALS // 3]
    final = {
        index: statistics.mean(
            last(task, method, settings[index], steps, seed) for seed in SEARCHED
        )
        for index in ranked
    }
    tried = [
        setting
        | {
            "first": number(first[index]),
            "loss": number(final.get(index, float("inf"))),
        }
        for index, setting in enumerate(settings)
    ]
    return {"best": settings[min(final, key=lambda k: final[k])], "tried": tried}


def number(loss: float) -> float | None:
    """Return a loss for JSON, which has no infinity."""
    return float(f"{loss:.4g}") if loss < float("inf") else None


def race(task: str, method: str, setting: dict, seed: int) -> dict[str, Any]:
    """Return a run's curve, thinned."""
    rows = Run(task, method, setting, seed).curve(steps_of(task, method))
    return {
        "steps": [row[0] for row in rows],
        "seconds": [row[1] for row in rows],
        "train": [float(f"{row[2]:.4g}") for row in rows],
        "test": [float(f"{row[3]:.4g}") for row in rows],
    }


class Shares(KFAC):
    """One process that does what ``Local`` does on several: factors of one share."""

    shares = 1

    @torch.no_grad()
    def _note(self, name: str, g: Tensor) -> None:
        owner = list(self.layers).index(name) % self.shares
        n = len(g) // self.shares
        part = slice(owner * n, (owner + 1) * n)
        self._inputs[name] = self._inputs[name][part]
        super()._note(name, g[part] * self.shares)  # a mean over fewer


def price(
    kind: str, shares: int, setting: dict, more: float, seed: int
) -> dict[str, float]:
    """Train on digits with factors of all samples, or of one share."""
    data = digits(torch.Generator().manual_seed(seed))
    net = network([64, 64, 64, 10], seed)
    optimizer = torch.optim.SGD(net.parameters(), setting["lr"], momentum=0.9)
    options = {"clip": setting["clip"], "placement": Local()}
    kfac = Shares(net, optimizer, solve=Eigen(more * setting["damping"]), **options)
    kfac.shares = shares if kind == "local" else 1
    size = BATCH if kind == "local" else BATCH // shares
    generator = torch.Generator().manual_seed(seed)
    for _ in range(STEPS["digits"][1]):
        rows = torch.randint(len(data.x), (size,), generator=generator)
        optimizer.zero_grad()
        functional.cross_entropy(net(data.x[rows]), data.y[rows]).backward()
        kfac.step()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        loss = functional.cross_entropy(net(data.x), data.y).item()
        right = (net(data.x_test).argmax(dim=1) == data.y_test).double().mean().item()
    return {"loss": float(f"{loss:.4g}"), "accuracy": round(100 * right, 2)}


def more_damping(kind: str, shares: int, setting: dict) -> float:
    """Return by how much more damping the loss is lowest, on another seed."""
    losses = {m: price(kind, shares, setting, m, SEARCHED[0]) for m in (1.0, 3.0, 10.0)}
    return min(losses, key=lambda m: losses[m]["loss"])
