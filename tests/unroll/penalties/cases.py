"""One of every penalty with points of a fitting shape."""

import torch

import unroll.penalties as p

generator = torch.Generator().manual_seed(0)


def draw(*shape, dtype=None):
    dtype = dtype or torch.get_default_dtype()
    return torch.empty(shape, dtype=dtype).normal_(generator=generator)


# name -> (penalty, shape of a sample, whether complex samples are welcome)
PENALTIES = {
    "L1": (p.L1(), (7,), True),
    "L1 of images": (p.L1(), (2, 3, 4), True),
    "NonNegativeL1": (p.NonNegativeL1(), (7,), False),
    "GroupL21": (p.GroupL21(3), (6,), True),
    "GroupL21 of rows": (p.GroupL21(4), (3, 4), True),
    "NuclearNorm": (p.NuclearNorm(), (4, 3), True),
    "NuclearNorm of two": (p.NuclearNorm(), (2, 3, 5), True),
    "TV": (p.TV(tol=1e-15), (4, 5), True),
    "TV of channels": (p.TV(tol=1e-15), (2, 3, 3), True),
}


class Length(p.Penalty):
    """A penalty of one's own, which inherits what the base class has."""

    def value(self, x):
        return x.norm(dim=1)

    def prox(self, v, theta):
        return v * (1 - theta / v.norm(dim=1, keepdim=True)).clamp(min=0)

    def polar(self, u):
        return u.norm(dim=1)


CALLS = {
    "Penalty": lambda: (Length, {}),
    "Penalty.value": lambda: (Length().value, {"x": draw(3, 7)}),
    "Penalty.prox": lambda: (Length().prox, {"v": draw(3, 7), "theta": 0.5}),
    "Penalty.polar": lambda: (Length().polar, {"u": draw(3, 7)}),
    "Penalty.conjugate": lambda: (Length().conjugate, {"u": draw(3, 7)}),
    "Penalty.project": lambda: (
        Length().project,
        {"u": draw(3, 7), "radius": torch.ones(3, 1)},
    ),
    "L1": lambda: (p.L1, {}),
    "NonNegativeL1": lambda: (p.NonNegativeL1, {}),
    "GroupL21": lambda: (p.GroupL21, {"size": 2}),
    "NuclearNorm": lambda: (p.NuclearNorm, {}),
    "TV": lambda: (p.TV, {}),
}
