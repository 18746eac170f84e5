"""How to call every public name of unroll, one line each; read by tests/test_docs.py.

Sizes differ from one another, so that a documented shape cannot be right by chance.
"""

import torch

from unroll import (
    SparseCoding,
    amp,
    dct_dictionary,
    fista,
    image_patches,
    ista,
    nmse_db,
    recovery_bounds,
    soft_threshold,
)

A, b, x = torch.rand(4, 5), torch.rand(3, 4), torch.rand(3, 5)
problem = SparseCoding(A, density=0.5, snr_db=20.0)
lasso = {"A": A, "b": b, "lam": 0.1, "x0": x, "iterations": 6, "keep_iterates": True}

CALLS = {
    "soft_threshold": lambda: (soft_threshold, {"v": x, "theta": torch.rand(3, 1)}),
    "SparseCoding": lambda: (SparseCoding, {"A": A}),
    "SparseCoding.gaussian": lambda: (SparseCoding.gaussian, {"m": 4, "n": 5}),
    "SparseCoding.sample": lambda: (problem.sample, {"batch": 3}),
    "dct_dictionary": lambda: (dct_dictionary, {"size": 2, "atoms": 9}),
    "image_patches": lambda: (image_patches, {"size": 2, "count": 3}),
    "LassoResult": lambda: (ista, lasso | {"lam": torch.rand(3)}),
    "amp": lambda: (amp, {"A": A, "b": b, "iterations": 6, "keep_iterates": True}),
    "fista": lambda: (fista, lasso),
    "ista": lambda: (ista, lasso),
    "RecoveryBounds": lambda: (recovery_bounds, {"problem": problem, "batch": 3}),
    "nmse_db": lambda: (nmse_db, {"x_hat": torch.rand(6, 3, 5), "x": x}),
    "recovery_bounds": lambda: (recovery_bounds, {"problem": problem, "batch": 3}),
}
