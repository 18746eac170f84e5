"""One of every operator, for the contract tests and for ``tests/test_docs.py``."""

import torch

import unroll.operators as o

generator = torch.Generator().manual_seed(0)
SIZE = (6, 7)  # height, width


def draw(*shape, dtype=None):
    dtype = dtype or torch.get_default_dtype()
    return torch.empty(shape, dtype=dtype).normal_(generator=generator)


def complex_matrix():
    twice = torch.complex(torch.zeros(()), torch.zeros(())).dtype
    return o.Matrix(draw(4, 5, dtype=twice))


def mask():
    return draw(*SIZE) > 0


OPERATORS = {
    "Matrix": lambda: o.Matrix(draw(4, 5)),
    "tall Matrix": lambda: o.Matrix(draw(5, 4)),
    "Matrix of images": lambda: o.Matrix(draw(4, 42), SIZE),
    "complex Matrix": complex_matrix,
    "Mask": lambda: o.Mask(mask()),
    "random Mask": lambda: o.Mask.random(SIZE, 0.3, generator),
    "Blur": lambda: o.Blur(draw(3, 2), SIZE),
    "Blur, odd": lambda: o.Blur(draw(2, 3), (7, 6)),
    "Blur.gaussian": lambda: o.Blur.gaussian(0.8, SIZE, radius=2),
    "FourierSample": lambda: o.FourierSample(mask()),
    "FourierSample.random": lambda: o.FourierSample.random(SIZE, 0.4, generator),
    "Convolution": lambda: o.Convolution(draw(3, 4, 2), SIZE),
    "Ray": lambda: o.Ray(SIZE, 5),
    "Ray, few": lambda: o.Ray(SIZE, draw(4), detectors=4),
}


class Twice(o.Operator):
    def forward(self, x):
        return 2 * x

    def adjoint(self, b):
        return 2 * b


CALLS = {
    "Operator": lambda: (Twice, {"domain": (3,)}),
    "Operator.adjoint": lambda: (Twice((3,)).adjoint, {"b": draw(2, 3)}),
    "Operator.norm": lambda: (o.Operator.norm, {"self": OPERATORS["Ray"]()}),
    "Operator.zeros": lambda: (OPERATORS["Ray"]().zeros, {"batch": 3}),
    "Matrix": lambda: (o.Matrix, {"A": draw(4, 5)}),
    "Mask": lambda: (o.Mask, {"mask": mask()}),
    "Mask.random": lambda: (o.Mask.random, {"size": SIZE, "fraction": 0.5}),
    "Blur": lambda: (o.Blur, {"kernel": draw(3, 2), "size": SIZE}),
    "Blur.gaussian": lambda: (o.Blur.gaussian, {"std": 1.0, "size": (9, 9)}),
    "FourierSample": lambda: (o.FourierSample, {"mask": mask()}),
    "FourierSample.random": lambda: (
        o.FourierSample.random,
        {"size": SIZE, "fraction": 0.5},
    ),
    "Gradient": lambda: (o.Gradient, {}),
    "Convolution": lambda: (o.Convolution, {"atoms": draw(3, 4, 2), "size": SIZE}),
    "conjugate_gradients": lambda: (
        o.conjugate_gradients,
        {"M": lambda x: 2 * x, "rhs": draw(3, 4)},
    ),
    "Ray": lambda: (o.Ray, {"size": SIZE, "angles": draw(4)}),
}
