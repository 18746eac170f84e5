"""Continuous depth: layers that are steps of a differential equation.

>>> import torch
>>> from torch import nn
>>> from unroll.ode import RK4, Discrete, odeint
>>> class Field(nn.Module):
...     def __init__(self):
...         super().__init__()
...         self.net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
...
...     def forward(self, t, x):
...         return self.net(x)
>>> field, t = Field(), torch.linspace(0, 1, 101)
>>> x = odeint(field, torch.ones(5, 2), t, RK4, Discrete(checkpoints=8))
>>> x.square().sum().backward()  # exact for the hundred steps; eight states were kept
"""

from unroll.ode.adaptive import Adaptive, Steps
from unroll.ode.adjoints import Continuous, Discrete, Through
from unroll.ode.cams import FreeStages, StoreStages, cams, cams_extra_steps
from unroll.ode.dirk import CRANK_NICOLSON, DIRK, IMPLICIT_EULER, SDIRK2
from unroll.ode.horizon import Horizon
from unroll.ode.imex import ARK2, IMEX, Split
from unroll.ode.odeint import odeint
from unroll.ode.online import Online, online
from unroll.ode.schedule import (
    Advance,
    Free,
    Restore,
    Reverse,
    Store,
    extra_steps,
    revolve,
    store_all,
)
from unroll.ode.snopt import SNOpt, gauss_newton
from unroll.ode.tableau import BOSH3, DOPRI5, EULER, MIDPOINT, RK4, Embedded, Tableau

__all__ = [
    "ARK2",
    "Adaptive",
    "Advance",
    "BOSH3",
    "CRANK_NICOLSON",
    "Continuous",
    "DIRK",
    "DOPRI5",
    "Discrete",
    "EULER",
    "Embedded",
    "Free",
    "FreeStages",
    "Horizon",
    "IMEX",
    "IMPLICIT_EULER",
    "MIDPOINT",
    "Online",
    "RK4",
    "Restore",
    "Reverse",
    "SDIRK2",
    "SNOpt",
    "Split",
    "Steps",
    "Store",
    "StoreStages",
    "Tableau",
    "Through",
    "cams",
    "cams_extra_steps",
    "extra_steps",
    "gauss_newton",
    "odeint",
    "online",
    "revolve",
    "store_all",
]
