"""Splitting methods unrolled, for images behind an operator.

Each network is the classical method named beside it, with something of it learned:
``ISTANet`` the sparse transform of ISTA, ``ADMMNet`` the shrinkage of ADMM,
``LearnedPrimalDual`` both updates of Chambolle and Pock's method, ``MoDL`` a denoiser
between data steps. All take any operator of :mod:`unroll.operators`, complex ones too,
and are trained by :func:`unroll.train`.

>>> import torch
>>> from unroll import Recipe, train
>>> from unroll.problems import Ellipses, Inpainting
>>> generator = torch.Generator().manual_seed(0)
>>> problem = Inpainting(Ellipses((12, 12)), fraction=0.5, generator=generator)
>>> net = ISTANet(problem.A, depth=3, channels=4, plus=True, generator=generator)
>>> history = train(net, problem, Recipe(steps=30, batch=16), generator=generator)
>>> history.best_db < history.validation_db[0, -1].item() - 1  # dB better than ISTA
True

Images without truth, blurred photographs of one's own for example, train too:
``train(net, loader, objective="lasso")`` minimises the Lasso's cost of what the network
returns, and ``objective=LassoCost(0.01, TV())`` that of total variation.
"""

from unroll.images.admm_net import ADMMNet, PiecewiseLinear
from unroll.images.ista_net import ISTANet
from unroll.images.learned_primal_dual import LearnedPrimalDual
from unroll.images.modl import MoDL
from unroll.images.solve import regularised_solve
from unroll.images.symmetry import SymmetryLoss

__all__ = [
    "ADMMNet",
    "ISTANet",
    "LearnedPrimalDual",
    "MoDL",
    "PiecewiseLinear",
    "SymmetryLoss",
    "regularised_solve",
]
