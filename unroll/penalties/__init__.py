"""What a solution is asked for beside fitting the data: values, proximal maps, polars.

Solvers minimise ``1/2 ||b - A x||^2 + lam R(x)``; ``R`` is the l1 norm unless they are
given another ``penalty``.

>>> import torch
>>> from unroll import fista
>>> from unroll.penalties import NonNegativeL1
>>> b = torch.tensor([[3.0, -2.0]])
>>> fista(torch.eye(2), b, lam=1.0, penalty=NonNegativeL1(), tol=1e-6).x
tensor([[2., 0.]])
"""

from unroll.penalties.base import Penalty
from unroll.penalties.group_l21 import GroupL21
from unroll.penalties.l1 import L1, NonNegativeL1
from unroll.penalties.nuclear_norm import NuclearNorm
from unroll.penalties.tv import TV

__all__ = ["L1", "TV", "GroupL21", "NonNegativeL1", "NuclearNorm", "Penalty"]
