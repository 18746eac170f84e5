"""Problems to draw samples from: sparse codes, and images behind an operator.

>>> import torch
>>> from unroll import fista
>>> from unroll.penalties import TV
>>> from unroll.problems import Ellipses, Tomography
>>> problem = Tomography(Ellipses((12, 12)), angles=6)
>>> b, x = problem.sample(2, torch.Generator().manual_seed(0))  # sinograms, phantoms
>>> x_hat = fista(problem.A, b, lam=0.1, penalty=TV(tol=1e-6), iterations=20).x
>>> bool((x_hat - x).norm() < 0.5 * x.norm())
True
"""

from unroll.problems.blind import BlindDeblurring
from unroll.problems.images import Digits, Ellipses, Photographs
from unroll.problems.imaging import (
    CompressedSensing,
    Deblurring,
    Imaging,
    Inpainting,
    Tomography,
)
from unroll.problems.matrices import Clip, LowRankPlusSparse
from unroll.problems.mixtures import Mixtures
from unroll.problems.patches import dct_dictionary, image_patches
from unroll.problems.sparse_coding import SparseCoding

__all__ = [
    "BlindDeblurring",
    "Clip",
    "CompressedSensing",
    "Deblurring",
    "Digits",
    "Ellipses",
    "Imaging",
    "Inpainting",
    "LowRankPlusSparse",
    "Mixtures",
    "Photographs",
    "SparseCoding",
    "Tomography",
    "dct_dictionary",
    "image_patches",
]
