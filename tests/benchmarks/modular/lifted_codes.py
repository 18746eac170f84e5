"""What ``lifted`` runs without derivatives: classifiers, steps, sparse codes."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from sklearn.datasets import load_sample_images
from torch import Tensor
from torch.nn import functional

from modular import digits
from modular.lifted import (
    BregmanNet,
    HardTanh,
    Identity,
    ImplicitSGD,
    ReLU,
    Softmax,
    SoftThreshold,
)
from modular.lifted.prox import Prox
from tests.benchmarks.modular.lifted_runs import RATES

BATCH, EPOCHS = 256, 20
THETA, NOISE, BUDGET = 0.1, 0.3, {"autoencoder": 2000, "denoising": 2000, "wide": 800}

ROUNDS = [{"tau": 10.0, "inner": inner} for inner in (10, 20, 40)]
SLOW = [{"lr": lr} for lr in (1e-3, 2e-3, 4e-3)]
FEW = [{"tau": 30.0, "inner": inner} for inner in (3, 10, 20)]
SCALES = (0.2, 0.5, 1.0)  # of hidden weights: what is flat does not see it, steps do
BREGMAN = {"backpropagation": RATES, "lifted Bregman": ROUNDS}
NO_SLOPE = "backpropagation, slope zero"
FLAT = {
    NO_SLOPE: [{"lr": lr} for lr in (8e-3, 3e-2, 0.1)],  # one layer alone: fast
    "lifted": [{"inner": 20, "scale": scale} for scale in SCALES],
    "straight through": [{"lr": 8e-3, "scale": scale} for scale in SCALES],
    "hard tanh, backpropagation": RATES,
}
ALPHAS = {"autoencoder": (0.03, 0.3), "denoising": (0.1,), "wide": (0.1,)}


def sides(part: str) -> dict[str, list]:
    """Return the sides of a part with codes: two for each price."""
    return {
        f"{name}, α = {alpha}": [row | {"alpha": alpha} for row in rows]
        for alpha in ALPHAS[part]
        for name, rows in {"backpropagation": SLOW, "lifted": FEW}.items()
    }


@dataclass(frozen=True)
class Sign(Prox):
    """The sign: no slope anywhere. ``1/2 ||y||^2 + Psi`` is 0 on [-1, 1]."""

    def __call__(self, z: Tensor) -> Tensor:
        """Return -1, 0 or 1."""
        return z.sign()

    def potential(self, y: Tensor) -> Tensor:
        """Return ``-1/2 ||y||^2``, infinite outside of [-1, 1]."""
        return HardTanh().potential(y) - y.square().sum(dim=-1) / 2

    def conjugate(self, z: Tensor) -> Tensor:
        """Return ``||z||_1``."""
        return z.abs().sum(dim=-1)

    def step(self, v: Tensor, mu: float) -> Tensor:
        """Return ``v`` between -1 and 1."""
        return v.clamp(-1, 1)


@dataclass(frozen=True)
class Code(SoftThreshold):
    """A soft threshold whose state has a price of ``alpha ||x||_1``."""

    alpha: float = 0.0

    def step(self, v: Tensor, mu: float) -> Tensor:
        """Return the proximal step, price included."""
        return SoftThreshold(self.theta + self.alpha).step(v, mu)


def stream(rows: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the numbers of shuffled batches, without end."""
    while True:
        yield from torch.randperm(rows, generator=generator).split(BATCH)


def classify(net: BregmanNet, setting: dict, seed: int, through: bool) -> dict:
    """Train on digits for some epochs; by Adam where the setting has a rate."""
    task = digits(torch.Generator().manual_seed(seed))
    order = stream(len(task.x), torch.Generator().manual_seed(seed))
    passes, start = 0, time.process_time()
    adam = torch.optim.Adam(net.parameters(), lr=setting.get("lr", 0.0))
    for _ in range(EPOCHS * -(-len(task.x) // BATCH)):
        rows = next(order)
        x, y = task.x[rows], task.y[rows]
        if "lr" in setting:
            adam.zero_grad()
            functional.cross_entropy(scores(net, x, through), y).backward()
            adam.step()
            passes += 3  # forward, and a backward sweep is two
        else:
            target = functional.one_hot(y, 10).to(x)
            tau, inner = setting.get("tau", 10.0), setting["inner"]
            ImplicitSGD(tau, inner, momentum=True).step(net, x, target)
            passes += 2 + inner * 5  # states: two z and a transpose; weights: two more
    with torch.no_grad():
        right = net(task.x_test).argmax(dim=1) == task.y_test
    return {
        "accuracy": round(100 * float(right.double().mean()), 2),
        "passes": passes,
        "seconds": round(time.process_time() - start, 1),
    }


def scores(net: BregmanNet, x: Tensor, through: bool) -> Tensor:
    """Return what goes into the last activation; made-up slopes where asked."""
    pairs = list(zip(net.layers, net.activations, strict=True))
    for layer, s in pairs[:-1]:
        z = layer(x)
        x = s(z)
        if through:  # the value of s, the slope of a hard tanh
            ramp = z.clamp(-1, 1)
            x = ramp + (x - ramp).detach()
    return net.layers[-1](x)


def bregman(part: str, name: str, setting: dict, seed: int) -> dict:
    """Train 64-64-64-10 with ReLUs, by its lifted energy or by backpropagation."""
    generator = torch.Generator().manual_seed(seed)
    net = BregmanNet([64, 64, 64, 10], [ReLU(), ReLU(), Softmax()], generator=generator)
    return classify(net, setting, seed, through=False)


def flat(part: str, name: str, setting: dict, seed: int) -> dict:
    """Train 64-64-64-10 with signs; say how far the hidden weights have moved."""
    generator = torch.Generator().manual_seed(seed)
    s = HardTanh() if name.startswith("hard") else Sign()
    net = BregmanNet([64, 64, 64, 10], [s, s, Softmax()], generator=generator)
    hidden = list(net.layers)[:-1]
    with torch.no_grad():
        for layer in hidden:
            layer.weight.mul_(setting.get("scale", 1.0))
    before = [layer.weight.detach().clone() for layer in hidden]
    found = classify(net, setting, seed, through=name == "straight through")
    moved = max(
        float((layer.weight.detach() - old).abs().max())
        for layer, old in zip(hidden, before, strict=True)
    )
    return found | {"moved": moved}


def images(part: str, seed: int) -> tuple[Tensor, Tensor]:
    """Return centred training and test images, digits or patches of photographs."""
    generator = torch.Generator().manual_seed(seed)
    if part != "wide":
        task = digits(generator)
        x, test = task.x, task.x_test
    else:
        grey = [torch.tensor(i).float().mean(dim=2) / 255 for i in photographs()]
        tiles = [g.unfold(0, 16, 16).unfold(1, 16, 16).reshape(-1, 256) for g in grey]
        x = torch.cat(tiles)
        order = torch.randperm(len(x), generator=generator)
        held_out = len(x) // 4
        x, test = x[order[held_out:]], x[order[:held_out]]
    mean = x.mean(dim=0)
    return x - mean, test - mean


def photographs() -> list:
    """Return the two photographs that ship with scikit-learn."""
    return load_sample_images().images


def codes(part: str, name: str, setting: dict, seed: int) -> dict:
    """Train an autoencoder of five layers with a sparse code in the third."""
    x, test = images(part, seed)
    generator = torch.Generator().manual_seed(seed)
    wide, alpha, noise = x.shape[1], setting["alpha"], NOISE * (part == "denoising")
    each = [ReLU(), ReLU(), Code(THETA, alpha), ReLU(), Identity()]
    net = BregmanNet([wide] * 6, each, generator=generator)
    cost = 3 if "lr" in setting else 2 + 5 * setting["inner"]  # as in classify
    start = time.process_time()
    adam = torch.optim.Adam(net.parameters(), lr=setting.get("lr", 0.0))
    order, steps = stream(len(x), generator), BUDGET[part] // cost
    for _ in range(steps):
        clean = x[next(order)]
        given = clean + noise * torch.randn(clean.shape, generator=generator)
        if "lr" in setting:
            adam.zero_grad()
            error, price = objective(net, given, clean, alpha)
            (error + price).backward()
            adam.step()
        else:
            ImplicitSGD(setting["tau"], setting["inner"], momentum=True).step(
                net, given, clean
            )
    with torch.no_grad():
        given = test + noise * torch.randn(test.shape, generator=generator)
        squares, l1 = (float(t) for t in objective(net, given, test, alpha))
        code = net.states(given)[2]
    return {
        "objective": round(squares + l1, 4),
        "error": round(200 * squares / float(test.square().sum(dim=1).mean()), 2),
        "active": round(100 * float((code != 0).double().mean()), 2),
        "passes": steps * cost,
        "seconds": round(time.process_time() - start, 1),
    }


def objective(
    net: BregmanNet, given: Tensor, clean: Tensor, alpha: float
) -> tuple[Tensor, Tensor]:
    """Return half the squared error and the price of the code, means of the batch."""
    states = net.states(given)
    error = (states[-1] - clean).square().sum(dim=1).mean() / 2
    return error, alpha * states[2].abs().sum(dim=1).mean()
