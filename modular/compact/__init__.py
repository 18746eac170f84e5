"""Small networks for small devices: fewer bits, fewer weights, a large one's advice.

A network that was learned in floats is often too large for where it is to run.
Rounding while it learns lets it get used to few levels; pruning takes weights or whole
neurons out; a small network may listen to a large one, and not to labels only.

>>> import torch
>>> from torch import nn
>>> from modular.compact import LSQ, quantize_weights, size_report
>>> model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
>>> before = size_report(model).bytes
>>> before / size_report(quantize_weights(model, LSQ(bits=3))).bytes > 8
True
"""

from modular.compact.binary import BinaryConv2d, BinaryLinear
from modular.compact.distillation import distill
from modular.compact.dorefa import DoReFa
from modular.compact.fake_quant import quantize_weights
from modular.compact.int8 import export_int8
from modular.compact.lsq import LSQ
from modular.compact.pruning import Movement, shrink
from modular.compact.size import Size, separable_ratio, size_report
from modular.compact.ste import STE

__all__ = [
    # fewer bits
    "BinaryConv2d",
    "BinaryLinear",
    "DoReFa",
    "LSQ",
    "STE",
    "quantize_weights",
    # fewer weights
    "Movement",
    "shrink",
    # a large network's advice
    "distill",
    # how large it is
    "Size",
    "separable_ratio",
    "size_report",
    # where it runs
    "export_int8",
]
