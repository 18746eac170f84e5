"""How the steps of two grids in time belong together."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Constant", "Linear", "Weave"]


class Weave(ABC):
    """How the steps of a fine and of a coarse grid in time belong together.

    Args:
        full_weighting: Whether coarse iterates are weighted means of fine ones; else
            every second is taken (injection).
    """

    full_weighting: bool

    @abstractmethod
    def coarse(self, steps: int) -> int:
        """Return the number of coarse steps, or refuse."""

    @abstractmethod
    def matrix(self, coarse: int) -> Tensor:
        """Return the prolongation in time. Shape ``(fine, coarse)``."""

    def iterates(self, coarse: int) -> Tensor:
        """Return the restriction of iterates in time. Shape ``(coarse, fine)``."""
        P = self.matrix(coarse)
        if self.full_weighting:
            return P.T / P.T.sum(dim=1, keepdim=True)
        return torch.eye(len(P), dtype=P.dtype)[::2]


@dataclass(frozen=True)
class Constant(Weave):
    """Two fine steps are one coarse step: twice as many, each pair alike.

    Kopanicakova and Krause 2022 double their steps; Haber, Ruthotto, Holtham and Jun
    2018 prolong so.

    Args:
        full_weighting: Whether coarse iterates are means of pairs; else the first of
            each pair.

    Example:
        >>> Constant().coarse(8), Constant().matrix(2).tolist()
        (4, [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    """

    full_weighting: bool = False

    def coarse(self, steps: int) -> int:
        """Return half, or refuse an odd number."""
        if steps % 2 or steps < 2:
            raise ValueError(
                f"there are {steps} steps, which make no pairs: expected an even number"
            )
        return steps // 2

    def matrix(self, coarse: int) -> Tensor:
        """Return each column twice."""
        eye = torch.eye(coarse, dtype=torch.float64)
        return eye.repeat_interleave(2, dim=0)


@dataclass(frozen=True)
class Linear(Weave):
    """Fine steps in between are means of their neighbours: ``2 n - 1`` of them.

    Kopanicakova 2023 and later (DistTraiNN).

    Args:
        full_weighting: Whether coarse iterates are means with weights 1/4, 1/2, 1/4,
            the ends 2/3, 1/3; else every second.

    Example:
        >>> Linear().coarse(5), Linear().matrix(2).tolist()
        (3, [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    """

    full_weighting: bool = False

    def coarse(self, steps: int) -> int:
        """Return the number of every second, or refuse an even number."""
        if steps % 2 == 0 or steps < 3:
            raise ValueError(
                f"there are {steps} steps: expected an odd number of at least 3, so "
                "that both ends are on the coarse grid"
            )
        return (steps + 1) // 2

    def matrix(self, coarse: int) -> Tensor:
        """Return hats on the fine grid."""
        fine = torch.arange(2 * coarse - 1, dtype=torch.float64)[:, None] / 2
        return (1 - (fine - torch.arange(coarse)).abs()).clamp(min=0)
