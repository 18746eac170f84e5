"""Infinite depth: a layer at its fixed point, solvers that find it, its gradients.

``z* = f(z*, x)`` is the output of a network that repeats one layer without end. The
forward pass is a solver; the backward pass needs ``(I - J)^{-1}``, or something
cheaper.

>>> import torch
>>> from unroll.equilibrium import IFT, Anderson, ContractiveLayer, Equilibrium
>>> generator = torch.Generator().manual_seed(0)
>>> layer = ContractiveLayer(states=8, inputs=2, generator=generator)
>>> net = Equilibrium(layer, Anderson(tol=1e-6), IFT())
>>> x = torch.randn(5, 2, generator=generator)
>>> z = net(torch.zeros(5, 8), x)
>>> bool((layer(z, x) - z).abs().max() < 1e-5)
True
"""

from unroll.equilibrium.anderson import Anderson
from unroll.equilibrium.broyden import Broyden
from unroll.equilibrium.equilibrium import Equilibrium
from unroll.equilibrium.fixed_point import FixedPoint
from unroll.equilibrium.gradients import (
    IFT,
    JacobianFree,
    NeumannPhantom,
    Through,
    UnrolledPhantom,
)
from unroll.equilibrium.jacobian import jacobian_penalty, spectral_radius
from unroll.equilibrium.layers import ContractiveLayer, MonotoneLayer
from unroll.equilibrium.picard import Picard

__all__ = [
    "Anderson",
    "Broyden",
    "ContractiveLayer",
    "Equilibrium",
    "FixedPoint",
    "IFT",
    "JacobianFree",
    "MonotoneLayer",
    "NeumannPhantom",
    "Picard",
    "Through",
    "UnrolledPhantom",
    "jacobian_penalty",
    "spectral_radius",
]
