"""Blind deblurring: neither the image nor the kernel that blurred it is known.

``b = k * x`` with a kernel ``k`` that is not negative and sums to 1. Half-quadratic
splitting works on filtered images, whose few large entries are edges; :class:`DUBLID`
learns filters, thresholds and weights of a few of its iterations.

>>> import torch
>>> from unroll.blind import DUBLID
>>> from unroll.problems import BlindDeblurring, Ellipses
>>> problem = BlindDeblurring(Ellipses((24, 24)), kernel=(5, 5))
>>> b, x, k = problem.sample(3, torch.Generator().manual_seed(0))
>>> image, kernel = DUBLID(kernel=(5, 5))(b)
>>> image.shape, kernel.shape, bool((kernel.sum(dim=(1, 2)) - 1).abs().max() < 1e-5)
(torch.Size([3, 1, 24, 24]), torch.Size([3, 5, 5]), True)
"""

from unroll.blind.dublid import DUBLID
from unroll.blind.half_quadratic import half_quadratic

__all__ = ["DUBLID", "half_quadratic"]
