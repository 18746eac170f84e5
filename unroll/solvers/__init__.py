"""Classical solvers, with the duality gap as certificate."""

from unroll.solvers._lasso import LassoResult
from unroll.solvers.amp import amp
from unroll.solvers.fista import fista
from unroll.solvers.ista import ista

__all__ = ["LassoResult", "amp", "fista", "ista"]
