"""DGL: every module in every step, each by its own loss."""

from modular.methods.credit import Credit
from modular.objectives import Objective, Pred

__all__ = ["DGL"]


def DGL(objective: Objective | None = None) -> Credit:
    """Return decoupled greedy learning: all modules in every step, each its own loss.

    Belilovsky, Eickenberg and Oyallon 2020, "Decoupled Greedy Learning of CNNs",
    algorithm 1. With another objective it is local-error training (Nokland and Eidnes
    2019), InfoPro, the HSIC bottleneck or Forward-Forward. In processes of their own,
    modules run ahead of the next by a bounded buffer, ``Processes(queue=...)``, which
    changes no result. The paper's replay buffer, for modules of unequal speed
    (algorithm 2), is not here.

    Args:
        objective: What each module minimises; None is :class:`Pred`.

    Returns:
        The method.

    Example:
        >>> DGL().mask(3).int()
        tensor([[1, 0, 0],
                [0, 1, 0],
                [0, 0, 1]], dtype=torch.int32)
    """
    return Credit(objective or Pred(), horizon=1, name="DGL")
