"""Multilevel training: coarse steps in time, trust regions, curvature without a sign.

A residual network is Euler's method for a differential equation, and half as many steps
of twice the length are a cheaper picture of it. Steps of the cheap network are tried on
the dear one, and a trust region says how far to believe them.

>>> import torch
>>> from torch import nn
>>> from torch.nn.functional import mse_loss
>>> from modular.multilevel import LSR1, Constant, Point, Region, TimeHierarchy
>>> from modular.multilevel import TimeNet, VCycle
>>> blocks = [nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(8)]
>>> net = TimeNet(nn.Linear(2, 4), blocks, nn.Linear(4, 1), dt=1 / 8)
>>> hierarchy = TimeHierarchy(net, levels=2, weave=Constant())
>>> x, y = torch.randn(20, 2), torch.randn(20, 1)
>>> functions = [hierarchy.function(level, x, y, mse_loss) for level in range(2)]
>>> cycle = VCycle(hierarchy.transfers, [Region(1.0, LSR1(5)) for _ in range(2)])
>>> at = Point.at(functions[0], hierarchy.theta())
>>> for _ in range(5):
...     at, trials = cycle(functions, at)
>>> hierarchy.load(at.theta)
"""

from modular.multilevel.batches import ASNTR, Overlapping
from modular.multilevel.cycle import VCycle, coherent
from modular.multilevel.hierarchy import TimeHierarchy, TimeNet, TimeTransfer
from modular.multilevel.lsr1 import LSR1
from modular.multilevel.optimizer import TrustRegion
from modular.multilevel.region import Point, Region, Trial
from modular.multilevel.subproblem import Solution, solve
from modular.multilevel.weave import Constant, Linear

__all__ = [
    "ASNTR",
    "Constant",
    "LSR1",
    "Linear",
    "Overlapping",
    "Point",
    "Region",
    "Solution",
    "TimeHierarchy",
    "TimeNet",
    "TimeTransfer",
    "Trial",
    "TrustRegion",
    "VCycle",
    "coherent",
    "solve",
]
