"""Auxiliary variables: the states between modules are unknowns of their own.

The chain of modules is cut by constraints ``lambda_k = f_k(lambda_{k-1})``. A penalty,
or multipliers as well, take the place of the constraints, and every module has a
problem of its own: no module waits for another, neither forwards nor backwards. Where
activations are proximal maps the cost can be a Bregman distance, and no activation is
differentiated: :class:`BregmanNet`.

>>> import torch
>>> from functools import partial
>>> from torch.utils.data import DataLoader, TensorDataset
>>> from modular import Partition, Trainer
>>> from modular.lifted import AugmentedLagrangian, Free, Lifted
>>> layers = [torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)]
>>> x, y = torch.randn(16, 4), torch.arange(16) % 3
>>> rows = TensorDataset(x, y, torch.arange(16))  # a state belongs to a sample
>>> method = Lifted(AugmentedLagrangian(beta=1.0), Free(samples=16, rate=0.5))
>>> partition = Partition(layers, 2, sample=x)
>>> adam = partial(torch.optim.Adam, lr=1e-2)
>>> trainer = Trainer(partition, method, optimizer=adam)
>>> history = trainer.fit(DataLoader(rows, 8), epochs=5)
"""

from modular.lifted.activations import (
    HardTanh,
    Identity,
    ReLU,
    Softmax,
    SoftThreshold,
    Tanh,
)
from modular.lifted.auxnet import AuxNet, mlp
from modular.lifted.bregman import BregmanNet, ImplicitSGD
from modular.lifted.free import Free
from modular.lifted.lifted import Lifted
from modular.lifted.penalties import AugmentedLagrangian, Quadratic
from modular.lifted.sph import SPH

__all__ = [
    "SPH",
    "AugmentedLagrangian",
    "AuxNet",
    "BregmanNet",
    "Free",
    "HardTanh",
    "Identity",
    "ImplicitSGD",
    "Lifted",
    "Quadratic",
    "ReLU",
    "SoftThreshold",
    "Softmax",
    "Tanh",
    "mlp",
]
