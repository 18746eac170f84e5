"""How to call every public name of the family; read by tests/test_docs.py."""

import torch

from pinn import HardConstraint, HardPINN, Problem
from pinn import inverse as i
from pinn._backend import dde

LINE = dde.geometry.Interval(0, 1)
ENDS = dde.icbc.DirichletBC(LINE, lambda x: 0 * x, lambda x, on: on)
HARD = HardConstraint(lambda x: 0 * x, lambda x: x * (1 - x))
X = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)[:, None]


def rod(*unknowns: i.Unknown) -> Problem:
    """``-C u'' = k``, both from unknowns if there are two, else ``k = 1``."""
    C, k = unknowns[0], unknowns[1] if len(unknowns) > 1 else lambda: 1.0
    return Problem(
        LINE,
        lambda x, u, p: -C() * p,
        lambda x, u: k() + 0 * x,
        [ENDS],
        hard=HARD,
        unknowns=unknowns,
    )


def measured(C: float = 2.0, sigma: float = 0.01) -> i.Data:
    """Return clean values of ``u = x (1 - x) / (2 C)``."""
    return i.Data(X, X * (1 - X) / (2 * C), sigma)


C = i.Unknown("C", 1.0, positive=True)
KNOTS = [[0.0, 0.5, 1.0]]
SMALL = HardPINN(20, hidden=(4,), resample=None)


def found() -> i.Identified:
    """Return a run of one step."""
    return i.identify(rod(C), measured(), SMALL, seeds=[0], iterations=1)


def info() -> i.Information:
    """Return the information of some data."""
    return i.classical(rod(C), measured(), elements=2).information


def field() -> i.Field:
    """Return a coefficient with three knots."""
    return i.Field("k", KNOTS, start=2.0)


CALLS = {
    "Field": lambda: (i.Field, {"name": "k", "grid": KNOTS, "start": 2.0}),
    "Field.set": lambda: (field().set, {"values": torch.ones(3)}),
    "Field.roughness": lambda: (field().roughness, {}),
    "Smoothness": lambda: (i.Smoothness, {"field": field(), "rho": 1.0}),
    "Smoothness.rows": lambda: (i.Smoothness(field(), 1.0).rows, {}),
    "Smoothness.condition": lambda: (
        i.Smoothness(field(), 1.0).condition,
        {"dim": 1, "scale": 1.0},
    ),
    "Unknown": lambda: (i.Unknown, {"name": "C", "start": 1.0}),
    "Unknown.set": lambda: (i.Unknown("C", 1.0).set, {"value": 2.0}),
    "Unknown.reset": lambda: (i.Unknown("C", 1.0).reset, {}),
    "Unknown.slope": lambda: (i.Unknown("C", 1.0).slope, {}),
    "Data": lambda: (i.Data, {"points": X, "values": X, "sigma": 0.1}),
    "Data.condition": lambda: (measured().condition, {}),
    "with_data": lambda: (i.with_data, {"problem": rod(C), "data": measured()}),
    "Information": lambda: (
        i.Information,
        {"names": ("C",), "values": torch.ones(1), "fisher": torch.ones(1, 1)},
    ),
    "Identified": lambda: (
        i.Identified,
        {"names": ("C",), "values": torch.ones(3, 1), "solutions": []},
    ),
    "Classical": lambda: (
        i.Classical,
        {"values": {}, "information": info(), "evaluations": 1, "seconds": 0.0},
    ),
    "classical": lambda: (
        i.classical,
        {"problem": rod(C), "data": measured(), "elements": 2},
    ),
    "identify": lambda: (
        i.identify,
        {
            "problem": rod(C),
            "data": measured(),
            "method": SMALL,
            "seeds": [0],
            "iterations": 1,
        },
    ),
    "information": lambda: (
        i.information,
        {"solution": found().solutions[0], "data": measured()},
    ),
}
