"""How to call every public name of the family; read by tests/test_docs.py."""

import torch
from torch import nn
from torch.nn import functional

import modular.multilevel as m

theta, s, y = torch.ones(4), torch.eye(4)[0], 2 * torch.eye(4)[0]


def bowl(t):
    return t @ t / 2, t


def known() -> m.LSR1:
    """Return a matrix with one pair."""
    B = m.LSR1(memory=2)
    B.update(s, y)
    return B


def net() -> m.TimeNet:
    """Return a network of four steps."""
    blocks = [nn.Linear(2, 2) for _ in range(4)]
    return m.TimeNet(nn.Linear(3, 2), blocks, nn.Linear(2, 1), dt=0.25)


def hierarchy() -> m.TimeHierarchy:
    """Return two levels of it."""
    return m.TimeHierarchy(net(), levels=2, weave=m.Constant())


def region() -> m.Region:
    """Return a young one."""
    return m.Region(1.0, m.LSR1(memory=2))


def asntr() -> m.ASNTR:
    """Return a method on nine samples."""
    return m.ASNTR(region(), rows=9, size=3)


X = {"x": torch.ones(5, 3), "y": torch.ones(5, 1)}
AT = m.Point.at(bowl, theta)
CALLS = {
    "LSR1": lambda: (m.LSR1, {"memory": 2}),
    "LSR1.update": lambda: (known().update, {"s": theta, "y": 3 * theta}),
    "LSR1.multiply": lambda: (known().multiply, {"v": theta}),
    "LSR1.dense": lambda: (known().dense, {"n": 4}),
    "LSR1.spectrum": lambda: (known().spectrum, {}),
    "solve": lambda: (m.solve, {"B": known(), "g": theta, "radius": 1.0}),
    "Solution": lambda: (
        m.Solution,
        {"p": s, "sigma": 0.0, "predicted": 1.0, "hard": False},
    ),
    "Trial": lambda: (
        m.Trial,
        {"ratio": 1.0, "accepted": True, "predicted": 1.0, "length": 1.0},
    ),
    "Point": lambda: (m.Point, {"theta": theta, "value": s.sum(), "gradient": y}),
    "Point.at": lambda: (m.Point.at, {"f": bowl, "theta": theta}),
    "Region": lambda: (m.Region, {"radius": 1.0, "curvature": known()}),
    "Region.step": lambda: (region().step, {"f": bowl, "at": AT}),
    "Region.learn": lambda: (region().learn, {"s": s, "start": AT, "end": AT}),
    "Region.judge": lambda: (
        region().judge,
        {"at": AT, "there": AT, "predicted": 1.0},
    ),
    "coherent": lambda: (
        m.coherent,
        {"coarse": bowl, "start": AT, "gradient": theta},
    ),
    "VCycle": lambda: (m.VCycle, {"transfers": [], "regions": [region()]}),
    "VCycle.nested": lambda: (
        m.VCycle([], [region()]).nested,
        {"functions": [bowl], "theta": theta, "steps": 2},
    ),
    "TimeNet": lambda: (
        m.TimeNet,
        {
            "opening": nn.Linear(3, 2),
            "blocks": [nn.Linear(2, 2)],
            "closing": nn.Linear(2, 1),
            "dt": 1.0,
        },
    ),
    "Constant": lambda: (m.Constant, {}),
    "Linear": lambda: (m.Linear, {}),
    "TimeTransfer": lambda: (
        m.TimeTransfer,
        {"weave": m.Constant(), "steps": 2, "sizes": (1, 3, 1), "like": theta},
    ),
    "TimeHierarchy": lambda: (
        m.TimeHierarchy,
        {"net": net(), "levels": 2, "weave": m.Constant()},
    ),
    "TimeHierarchy.theta": lambda: (hierarchy().theta, {}),
    "TimeHierarchy.load": lambda: (
        hierarchy().load,
        {"theta": torch.ones(35)},
    ),
    "TimeHierarchy.function": lambda: (
        hierarchy().function,
        X | {"level": 0, "loss": functional.mse_loss},
    ),
    "TrustRegion": lambda: (m.TrustRegion, {"params": [nn.Parameter(theta.clone())]}),
    "ASNTR": lambda: (m.ASNTR, {"region": region(), "rows": 9, "size": 3}),
    "ASNTR.step": lambda: (
        asntr().step,
        {"on": lambda index: bowl, "theta": theta},
    ),
    "Overlapping": lambda: (m.Overlapping, {"rows": 9, "size": 3}),
    "Overlapping.epoch": lambda: (m.Overlapping(9, 3).epoch, {}),
    "Overlapping.grow": lambda: (
        m.Overlapping(9, 3).grow,
        {"actual": 1.0, "promised": 1.0},
    ),
}
