"""How to call every public name of the family; read by tests/test_docs.py."""

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import modular.communication as c

g = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
signs = c.Sign()
exact = {"rate": 0.1, "batch": 512, "base": 256}


def weights() -> list[nn.Parameter]:
    w = nn.Parameter(torch.ones(2, 2))
    w.grad = g.clone()
    return [w]


def wrapped() -> DistributedDataParallel:
    store = dist.HashStore()
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        return DistributedDataParallel(nn.Linear(2, 2))
    finally:
        dist.destroy_process_group()


CALLS = {
    "TopK": lambda: (c.TopK, {"share": 0.5}),
    "RandomK": lambda: (c.RandomK, {"share": 0.5}),
    "QSGD": lambda: (c.QSGD, {"levels": 7}),
    "Sign": lambda: (c.Sign, {}),
    "TernGrad": lambda: (c.TernGrad, {}),
    "ErrorFeedback": lambda: (c.ErrorFeedback, {"compressor": signs}),
    "Exchange": lambda: (c.Exchange, {"compressor": signs}),
    "Exchange.attach": lambda: (c.Exchange(signs).attach, {"model": wrapped()}),
    "LocalSGD": lambda: (c.LocalSGD, {"parameters": weights(), "period": 2}),
    "LocalSGD.average": lambda: (c.LocalSGD(weights(), 2).average, {}),
    "LARS": lambda: (c.LARS, {"params": weights(), "lr": 0.1}),
    "LAMB": lambda: (c.LAMB, {"params": weights(), "lr": 0.1}),
    "noise_scale": lambda: (
        c.noise_scale,
        {"small_square": 5.0, "large_square": 2.0, "small": 1, "large": 4},
    ),
    "linear_rate": lambda: (c.linear_rate, exact),
    "root_rate": lambda: (c.root_rate, exact),
}
