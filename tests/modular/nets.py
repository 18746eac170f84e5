"""Small networks and data for the tests."""

from functools import partial

import torch
from torch import Tensor, nn

from modular import Partition, Trainer
from modular.partition import Head
from modular.training import Method

adam = partial(torch.optim.Adam, lr=1e-2)
sgd = partial(torch.optim.SGD, lr=1e-1)


def layers(
    depth: int = 4,
    width: int = 6,
    inputs: int = 5,
    classes: int = 3,
    norm: bool = False,
) -> list[nn.Module]:
    """Return ``depth`` blocks, a linear classifier inside the last; seeded."""
    torch.manual_seed(3)
    stages = []
    for k in range(depth):
        stage = [nn.Linear(inputs if k == 0 else width, width)]
        stage += [nn.BatchNorm1d(width)] * norm + [nn.Tanh()]
        stage += [nn.Linear(width, classes)] * (k == depth - 1)
        stages.append(nn.Sequential(*stage))
    return stages


def batch(rows: int = 12, inputs: int = 5, classes: int = 3, seed: int = 0) -> tuple:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, inputs, generator=generator)
    return x, torch.randint(classes, (rows,), generator=generator)


def partition(modules: int = 4, **options) -> Partition:
    x, _ = batch()
    heads = torch.Generator().manual_seed(5)
    head = options.pop("head", "linear")
    return Partition(layers(**options), modules, sample=x, head=head, generator=heads)


def trainer(method: Method, modules: int = 4, optimizer=adam, **options) -> Trainer:
    chance = torch.Generator().manual_seed(7)
    return Trainer(
        partition(modules, **options), method, optimizer=optimizer, generator=chance
    )


def weights(trainer: Trainer) -> list[Tensor]:
    """Return copies of the parameters of the network, heads left out."""
    blocks = trainer.partition.blocks
    return [p.detach().clone() for block in blocks for p in block.net.parameters()]


def distance(a: list[Tensor], b: list[Tensor]) -> float:
    pairs = zip(a, b, strict=True)
    return max(float((x - y).detach().abs().max()) for x, y in pairs)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def head(classes: int = 3, width: int = 4) -> Head:
    return Head(nn.Linear(width, classes), classes)
