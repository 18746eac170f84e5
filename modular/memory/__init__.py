"""Where the memory of training goes, and what of it can be had back.

Parameters, gradients and the optimiser's states are shared out among workers
(``zero``); activations wait for the backward pass, and may wait in fewer bytes. How far
off a remembered activation may be follows from the noise that its gradient may have.

>>> import torch
>>> from torch import nn
>>> from modular.memory import LinearQuantizer, compressed_activations
>>> model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
>>> x = torch.randn(128, 64)
>>> with compressed_activations(model, LinearQuantizer(0.05)) as kept:
...     loss = model(x).square().mean()
>>> loss.backward()
>>> kept.plain / kept.peak > 4
True
"""

from modular.memory.bits import BitAllocator
from modular.memory.codec import Identity
from modular.memory.compressed import compressed_activations
from modular.memory.groupwise import Groupwise
from modular.memory.linear_quantizer import LinearQuantizer
from modular.memory.sigma import SigmaController, predicted_sigma
from modular.memory.sz3 import SZ3
from modular.memory.zero import Shares, zero

__all__ = [
    # activations
    "compressed_activations",
    # in what
    "Groupwise",
    "Identity",
    "LinearQuantizer",
    "SZ3",
    # how exact
    "BitAllocator",
    "SigmaController",
    "predicted_sigma",
    # all the rest
    "Shares",
    "zero",
]
