"""Training: objectives, samples, Adam with rates by layer, checkpoints."""

from unroll.training.history import History
from unroll.training.loop import train
from unroll.training.objectives import DeepLogNMSE, LassoCost, LastNMSE, Stagewise
from unroll.training.recipe import Recipe

__all__ = [
    "DeepLogNMSE",
    "History",
    "LassoCost",
    "LastNMSE",
    "Recipe",
    "Stagewise",
    "train",
]
