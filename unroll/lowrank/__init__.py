"""A matrix that is low in rank, and a few entries of it that are wrong.

``Y = L + S``: of a clip ``L`` is the background, whose frames are alike, and ``S`` the
things that move. Principal component pursuit is convex and needs many singular value
decompositions; scaled gradient descent on the two factors of ``L`` needs one, and a
threshold for every iteration: :class:`LRPCA` learns those. :class:`CORONA` unrolls a
proximal gradient method for clips.

>>> import torch
>>> from unroll.lowrank import pcp
>>> from unroll.problems import LowRankPlusSparse
>>> problem = LowRankPlusSparse((40, 40), rank=2, outliers=0.05)
>>> Y, L = problem.sample(3, torch.Generator().manual_seed(0))
>>> bool((pcp(Y).low_rank - L).norm() < 1e-3 * L.norm())
True
"""

from unroll.lowrank.corona import CORONA
from unroll.lowrank.fit import fit, fit_tail
from unroll.lowrank.lrpca import LRPCA
from unroll.lowrank.pcp import PCPResult, pcp
from unroll.lowrank.scaled_gradient import scaled_gradient
from unroll.lowrank.singular import singular_value_threshold

__all__ = [
    "CORONA",
    "LRPCA",
    "PCPResult",
    "fit",
    "fit_tail",
    "pcp",
    "scaled_gradient",
    "singular_value_threshold",
]
