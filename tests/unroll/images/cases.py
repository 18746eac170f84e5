"""One of every network and operator, and how to call every public name."""

import torch

import unroll.images as i
from unroll.operators import (
    Blur,
    Convolution,
    FourierSample,
    Mask,
    Matrix,
    Operator,
    Ray,
)
from unroll.training import LastNMSE

SIZE = (6, 7)  # height, width
DEPTH = 3


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed))


OPERATORS = {
    "Matrix": lambda: Matrix(draw(20, 42), SIZE),
    "Mask": lambda: Mask.random(SIZE, 0.5, seeded()),
    "Blur": lambda: Blur(draw(3, 2), SIZE),
    "FourierSample": lambda: FourierSample.random(SIZE, 0.4, seeded()),
    "Ray": lambda: Ray(SIZE, 5),
    "Convolution": lambda: Convolution(draw(3, 4, 2), SIZE),
}

TIGHT = {"tol": 1e-14, "iterations": 1000}

NETWORKS = {
    "ISTANet": lambda A: i.ISTANet(A, DEPTH, channels=4, generator=seeded()),
    "ISTANet plus": lambda A: i.ISTANet(
        A, DEPTH, channels=4, plus=True, generator=seeded()
    ),
    "ADMMNet": lambda A: i.ADMMNet(A, DEPTH, channels=3, generator=seeded(), **TIGHT),
    "ADMMNet tied": lambda A: i.ADMMNet(
        A, DEPTH, channels=3, tied=True, generator=seeded(), **TIGHT
    ),
    "LearnedPrimalDual": lambda A: i.LearnedPrimalDual(
        A, DEPTH, channels=4, generator=seeded()
    ),
    "MoDL": lambda A: i.MoDL(A, DEPTH, channels=3, generator=seeded(), **TIGHT),
}


def disturbed(net: torch.nn.Module, amount: float = 0.1) -> torch.nn.Module:
    """Move every parameter, so that nothing is at its start, where much is 0."""
    generator = seeded(7)
    with torch.no_grad():
        for p in net.parameters():
            p += amount * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return net


def pair(A: Operator, batch: int = 2, seed: int = 1) -> tuple:
    """Return measurements and images of two channels, or the maps of a dictionary."""
    inner = A.domain if len(A.domain) == 3 else (2, *A.domain)
    x = draw(batch, *inner, seed=seed)
    return A(x), x


def symmetric() -> tuple:
    A = OPERATORS["Blur"]()
    net, b = NETWORKS["ISTANet"](A), pair(A)[0]
    return net, {"b": b, "iterates": net.iterates(b)}


def with_symmetry(method: str) -> tuple:
    net, given = symmetric()
    x = pair(net.A)[1]
    loss = i.SymmetryLoss(LastNMSE())
    return getattr(loss, method), given | {"net": net, "x": x}


CALLS = {
    "ISTANet": lambda: (i.ISTANet, {"A": OPERATORS["Blur"]()}),
    "ISTANet.symmetry": lambda: (symmetric()[0].symmetry, symmetric()[1]),
    "ADMMNet": lambda: (i.ADMMNet, {"A": OPERATORS["Mask"]()}),
    "LearnedPrimalDual": lambda: (i.LearnedPrimalDual, {"A": OPERATORS["Ray"]()}),
    "MoDL": lambda: (i.MoDL, {"A": OPERATORS["FourierSample"]()}),
    "PiecewiseLinear": lambda: (i.PiecewiseLinear, {"channels": 2, "theta": 0.1}),
    "SymmetryLoss": lambda: (i.SymmetryLoss, {"objective": LastNMSE()}),
    "SymmetryLoss.loss": lambda: with_symmetry("loss"),
    "SymmetryLoss.measure": lambda: with_symmetry("measure"),
    "regularised_solve": lambda: (
        i.regularised_solve,
        {"A": Matrix(draw(3, 4)), "rhs": draw(2, 4), "rho": torch.tensor(0.5)},
    ),
}
