"""How to call every public name of the family; read by tests/test_docs.py."""

import torch

import unroll.lowrank as low
from unroll.problems import LowRankPlusSparse

problem = LowRankPlusSparse((12, 10), rank=2)
Y = problem.sample(3, torch.Generator().manual_seed(0))[0]


def net() -> low.LRPCA:
    return low.LRPCA(rank=2, depth=3)


def training(**more) -> dict:
    drawn = {"batch": 2, "generator": torch.Generator().manual_seed(0)}
    return {"net": net(), "problem": problem, "steps": 6} | drawn | more


CALLS = {
    "CORONA": lambda: (low.CORONA, {}),
    "LRPCA": lambda: (low.LRPCA, {"rank": 2}),
    "LRPCA.iterates": lambda: (net().iterates, {"Y": Y, "depth": 3}),
    "LRPCA.constants": lambda: (net().constants, {}),
    "LRPCA.tail_decay": lambda: (net().tail_decay, {}),
    "fit": lambda: (low.fit, training()),
    "fit_tail": lambda: (low.fit_tail, training()),
    "pcp": lambda: (low.pcp, {"Y": Y}),
    "PCPResult": lambda: (low.PCPResult, vars(low.pcp(Y))),
    "scaled_gradient": lambda: (low.scaled_gradient, {"Y": Y, "rank": 2}),
    "singular_value_threshold": lambda: (
        low.singular_value_threshold,
        {"X": Y, "theta": 0.1},
    ),
}
