"""How to call every public name of the family; read by tests/test_docs.py."""

import torch
from torch import nn

import modular.compact as c

v, x = torch.randn(4, 8), torch.randn(5, 8)
images = torch.randn(2, 3, 8, 8)
z = torch.randn(5, 3)


def moved() -> c.Movement:
    layer = nn.Linear(8, 2)
    movement = c.Movement([layer])
    layer(x).sum().backward()
    movement.see()
    return movement


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))


CALLS = {
    "STE": lambda: (c.STE, {"bits": 3}),
    "DoReFa": lambda: (c.DoReFa, {"bits": 3}),
    "LSQ": lambda: (c.LSQ, {"bits": 3}),
    "quantize_weights": lambda: (
        c.quantize_weights,
        {"model": net(), "quantizer": c.STE(3)},
    ),
    "export_int8": lambda: (
        c.export_int8,
        {"model": c.quantize_weights(net(), c.STE(3))},
    ),
    "BinaryLinear": lambda: (c.BinaryLinear, {"in_features": 8, "out_features": 2}),
    "BinaryLinear.rounded": lambda: (c.BinaryLinear(8, 2).rounded, {}),
    "BinaryConv2d": lambda: (
        c.BinaryConv2d,
        {"in_channels": 3, "out_channels": 2, "kernel_size": 3},
    ),
    "distill": lambda: (c.distill, {"student": z, "teacher": z, "temperature": 2.0}),
    "Movement": lambda: (c.Movement, {"layers": [nn.Linear(8, 2)]}),
    "Movement.see": lambda: (moved().see, {}),
    "Movement.prune": lambda: (moved().prune, {"share": 0.5}),
    "shrink": lambda: (c.shrink, {"model": net(), "share": 0.5}),
    "Size": lambda: (c.size_report, {"model": net()}),
    "size_report": lambda: (c.size_report, {"model": net()}),
    "separable_ratio": lambda: (c.separable_ratio, {"channels": 64, "kernel": 3}),
}
