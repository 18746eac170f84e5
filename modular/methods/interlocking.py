"""Interlocking: a loss reaches n modules, its own and those just before."""

from modular._checks import check_count
from modular.methods.credit import Credit
from modular.objectives import Objective, Pred

__all__ = ["Interlocking"]


def Interlocking(n: int, objective: Objective | None = None) -> Credit:
    """Return interlocking backpropagation: a loss reaches n modules.

    The parameters of module i take the gradient of the loss of module
    ``min(i + n - 1, K - 1)`` only; each head takes its own. Gomez et al. 2022, JMLR
    23(171), "N-wise". n = 1 is :func:`DGL`, n = K is :func:`Backprop`. (The authors'
    code calls n - 1 the distance.)

    Args:
        n: Horizon, at least 1 and at most the number of modules.
        objective: What each module minimises; None is :class:`Pred`.

    Returns:
        The method.

    Raises:
        TypeError: If ``n`` is not an int.
        ValueError: If ``n`` is below 1.

    Example:
        >>> from modular import DGL
        >>> Interlocking(1) == DGL(), Interlocking(2).mask(3).int().tolist()
        (True, [[1, 0, 0], [1, 1, 0], [0, 1, 1]])
    """
    check_count("n", n, least=1)
    return Credit(objective or Pred(), horizon=n, name=f"Interlocking({n})")
