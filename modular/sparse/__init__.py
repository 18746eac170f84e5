"""Truly sparse training: layers that have, and pay for, few of their connections.

A mask on a dense matrix saves nothing. Here a layer holds the values of its connections
and where they stand, and both passes cost what the connections cost. Which connections
there are changes while the network learns: weak ones go, others come. A server and its
workers are in ``modular.sparse.wasap``.

>>> import torch
>>> from torch import nn
>>> from modular.sparse import SET, AllReLU, SparseLinear, sparse_layers
>>> model = nn.Sequential(
...     SparseLinear(64, 256, epsilon=10), AllReLU(0.6, layer=0), SparseLinear(256, 10)
... )
>>> optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
>>> topology = SET(sparse_layers(model)[:-1], share=0.3, optimizer=optimizer)
>>> x, target = torch.randn(32, 64), torch.randint(10, (32,))
>>> for epoch in range(3):
...     optimizer.zero_grad()
...     nn.functional.cross_entropy(model(x), target).backward()
...     optimizer.step()
...     moved = topology.step()
>>> sum(layer.connections for layer in sparse_layers(model))
5760
"""

from modular.sparse.activation import AllReLU
from modular.sparse.average import sparse_average
from modular.sparse.importance import importance, importance_prune
from modular.sparse.linear import SparseLinear
from modular.sparse.momentum_growth import MomentumGrowth
from modular.sparse.pattern import erdos_renyi
from modular.sparse.rigl import RigL
from modular.sparse.set import SET
from modular.sparse.topology import sparse_layers
from modular.sparse.wiring import rewire

__all__ = [
    # what is sparse
    "AllReLU",
    "SparseLinear",
    "erdos_renyi",
    "sparse_layers",
    # connections that move
    "MomentumGrowth",
    "RigL",
    "SET",
    "rewire",
    # connections that go, and many networks that become one
    "importance",
    "importance_prune",
    "sparse_average",
]
