"""Training: fresh samples, an error in dB per layer, Adam, checkpoints."""

from unroll.training.loop import History, train
from unroll.training.recipe import Recipe

__all__ = ["History", "Recipe", "train"]
