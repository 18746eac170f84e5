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
"""

from modular import audit
from modular.calibrated import Calibrated
from modular.credit import DGL, Backprop, Greedy, Interlocking
from modular.kernel import Kernel, KernelModules
from modular.objectives import (
    HSIC,
    Goodness,
    InfoPro,
    LengthNorm,
    Pred,
    PredSim,
    Sim,
    goodness_scores,
)
from modular.partition import Partition
from modular.processes import Processes
from modular.synthetic import SyntheticGradients
from modular.targets import DifferenceTargets
from modular.tasks import digits, openml, pair_sum
from modular.trainer import Trainer
from modular.transfer import few_labels, transferability
from modular.transport import InProcess

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
    # training
    "InProcess",
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
