"""Backprop: one loss, which reaches every module."""

from modular.methods.credit import Credit
from modular.objectives import Objective, Pred

__all__ = ["Backprop"]


def Backprop(objective: Objective | None = None) -> Credit:
    """Return ordinary end-to-end training: one loss, which reaches every module.

    Rumelhart, Hinton and Williams 1986, module by module.

    Args:
        objective: Gives the true loss, None is cross-entropy. The auxiliary heads are
            not trained.

    Returns:
        The method.

    Example:
        >>> Backprop().takes(3).int()
        tensor([[0, 0, 0],
                [0, 0, 0],
                [1, 1, 1]], dtype=torch.int32)
    """
    return Credit(objective or Pred(), horizon=None, heads=False, name="Backprop")
