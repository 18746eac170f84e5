"""How to call every public name of the family; read by tests/test_docs.py."""

import torch

import unroll.labels as p

scores, image = torch.rand(2, 4, 5, 6), torch.rand(2, 3, 5, 6)

CALLS = {
    "CRFRNN": lambda: (p.CRFRNN, {"labels": 4}),
    "mean_field": lambda: (p.mean_field, {"scores": scores, "image": image}),
}
