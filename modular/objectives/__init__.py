"""What one module minimises: local objectives, which add and scale."""

from modular.objectives.base import Objective, Pred
from modular.objectives.goodness import Goodness, LengthNorm, goodness_scores
from modular.objectives.hsic import HSIC, hsic
from modular.objectives.infopro import InfoPro
from modular.objectives.kernel import Kernel
from modular.objectives.sim import PredSim, Sim

__all__ = [
    "HSIC",
    "Goodness",
    "InfoPro",
    "Kernel",
    "LengthNorm",
    "Objective",
    "Pred",
    "PredSim",
    "Sim",
    "goodness_scores",
    "hsic",
]
