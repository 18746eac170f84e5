"""Classical solvers, with the duality gap as certificate, and those that know more."""

from unroll.solvers._lasso import LassoResult
from unroll.solvers._messages import BayesResult
from unroll.solvers.active_set import active_set
from unroll.solvers.admm import admm
from unroll.solvers.amp import amp
from unroll.solvers.bayes_amp import bayes_amp
from unroll.solvers.fista import fista
from unroll.solvers.ista import ista
from unroll.solvers.primal_dual import primal_dual
from unroll.solvers.state_evolution import state_evolution
from unroll.solvers.vamp import vamp

__all__ = [
    "BayesResult",
    "LassoResult",
    "active_set",
    "admm",
    "amp",
    "bayes_amp",
    "fista",
    "ista",
    "primal_dual",
    "state_evolution",
    "vamp",
]
