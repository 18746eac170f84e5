"""Classical solvers, with the duality gap as certificate."""

from unroll.solvers._lasso import LassoResult
from unroll.solvers.active_set import active_set
from unroll.solvers.amp import amp
from unroll.solvers.fista import fista
from unroll.solvers.ista import ista

__all__ = ["LassoResult", "active_set", "amp", "fista", "ista"]
