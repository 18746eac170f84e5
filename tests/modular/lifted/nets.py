"""Lifted trainers on the small networks of the package's tests."""

from functools import partial

import torch
from torch import Tensor, nn

from modular import Trainer
from modular.lifted import (
    SPH,
    AugmentedLagrangian,
    AuxNet,
    Free,
    Lifted,
    Quadratic,
    mlp,
)
from tests.modular.nets import batch

ROWS = 12
METHODS = {
    "penalty": Lifted(Quadratic(1.0), Free(ROWS, rate=0.3)),
    "multipliers": Lifted(AugmentedLagrangian(1.0), Free(ROWS, rate=0.3)),
    "sph": Lifted(AugmentedLagrangian(1.0), SPH(ROWS)),
    "auxnet": Lifted(
        Quadratic(1.0), AuxNet(partial(mlp, inputs=5, width=16), rate=1.0, first=20)
    ),
}
still = partial(torch.optim.SGD, lr=0.0)


def data(method: Lifted, rows: int = ROWS, seed: int = 0) -> tuple:
    """Return a batch, with numbers where the method wants them."""
    x, y = batch(rows=rows, seed=seed)
    return (x, y, torch.arange(rows)) if method.states.indexed else (x, y)


def copies(trainer: Trainer) -> list[tuple[nn.Module, nn.Module]]:
    """Return both copies of the state at each cut."""
    heads = [block.head.parts for block in trainer.partition.blocks]
    pairs = zip(heads, heads[1:], strict=False)
    return [(left["state_out"], right["state_in"]) for left, right in pairs]


def set_states(trainer: Trainer, values: list[Tensor], kappas: list[Tensor]) -> None:
    """Write states and multipliers into both copies."""
    for pair, value, kappa in zip(copies(trainer), values, kappas, strict=True):
        for copy in pair:
            copy.values.copy_(value)
            copy.multipliers.copy_(kappa)
