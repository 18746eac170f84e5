"""The symmetry loss of ISTA-Net, beside any objective."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unroll._checks import check_positive

__all__ = ["SymmetryLoss"]


@dataclass(frozen=True)
class SymmetryLoss:
    r"""Another objective, and that the way back of every layer undoes its transform.

    .. math:: L + \text{weight} \cdot \frac{1}{K} \sum_k
              \frac{\|\tilde F_k(F_k(D_k r_k)) - D_k r_k\|^2}{\|D_k r_k\|^2}

    Zhang and Ghanem 2018, CVPR, eq. (10), with the weight 0.01, and not divided by the
    norm. Measured is the objective alone. Of :class:`ISTANet` only.

    Args:
        objective: The other one, ``LastNMSE()`` for example.
        weight: Of the symmetry, positive.

    Raises:
        TypeError: If ``weight`` is no number.
        ValueError: If ``weight`` is not positive.

    Example:
        >>> from unroll.training import LastNMSE, Recipe
        >>> Recipe(objective=SymmetryLoss(LastNMSE())).goal.weight
        0.01
    """

    objective: Any
    weight: float = 0.01

    def __post_init__(self) -> None:
        check_positive("weight", self.weight)

    @property
    def needs_codes(self) -> bool:
        """Whether samples must come with their true images."""
        return self.objective.needs_codes

    @property
    def staged(self) -> bool:
        """Whether the layers are trained one after the other."""
        return self.objective.staged

    def loss(self, net: Any, iterates: Tensor, b: Tensor, x: Tensor | None) -> Tensor:
        """Return the other objective's loss and the weighted symmetry.

        Args:
            net: An ISTA-Net.
            iterates: Images, the start first. Shape ``(iterates, batch, ...)``.
            b: Measurements. Shape ``(batch, ...)``.
            x: True images, or None. Shape ``(batch, ...)``.

        Returns:
            Loss. Shape ``()``.

        Raises:
            TypeError: If ``net`` has no symmetry.
        """
        if not callable(getattr(net, "symmetry", None)):
            raise TypeError(
                f"net is a {type(net).__name__}, which has no symmetry: expected an "
                f"ISTANet, or the objective {self.objective} alone"
            )
        loss = self.objective.loss(net, iterates, b, x)
        return loss + self.weight * net.symmetry(b, iterates)

    def measure(
        self, net: Any, iterates: Tensor, b: Tensor, x: Tensor | None
    ) -> Tensor:
        """Return what the other objective measures.

        Args:
            net: Network.
            iterates: Images. Shape ``(iterates, batch, ...)``.
            b: Measurements. Shape ``(batch, ...)``.
            x: True images, or None. Shape ``(batch, ...)``.

        Returns:
            One number for each. Shape ``(iterates,)``.
        """
        return self.objective.measure(net, iterates, b, x)
