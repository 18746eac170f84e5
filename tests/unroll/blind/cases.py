"""How to call every public name of the family; read by tests/test_docs.py."""

import torch

import unroll.blind as p

b, filters = torch.rand(2, 1, 6, 7), torch.rand(4, 3, 3)

CALLS = {
    "DUBLID": lambda: (p.DUBLID, {"kernel": (3, 5), "filters": filters}),
    "half_quadratic": lambda: (
        p.half_quadratic,
        {"b": b, "filters": filters, "kernel": (3, 5)},
    ),
}
