"""Iterations as layers: networks unrolled from algorithms.

    >>> import torch
    >>> from unroll import SparseCoding, fista, nmse_db
    >>> generator = torch.Generator().manual_seed(0)
    >>> problem = SparseCoding.gaussian(100, 200, generator, density=0.05)
    >>> b, x = problem.sample(32, generator)
    >>> result = fista(problem.A, b, lam=0.02, tol=1e-4, restart=True)
    >>> bool(result.converged.all()), bool(nmse_db(result.x, x) < -25)
    (True, True)
"""

from unroll.metrics import RecoveryBounds, nmse_db, recovery_bounds
from unroll.problems import SparseCoding, dct_dictionary, image_patches
from unroll.prox import soft_threshold
from unroll.solvers import LassoResult, amp, fista, ista

__all__ = [
    # proximal maps
    "soft_threshold",
    # problems
    "SparseCoding",
    "dct_dictionary",
    "image_patches",
    # solvers
    "LassoResult",
    "amp",
    "fista",
    "ista",
    # metrics
    "RecoveryBounds",
    "nmse_db",
    "recovery_bounds",
]
