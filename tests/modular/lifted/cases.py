"""How to call every public name of the family; read by tests/test_docs.py."""

from functools import partial

import torch

import modular.lifted as m

r, kappa = torch.ones(5, 2), torch.zeros(5, 2)
net = partial(m.mlp, inputs=3, width=2)


x = torch.ones(5, 3)


def net_of() -> m.BregmanNet:
    """Return one layer."""
    return m.BregmanNet([3, 2], [m.ReLU()])


COST = {"r": r, "kappa": kappa}
CALLS = {
    "Quadratic": lambda: (m.Quadratic, {"beta": 1.0}),
    "Quadratic.cost": lambda: (m.Quadratic(1.0).cost, COST),
    "Quadratic.credit": lambda: (m.Quadratic(1.0).credit, COST),
    "Quadratic.ascend": lambda: (m.Quadratic(1.0).ascend, COST),
    "AugmentedLagrangian": lambda: (m.AugmentedLagrangian, {"beta": 1.0}),
    "Free": lambda: (m.Free, {"samples": 7, "rate": 1.0}),
    "SPH": lambda: (m.SPH, {"samples": 7}),
    "AuxNet": lambda: (m.AuxNet, {"net": net, "rate": 1.0}),
    "Lifted": lambda: (
        m.Lifted,
        {"penalty": m.Quadratic(1.0), "states": m.SPH(samples=7)},
    ),
    "Identity": lambda: (m.Identity, {}),
    "ReLU": lambda: (m.ReLU, {}),
    "HardTanh": lambda: (m.HardTanh, {}),
    "SoftThreshold": lambda: (m.SoftThreshold, {"theta": 1.0}),
    "Tanh": lambda: (m.Tanh, {}),
    "Softmax": lambda: (m.Softmax, {}),
    "BregmanNet": lambda: (
        m.BregmanNet,
        {"sizes": [3, 2], "activations": [m.ReLU()]},
    ),
    "BregmanNet.states": lambda: (net_of().states, {"x": x}),
    "BregmanNet.inputs": lambda: (net_of().inputs, {"x": x, "states": [r]}),
    "BregmanNet.energy": lambda: (net_of().energy, {"x": x, "states": [r]}),
    "ImplicitSGD": lambda: (m.ImplicitSGD, {"tau": 1.0}),
    "ImplicitSGD.step": lambda: (
        m.ImplicitSGD(tau=1.0).step,
        {"net": net_of(), "x": x, "y": r},
    ),
    "mlp": lambda: (m.mlp, {"shape": torch.Size([2]), "inputs": 3, "width": 2}),
}
