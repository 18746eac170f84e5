"""How to call every public name of unroll, one line each; read by tests/test_docs.py.

Sizes differ from one another, so that a documented shape cannot be right by chance.
"""

import torch
from torch import nn

import unroll as u

m, n = 4, 7
generator = torch.Generator().manual_seed(0)
A, b, x = (torch.rand(shape, generator=generator) for shape in ((m, n), (3, m), (3, n)))
keep = torch.tensor([[1], [2], [0]])
problem = u.SparseCoding(A, density=0.5, snr_db=20.0)
lasso = {"A": A, "b": b, "lam": 0.1, "x0": x, "iterations": 6, "keep_iterates": True}
lasso_of = {"A": A, "b": b, "keep_iterates": True}
prior, level = u.BernoulliGaussian(0.2), torch.full((3, 1), 0.1)
bayes = {"A": A, "b": b, "prior": prior, "iterations": 6, "keep_iterates": True}
predicted = {"solver": u.vamp, "A": A, "prior": prior, "noise_variance": 0.1}
predicted |= {"iterations": 6}
counts = torch.tensor([[0], [1], [2]])
unit = A / A.norm(dim=0)
seed = torch.Generator().manual_seed(0)
net = {"A": A, "depth": 2}
weighted = net | {"weight": u.analytic_weight(A)}
pair = {"W": weighted["weight"], "A": A}
grid = {"b": b, "x": x, "c1": (0.1, 0.2), "c2": (0.0,), "c3": (1.0, 2.0, 3.0)}
recipe = u.Recipe(steps=2, batch=5, validation=6, every=1)


def plain():
    return u.Unrolled.from_step(
        lambda x, b, A, *, t: t * (x + b @ A), {"t": 0.5}, 2, A=A
    )


steps = {"step": lambda x, b, A, *, t: t * x, "parameters": {"t": 0.5}, "depth": 2}
identity = u.Unrolled(A, 2, nn.Identity)
certified = {"net": plain(), "A": A, "lam": 0.1}
training = {"net": plain(), "problem": problem, "recipe": recipe}

cost = {"net": u.LISTA(A, 2), "iterates": torch.rand(6, 3, n), "b": b, "x": x}


def history():
    return u.train(**training)


CALLS = {
    "soft_threshold": lambda: (u.soft_threshold, {"v": x, "theta": torch.rand(3, 1)}),
    "support_select": lambda: (u.support_select, {"v": x, "theta": 0.1, "keep": keep}),
    "BernoulliGaussian": lambda: (
        u.BernoulliGaussian,
        {"density": torch.full((3, 1), 0.2), "variance": torch.tensor(1.0)},
    ),
    "BernoulliGaussian.posterior": lambda: (prior.posterior, {"r": x, "noise": level}),
    "BernoulliGaussian.learned": lambda: (prior.learned, {"r": x, "noise": level}),
    "BernoulliGaussian.mmse": lambda: (prior.mmse, {"noise": 0.1}),
    "SparseCoding": lambda: (u.SparseCoding, {"A": A}),
    "SparseCoding.gaussian": lambda: (u.SparseCoding.gaussian, {"m": m, "n": n}),
    "SparseCoding.sample": lambda: (problem.sample, {"batch": 3}),
    "dct_dictionary": lambda: (u.dct_dictionary, {"size": 2, "atoms": 9}),
    "image_patches": lambda: (u.image_patches, {"size": 2, "count": 3}),
    "LassoResult": lambda: (u.ista, lasso | {"lam": torch.rand(3)}),
    "active_set": lambda: (u.active_set, lasso_of | {"lam": torch.rand(3)}),
    "admm": lambda: (u.admm, lasso | {"lam": torch.rand(3)}),
    "amp": lambda: (u.amp, {"A": unit, "b": b, "iterations": 6, "keep_iterates": True}),
    "BayesResult": lambda: (u.bayes_amp, bayes | {"A": unit}),
    "bayes_amp": lambda: (u.bayes_amp, bayes | {"A": unit}),
    "state_evolution": lambda: (u.state_evolution, predicted),
    "vamp": lambda: (u.vamp, bayes | {"noise_variance": torch.full((3,), 0.1)}),
    "fista": lambda: (u.fista, lasso),
    "ista": lambda: (u.ista, lasso),
    "primal_dual": lambda: (u.primal_dual, lasso),
    "RecoveryBounds": lambda: (u.recovery_bounds, {"problem": problem, "batch": 3}),
    "nmse_db": lambda: (u.nmse_db, {"x_hat": torch.rand(6, 3, n), "x": x}),
    "recovery_bounds": lambda: (u.recovery_bounds, {"problem": problem, "batch": 3}),
    "analytic_weight": lambda: (u.analytic_weight, {"A": A}),
    "coherence_weight": lambda: (u.coherence_weight, {"A": A}),
    "generalized_coherence": lambda: (u.generalized_coherence, pair),
    "mutual_coherence": lambda: (u.mutual_coherence, {"A": A}),
    "symmetric_weight": lambda: (
        u.symmetric_weight,
        {"A": u.SparseCoding.gaussian(m, n, seed).A},
    ),
    "AGLISTA": lambda: (u.AGLISTA, weighted),
    "ALISTA": lambda: (u.ALISTA, weighted),
    "ALISTAAT": lambda: (u.ALISTAAT, weighted),
    "GLISTA": lambda: (u.GLISTA, net),
    "HyperLISTA": lambda: (u.HyperLISTA, net),
    "HyperLISTA.search": lambda: (u.HyperLISTA(A, 2).search, grid),
    "HyperSearch": lambda: (u.HyperLISTA(A, 2).search, grid),
    "LAMP": lambda: (u.LAMP, net),
    "LISTA": lambda: (u.LISTA, net),
    "LISTACP": lambda: (u.LISTACP, net),
    "LISTACPSS": lambda: (u.LISTACPSS, net),
    "LISTASS": lambda: (u.LISTASS, net),
    "LVAMP": lambda: (u.LVAMP, net),
    "NAALISTA": lambda: (u.NAALISTA, weighted),
    "Positive": lambda: (u.Positive, {"value": 0.3}),
    "RidgeALISTA": lambda: (u.RidgeALISTA, net),
    "StepLISTA": lambda: (u.StepLISTA, net),
    "TISTA": lambda: (u.TISTA, net),
    "TiLISTA": lambda: (u.TiLISTA, weighted),
    "Unrolled": lambda: (u.Unrolled, net | {"layer": nn.Identity}),
    "Unrolled.described": lambda: (plain().described, {}),
    "Unrolled.start": lambda: (identity.start, {"b": b}),
    "Unrolled.given": lambda: (plain().given, {"b": b, "k": 0}),
    "Unrolled.iterates": lambda: (plain().iterates, {"b": b, "depth": 2}),
    "Unrolled.constants": lambda: (plain().constants, {}),
    "Unrolled.from_step": lambda: (u.Unrolled.from_step, steps | {"A": A}),
    "History": lambda: (u.train, training),
    "History.plot": lambda: (history().plot, {}),
    "LassoCost": lambda: (u.LassoCost, {"lam": 0.1}),
    "LassoCost.loss": lambda: (u.LassoCost().loss, cost),
    "LassoCost.measure": lambda: (u.LassoCost(0.1).measure, cost),
    "Recipe": lambda: (u.Recipe, {}),
    "train": lambda: (u.train, training),
    "SafeguardResult": lambda: (u.safeguard(**certified).__call__, {"b": b}),
    "SafeguardedSolver": lambda: (u.safeguard, certified),
    "safeguard": lambda: (u.safeguard, certified),
}
