"""Modules that learn locally: training without end-to-end backpropagation.

>>> import torch
>>> from functools import partial
>>> from modular import DGL, Backprop, Interlocking, Partition, Trainer
>>> layers = [torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)]
>>> batch = torch.randn(16, 4), torch.arange(16) % 3
>>> adam = partial(torch.optim.Adam, lr=1e-2)
>>> for method in (Backprop(), DGL(), Interlocking(2)):  # the swap is one line
...     partition = Partition(layers, modules=2, sample=batch[0])
...     history = Trainer(partition, method, optimizer=adam).fit([batch], epochs=3)

Certificates (``audit``), data sets (``tasks``) and pictures (``plot``) are loaded when
they are first asked for.
"""

import importlib
from typing import TYPE_CHECKING

from modular.methods import (
    DGL,
    Backprop,
    DifferenceTargets,
    Greedy,
    Interlocking,
    KernelModules,
    SyntheticGradients,
    TransportGreedy,
    few_labels,
    transferability,
)
from modular.objectives import (
    HSIC,
    Goodness,
    InfoPro,
    Kernel,
    LengthNorm,
    Pred,
    PredSim,
    Sim,
    goodness_scores,
)
from modular.objectives import kernel as kernel  # the proxies, under a short name
from modular.partition import Partition
from modular.training import Options, Trainer
from modular.transport import Calibrated, InProcess, Processes

if TYPE_CHECKING:
    from modular import audit
    from modular.tasks import digits, openml, pair_sum

__all__ = [
    # the network
    "Partition",
    # objectives
    "Goodness",
    "HSIC",
    "InfoPro",
    "Kernel",
    "LengthNorm",
    "Pred",
    "PredSim",
    "Sim",
    "goodness_scores",
    # methods
    "Backprop",
    "DGL",
    "DifferenceTargets",
    "Greedy",
    "Interlocking",
    "KernelModules",
    "SyntheticGradients",
    "TransportGreedy",
    # training
    "InProcess",
    "Options",
    "Processes",
    "Trainer",
    "Calibrated",
    # transfer
    "few_labels",
    "transferability",
    # tasks
    "digits",
    "openml",
    "pair_sum",
    # certificates
    "audit",
]

_LAZY = dict.fromkeys(("digits", "openml", "pair_sum"), "modular.tasks")


def __getattr__(name: str) -> object:
    """Load what is not part of the core when it is first asked for."""
    if name in _LAZY:
        found = getattr(importlib.import_module(_LAZY[name]), name)
    elif name in ("audit", "plot", "tasks"):
        found = importlib.import_module(f"modular.{name}")
    else:
        raise AttributeError(f"module 'modular' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
