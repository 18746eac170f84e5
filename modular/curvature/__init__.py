"""Curvature of a layer, cheap enough to divide by: K-FAC.

The Fisher matrix of a layer with ``d`` numbers has ``d^2`` entries. K-FAC takes it for
a Kronecker product of two small matrices, one of what goes into the layer and one of
the gradients that come out of it, so that its inverse is two small inverses. It stands
in front of any optimiser: ``loss.backward(); kfac.step(); optimizer.step()``. Several
workers share the work by a placement: ``Replicated``, ``Owner`` or ``Local``.

>>> import torch
>>> from modular.curvature import KFAC
>>> layers = torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)
>>> net = torch.nn.Sequential(*layers)
>>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
>>> kfac = KFAC(net, optimizer)
>>> x = torch.rand(64, 4)
>>> net(x).sub(x.sum(dim=1, keepdim=True)).square().mean().backward()
>>> kfac.step()
>>> optimizer.step()
"""

from modular.curvature.kfac import KFAC
from modular.curvature.placements import Fraction, Local, Owner, Replicated
from modular.curvature.solves import Eigen, PiSplit

__all__ = ["Eigen", "Fraction", "KFAC", "Local", "Owner", "PiSplit", "Replicated"]
