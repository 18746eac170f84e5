"""Inverse problems: what numbers in an equation are, from measurements of its solution.

An :class:`Unknown` stands in the flux, the source or a condition in place of a number,
a :class:`Field` in place of a coefficient that varies.
Networks are trained with the equation and the data together; the classical twin solves
the equation by finite elements for every guess.

>>> import deepxde as dde
>>> import torch
>>> from pinn import Problem
>>> from pinn.inverse import Data, Unknown, classical
>>> C = Unknown("C", start=1.0, positive=True)
>>> line = dde.geometry.Interval(0, 1)
>>> ends = dde.icbc.DirichletBC(line, lambda x: 0 * x, lambda x, on: on)
>>> problem = Problem(
...     line, lambda x, u, p: -C() * p, lambda x, u: 1 + 0 * x, [ends], unknowns=[C]
... )
>>> x = torch.tensor([[0.25], [0.5]], dtype=torch.float64)
>>> found = classical(problem, Data(x, x * (1 - x) / 4, sigma=0.01))  # u for C = 2
>>> round(found.values["C"], 6)
2.0
"""

from pinn.inverse.classical import Classical, classical
from pinn.inverse.data import Data, with_data
from pinn.inverse.field import Field
from pinn.inverse.identify import Identified, identify
from pinn.inverse.information import Information, information
from pinn.inverse.smoothness import Smoothness
from pinn.inverse.unknown import Unknown

__all__ = [
    "Classical",
    "Data",
    "Field",
    "Identified",
    "Information",
    "Smoothness",
    "Unknown",
    "classical",
    "identify",
    "information",
    "with_data",
]
