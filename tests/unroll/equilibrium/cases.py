"""How to call every public name of the family; read by tests/test_docs.py."""

import torch

import unroll.equilibrium as e

SIZES = {"states": 4, "inputs": 2}
AT = {"step": torch.cos, "z": torch.rand(3, 4)}
FROM = {"z0": torch.zeros(3, 4)}

CALLS = {
    "Anderson": lambda: (e.Anderson, {}),
    "Broyden": lambda: (e.Broyden, {}),
    "Picard": lambda: (e.Picard, {}),
    "FixedPoint": lambda: (e.Picard().__call__, {"step": torch.cos} | FROM),
    "Equilibrium": lambda: (e.Equilibrium, {"step": e.ContractiveLayer(**SIZES)}),
    "Equilibrium.solve": lambda: (e.Equilibrium(torch.cos).solve, FROM),
    "IFT": lambda: (e.IFT, {}),
    "JacobianFree": lambda: (e.JacobianFree, {}),
    "NeumannPhantom": lambda: (e.NeumannPhantom, {}),
    "UnrolledPhantom": lambda: (e.UnrolledPhantom, {}),
    "Through": lambda: (e.Through, {}),
    "ContractiveLayer": lambda: (e.ContractiveLayer, SIZES),
    "MonotoneLayer": lambda: (e.MonotoneLayer, SIZES),
    "jacobian_penalty": lambda: (e.jacobian_penalty, AT),
    "spectral_radius": lambda: (e.spectral_radius, AT),
}
