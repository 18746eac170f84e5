"""What ``A`` may be beside a matrix: linear maps with forward, adjoint and norm.

A photograph of 256 pixels a side behind a blur is a matrix of four billion entries. No
method needs them: ISTA asks for ``A x`` and ``A^* b``, and for the norm of ``A``. The
solvers take an operator wherever they take a matrix.

>>> import torch
>>> from unroll import fista
>>> from unroll.operators import Convolution
>>> generator = torch.Generator().manual_seed(0)
>>> A = Convolution(torch.randn(4, 5, 5, generator=generator), size=(16, 16))
>>> b = torch.rand(2, 1, 16, 16, generator=generator)  # two images
>>> fista(A, b, lam=0.1, iterations=10).x.shape  # four maps of coefficients each
torch.Size([2, 4, 16, 16])

An operator of your own is a subclass of ``Operator`` that says ``forward`` and
``adjoint``. That the two belong together is one line to test, the inner
products of random ``x`` and ``b``.
"""

from unroll.operators.base import Operator
from unroll.operators.blur import Blur
from unroll.operators.conjugate_gradients import conjugate_gradients
from unroll.operators.convolution import Convolution
from unroll.operators.fourier_sample import FourierSample
from unroll.operators.gradient import Gradient
from unroll.operators.mask import Mask
from unroll.operators.matrix import Matrix
from unroll.operators.ray import Ray

__all__ = [
    "Blur",
    "Convolution",
    "FourierSample",
    "Gradient",
    "Mask",
    "Matrix",
    "Operator",
    "Ray",
    "conjugate_gradients",
]
