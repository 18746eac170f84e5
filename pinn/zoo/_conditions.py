"""Conditions of the zoo's problems, as DeepXDE objects."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pinn._backend import dde

Exact = Callable[[Tensor], Tensor]


def everywhere(x: np.ndarray, on: bool) -> bool:
    """Take the whole boundary, or the whole initial line."""
    return on


def as_numpy(function: Exact) -> Callable[[np.ndarray], np.ndarray]:
    """Turn a torch function of points into a numpy one for DeepXDE's conditions."""

    def values(x: np.ndarray) -> np.ndarray:
        return function(torch.as_tensor(x, device="cpu")).numpy()

    return values


def dirichlet(geometry: object, exact: Exact, component: int = 0) -> object:
    """Prescribe one component of a solution on the whole boundary."""
    values = as_numpy(lambda x: exact(x)[:, component : component + 1])
    return dde.icbc.DirichletBC(geometry, values, everywhere, component=component)


def initial(geometry: object, exact: Exact) -> object:
    """Prescribe a solution at the first time."""
    return dde.icbc.IC(geometry, as_numpy(exact), everywhere)


def strip_of(left: float, right: float, end: float) -> object:
    """Make an interval in space by one in time."""
    return dde.geometry.GeometryXTime(
        dde.geometry.Interval(left, right), dde.geometry.TimeDomain(0, end)
    )
