"""How to call every public name of the family; read by tests/test_docs.py."""

import torch
from torch import nn

import modular.memory as m

x = torch.randn(4, 300)
model = nn.Sequential(nn.Linear(300, 5), nn.ReLU(), nn.Linear(5, 2))
exact, linear, group = m.Identity(), m.LinearQuantizer(0.1), m.Groupwise(4)


def stepped() -> m.SigmaController:
    controller = m.SigmaController(model)
    model(x).sum().backward()
    return controller


CALLS = {
    "Identity": lambda: (m.Identity, {}),
    "LinearQuantizer": lambda: (m.LinearQuantizer, {"bound": 0.1}),
    "SZ3": lambda: (m.SZ3, {"bound": 0.1}),
    "Groupwise": lambda: (m.Groupwise, {"bits": 4}),
    "BitAllocator": lambda: (
        m.BitAllocator,
        {"sizes": [9, 9], "sensitivities": [1.0, 2.0], "budget": 40},
    ),
    "SigmaController": lambda: (m.SigmaController, {"model": model}),
    "SigmaController.step": lambda: (stepped().step, {}),
    "SigmaController.remove": lambda: (m.SigmaController(model).remove, {}),
    "predicted_sigma": lambda: (
        m.predicted_sigma,
        {"bound": 0.1, "x": x, "dy": torch.ones(4, 5)},
    ),
    "compressed_activations": lambda: (
        m.compressed_activations,
        {"model": model, "codec": linear},
    ),
    "Shares": lambda: (
        m.Shares,
        {"parameters": (8, 8), "gradients": (8, 8), "states": (8, 8)},
    ),
    "zero": lambda: (m.zero, {"parameters": [x], "ranks": 2, "stage": 1}),
}
