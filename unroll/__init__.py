"""Iterations as layers: networks unrolled from algorithms.

>>> import torch
>>> from unroll import SparseCoding, fista, nmse_db
>>> generator = torch.Generator().manual_seed(0)
>>> problem = SparseCoding.gaussian(100, 200, generator, density=0.05)
>>> b, x = problem.sample(32, generator)
>>> result = fista(problem.A, b, lam=0.02, tol=1e-4, restart=True)
>>> bool(result.converged.all()), bool(nmse_db(result.x, x) < -25)
(True, True)
"""

from unroll.metrics import RecoveryBounds, nmse_db, recovery_bounds
from unroll.networks import (
    AGLISTA,
    ALISTA,
    ALISTAAT,
    GLISTA,
    LAMP,
    LISTA,
    LISTACP,
    LISTACPSS,
    LISTASS,
    LVAMP,
    NAALISTA,
    TISTA,
    HyperLISTA,
    HyperSearch,
    Positive,
    RidgeALISTA,
    StepLISTA,
    TiLISTA,
    Unrolled,
)
from unroll.priors import BernoulliGaussian
from unroll.problems import SparseCoding, dct_dictionary, image_patches
from unroll.prox import soft_threshold, support_select
from unroll.safeguard import SafeguardedSolver, SafeguardResult, safeguard
from unroll.solvers import (
    BayesResult,
    LassoResult,
    active_set,
    admm,
    amp,
    bayes_amp,
    fista,
    ista,
    primal_dual,
    state_evolution,
    vamp,
)
from unroll.training import History, LassoCost, Recipe, train
from unroll.weights import (
    analytic_weight,
    coherence_weight,
    generalized_coherence,
    mutual_coherence,
    symmetric_weight,
)

__all__ = [
    # proximal maps and problems
    "soft_threshold",
    "support_select",
    "BernoulliGaussian",
    "SparseCoding",
    "dct_dictionary",
    "image_patches",
    # solvers
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
    # metrics
    "RecoveryBounds",
    "nmse_db",
    "recovery_bounds",
    # weights
    "analytic_weight",
    "coherence_weight",
    "generalized_coherence",
    "mutual_coherence",
    "symmetric_weight",
    # networks
    "AGLISTA",
    "ALISTA",
    "ALISTAAT",
    "GLISTA",
    "HyperLISTA",
    "HyperSearch",
    "LAMP",
    "LISTA",
    "LISTACP",
    "LISTACPSS",
    "LISTASS",
    "LVAMP",
    "NAALISTA",
    "Positive",
    "RidgeALISTA",
    "StepLISTA",
    "TISTA",
    "TiLISTA",
    "Unrolled",
    # training
    "History",
    "LassoCost",
    "Recipe",
    "train",
    # certificates
    "SafeguardResult",
    "SafeguardedSolver",
    "safeguard",
]
