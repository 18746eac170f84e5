"""What one module minimises: local objectives, which add and scale."""

from modular.objectives.base import Objective, Pred
from modular.objectives.goodness import Goodness, LengthNorm, goodness_scores
from modular.objectives.hsic import HSIC, hsic
from modular.objectives.infopro import InfoPro
from modular.objectives.sim import PredSim, Sim

__all__ = [
    "HSIC",
    "Goodness",
    "InfoPro",
    "LengthNorm",
    "Objective",
    "Pred",
    "PredSim",
    "Sim",
    "goodness_scores",
    "hsic",
]
