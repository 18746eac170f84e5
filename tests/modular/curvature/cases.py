"""How to call every public name of the family; read by tests/test_docs.py."""

import torch
from torch import nn

import modular.curvature as c

A, G, W = torch.eye(3), 2 * torch.eye(2), torch.ones(2, 3)


def ready() -> c.KFAC:
    net = nn.Linear(3, 2)
    kfac = c.KFAC(net, torch.optim.SGD(net.parameters(), lr=0.1))
    net(torch.rand(4, 3)).square().mean().backward()
    return kfac


def given() -> dict:
    net = nn.Linear(3, 2)
    return {"model": net, "optimizer": torch.optim.SGD(net.parameters(), lr=0.1)}


CALLS = {
    "Eigen": lambda: (c.Eigen, {}),
    "PiSplit": lambda: (c.PiSplit, {}),
    "Replicated": lambda: (c.Replicated, {}),
    "Fraction": lambda: (c.Fraction, {"fraction": 0.5}),
    "Owner": lambda: (c.Owner, {}),
    "Local": lambda: (c.Local, {}),
    "KFAC": lambda: (c.KFAC, given()),
    "KFAC.step": lambda: (ready().step, {}),
    "KFAC.state_dict": lambda: (ready().state_dict, {}),
    "KFAC.load_state_dict": lambda: (
        ready().load_state_dict,
        {"state": ready().state_dict()},
    ),
}
