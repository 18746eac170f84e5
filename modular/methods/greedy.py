"""Greedy: one module after another, each trained by its own loss and frozen."""

from modular.methods.credit import Credit
from modular.objectives import Objective, Pred

__all__ = ["Greedy"]


def Greedy(objective: Objective | None = None) -> Credit:
    """Return sequential greedy training: one module after another, each then frozen.

    Belilovsky, Eickenberg and Oyallon 2019, "Greedy Layerwise Learning Can Scale to
    ImageNet". An epoch of ``Trainer.fit`` is one pass over the data per module.

    Args:
        objective: What each module minimises; None is :class:`Pred`.

    Returns:
        The method.

    Example:
        >>> Greedy().phases(3)
        3
    """
    return Credit(objective or Pred(), horizon=1, order="sequential", name="Greedy")
