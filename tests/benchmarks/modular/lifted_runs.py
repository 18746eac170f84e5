"""What ``lifted`` runs: networks, methods, and the settings that each is tried with.

Every side of a part is tried with three settings, on one split of the digits that is
not among those reported, and reported with the best of them.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from modular import (
    DGL,
    Backprop,
    Greedy,
    Partition,
    Trainer,
    TransportGreedy,
    digits,
    pair_sum,
)
from modular.lifted import (
    SPH,
    AugmentedLagrangian,
    AuxNet,
    Free,
    Lifted,
    Quadratic,
    mlp,
)
from modular.tasks import Task
from modular.training import Method
from tests.benchmarks.modular.parts import WIDTH, layer

EPOCHS, FIRST = 20, 10
PAIRS = {"accuracy": 4000, "transport": 2000}

RATES = [{"lr": lr} for lr in (2e-3, 4e-3, 8e-3)]
BETAS = [{"lr": 4e-3, "beta": beta} for beta in (0.03, 0.1, 0.3)]
FROZEN = "control, hidden modules frozen"
GRID = {
    FROZEN: RATES,
    "backpropagation": RATES,
    "DGL": RATES,
    "penalty, free states": BETAS,
    "penalty, AuxNet": BETAS,
    "multipliers, SPH": BETAS,
}
FAST = [{"lr": lr} for lr in (4e-3, 8e-3, 1.6e-2)]
STIFF = [{"lr": 8e-3, "tau": tau} for tau in (100.0, 1000.0, 10000.0)]
GREEDY = {
    "greedy": FAST,
    "TRGL, one after another": STIFF,
    "DGL": FAST,
    "TRGL, all at once": STIFF,
}


class Residual(nn.Module):
    """A block that adds to what it takes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.change = nn.Sequential(*layer(width, width))

    def forward(self, h: Tensor) -> Tensor:
        """Return ``h`` plus the change. Shape ``(batch, width)``."""
        return h + self.change(h)


@dataclass
class Shifted:
    """Batches of pictures of 8 x 8, each moved by one pixel at most, anew each time."""

    loader: DataLoader
    generator: torch.Generator

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for x, *rest in self.loader:
            padded = functional.pad(x.view(-1, 8, 8), (1, 1, 1, 1))
            down, right = torch.randint(3, (2, len(x)), generator=self.generator)
            rows = (down[:, None] + torch.arange(8))[:, :, None]
            columns = (right[:, None] + torch.arange(8))[:, None]
            moved = padded[torch.arange(len(x))[:, None, None], rows, columns]
            yield (moved.flatten(1), *rest)


def task_of(part: str, generator: torch.Generator) -> Task:
    """Return the data of a part."""
    if part in PAIRS:
        return pair_sum(generator, train=PAIRS[part])
    return digits(generator)


def layers_of(part: str, inputs: int, generator: torch.Generator) -> list[nn.Module]:
    """Return six blocks, residual ones where transport is priced."""
    torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
    first = nn.Sequential(*layer(inputs, WIDTH))
    if part == "transport":
        return [first, *[Residual(WIDTH) for _ in range(5)], nn.Linear(WIDTH, 10)]
    blocks = [nn.Sequential(*layer(WIDTH, WIDTH)) for _ in range(5)]
    blocks[-1].append(nn.Linear(WIDTH, 10))
    return [first, *blocks]


def method_of(name: str, task: Task, setting: dict[str, float]) -> Method:
    """Return a method with a setting; states take the step that the penalty allows."""
    if "beta" in setting:
        beta, rows = setting["beta"], len(task.x)
        if name == "multipliers, SPH":
            return Lifted(AugmentedLagrangian(beta), SPH(rows))
        if name == "penalty, free states":
            return Lifted(Quadratic(beta), Free(rows, rate=0.9 / beta))
        net = partial(mlp, inputs=task.x.shape[1], width=128)
        return Lifted(Quadratic(beta), AuxNet(net, rate=0.5 / beta, first=FIRST))
    if "tau" in setting:
        return TransportGreedy(setting["tau"], laps=1 if "one after" in name else None)
    methods = {"backpropagation": Backprop, "DGL": DGL, "greedy": Greedy}
    return methods.get(name, Backprop)()


def train(
    part: str, name: str, setting: dict[str, float], seed: int
) -> dict[str, float]:
    """Train a method with a setting and a seed; return accuracy, memory and time."""
    generator = torch.Generator().manual_seed(seed)
    task = task_of(part, generator)
    method = method_of(name, task, setting)
    layers = layers_of(part, task.x.shape[1], generator)
    cuts = [1, 2, 3, 4, 5] if part == "transport" else [2, 4]
    sample = task.x[:1]
    partition = Partition(
        layers, cuts=cuts, sample=sample, head="mlp", generator=generator
    )
    if name == FROZEN:
        partition.freeze(0, 1)
    rows = [task.x, task.y]
    lifted = isinstance(method, Lifted)
    if lifted and method.states.indexed:
        rows.append(torch.arange(len(task.x)))
    order = torch.Generator().manual_seed(seed)
    data = TensorDataset(*rows)
    batch = 128 if part == "accuracy" else 256
    loader = DataLoader(data, batch, shuffle=True, drop_last=True, generator=order)
    if part == "augment":
        loader = Shifted(loader, generator)
    adam = partial(torch.optim.Adam, lr=setting["lr"], fused=True)
    trainer = Trainer(partition, method, optimizer=adam, generator=generator)
    start = time.process_time()
    if lifted and method.states.indexed:  # states of every sample, the last batch's too
        trainer.fit(DataLoader(data, 500), epochs=1, phases=[1])
    sweeps = lifted and method.states.sweeps  # each epoch passes twice over the data
    trainer.fit(loader, EPOCHS // 2 if sweeps else EPOCHS, phases=None)
    seconds = time.process_time() - start
    tables = [
        t.numel() * t.element_size()
        for block in partition.blocks
        for key, t in block.head.named_buffers()
        if key.endswith(("values", "multipliers"))
    ]
    return {
        "accuracy": round(100 * float(trainer.evaluate(task.test())[-1]), 2),
        "saved_bytes": int(trainer.history.saved_bytes[-1]),
        "stored_bytes": sum(tables),
        "seconds": round(seconds, 1),
    }
