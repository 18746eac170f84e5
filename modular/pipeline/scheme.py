"""What all schemes share: how many ranks and micro-batches they can do."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modular._checks import check_count
from modular.pipeline.schedule import Schedule, sort_into_ranks

__all__ = ["Scheme", "check_multiple", "grid", "straight"]


class Scheme(ABC):
    """A rule that says who does what, and when, for any number of ranks.

    Huang et al. 2019, "GPipe", is the first of them.

    Example:
        >>> class Alone(Scheme):
        ...     def schedule(self, ranks, micros):
        ...         return GPipe().schedule(1, micros)
        >>> from modular.pipeline import GPipe
        >>> len(Alone().schedule(4, 2))
        1
    """

    @abstractmethod
    def schedule(self, ranks: int, micros: int) -> Schedule:
        """Return the lists of operations.

        Args:
            ranks: How many ranks there are, D.
            micros: Micro-batches of a step, N.

        Returns:
            One list a rank.
        """


def grid(ranks: int, micros: int) -> tuple[NDArray, NDArray]:
    """Return stages as a column and micro-batches as a row, or refuse the numbers."""
    check_count("ranks", ranks, least=1)
    check_count("micros", micros, least=1)
    return np.arange(ranks)[:, None], np.arange(micros)[None, :]


def straight(ranks: int, *pieces: dict[str, Any]) -> Schedule:
    """Return a schedule whose stages are on the ranks of the same number."""
    return sort_into_ranks(ranks, *({"rank": p["stage"]} | p for p in pieces))


def check_multiple(name: str, value: int, of: int, why: str) -> None:
    """Refuse a number that is not a multiple."""
    if value % of:
        raise ValueError(f"{name} is {value}: expected a multiple of {of}, {why}")
