"""How to call every public name of the family; read by tests/test_docs.py."""

import torch

import unroll.parts as p

W, b = torch.rand(5, 3), torch.rand(4, 5)
drawn = {"iterations": 6, "generator": torch.Generator().manual_seed(0)}

CALLS = {
    "DeepNMF": lambda: (p.DeepNMF, {"A": W}),
    "NMFResult": lambda: (p.NMFResult, vars(p.nmf(b, 3, **drawn))),
    "multiplicative_updates": lambda: (
        p.multiplicative_updates,
        {"W": W, "b": b, "h0": torch.ones(4, 3)},
    ),
    "nmf": lambda: (p.nmf, {"b": b, "k": 3} | drawn),
}
