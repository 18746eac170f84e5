"""Steps to a training loss against the batch, and the noise scale on the way."""

import statistics

import torch
from torch import nn
from torch.nn import functional

from modular.communication import noise_scale
from tests.benchmarks.modular.workers import PROBLEMS, batches, gradients, seeded

PROBE = 1024  # samples that the noise is measured on, and about one look in so many
TARGET, EPOCHS, LEAST = 1.0, 8, 1000  # at most so many epochs, and so many steps more
TWOS = tuple(2.0**k for k in range(-9, 4))
COUNTS = {8: 4, 32: 5, 128: 6, 512: 7, 2048: 7}  # the first of three rates of TWOS


def to_target(size: int, seed: int, rate: float) -> dict:
    """Count steps to a training loss, and measure the noise scale on the way."""
    problem = PROBLEMS["pair_sum"]
    task, net = problem.data(seed)[0], seeded(problem, seed)
    optimizer = torch.optim.SGD(net.parameters(), rate)
    most = EPOCHS * len(task.x) // size + LEAST
    every, squares, start = max(4, PROBE // size), [], loss_of(net, task)
    chance = torch.Generator().manual_seed(seed)
    for t, (x, y) in enumerate(batches(task, size, seed, most), start=1):
        optimizer.zero_grad()
        functional.cross_entropy(net(x), y).backward()
        optimizer.step()
        if t % every == 0:
            rows = torch.randint(len(task.x), (PROBE,), generator=chance)
            squares.append(two_squares(net, task.x[rows], task.y[rows]))
            loss = loss_of(net, task)
            if loss < TARGET:
                break
            if t > most or not loss < 2 * start:  # NaN, too
                return {"steps": None, "noise scale": None}
    small, whole = (statistics.mean(column) for column in zip(*squares, strict=True))
    found = noise_scale(small, whole, PROBE // 8, PROBE)
    return {"steps": t, "noise scale": round(found.batch, 1)}


def two_squares(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple:
    """Return the mean square of gradients of eighths of a batch, and of all of it."""
    parts = [gradients(net, a, b) for a, b in zip(x.chunk(8), y.chunk(8), strict=True)]
    mean = [torch.stack(tensors).mean(dim=0) for tensors in zip(*parts, strict=True)]
    sizes = [square(part) for part in parts]
    return statistics.mean(sizes), square(mean)


def square(tensors: list[torch.Tensor]) -> float:
    """Return the squared length of a gradient."""
    return sum(t.square().sum().item() for t in tensors)


@torch.no_grad()
def loss_of(net: nn.Module, task) -> float:
    """Return the loss of two thousand training samples."""
    return functional.cross_entropy(net(task.x[:2000]), task.y[:2000]).item()


def fitted(steps: dict[int, float]) -> tuple[float, float]:
    """Return ``S`` and ``B*`` of ``steps = S (1 + B* / batch)``, by least squares.

    Errors are relative. McCandlish, Kaplan and Amodei 2018, equation 2.11.
    """
    table = [[1 / s, 1 / (b * s)] for b, s in steps.items()]
    rows = torch.tensor(table, dtype=torch.float64)
    least, samples = torch.linalg.lstsq(rows, torch.ones_like(rows[:, :1])).solution
    return least.item(), (samples / least).item()
