"""So many bits for all activations: who gets how many."""

from collections.abc import Sequence
from dataclasses import dataclass

from modular.allocation import knapsack
from modular.memory.codec import Codec, Identity, Steering
from modular.memory.groupwise import Groupwise

__all__ = ["BitAllocator"]

CHOICES = (1, 2, 4, 8)


@dataclass(frozen=True)
class BitAllocator(Steering):
    r"""Choose the bits of each activation so that the gradient's variance is least.

    .. math:: \min_b \sum_l c_l\, 4^{-b_l} \quad\text{with}\quad
              \sum_l d_l b_l \le B, \quad b_l \in \{1, 2, 4, 8\}

    for activations of ``d`` numbers whose errors matter by ``c``. Every step up buys
    less a bit than the one before it, so that a knapsack takes steps in their order:
    exact. Liu et al. 2022 (ICML, GACT), section 4.3, are greedy.

    Args:
        sizes: ``d``, numbers of each activation, in the order in which they are kept.
        sensitivities: ``c``, of each.
        budget: ``B``, bits for all.

    Raises:
        ValueError: If there are not as many sizes as sensitivities, one is negative or
            not finite, or the budget is less than a bit a number.

    Example:
        >>> BitAllocator(sizes=[100, 100], sensitivities=[9.0, 1.0], budget=600).bits
        (4, 2)
    """

    sizes: Sequence[int]
    sensitivities: Sequence[float]
    budget: float

    def __post_init__(self) -> None:
        """Refuse a budget that is not enough."""
        if self.budget < sum(self.sizes):
            raise ValueError(
                f"budget is {self.budget}: expected at least {sum(self.sizes)}, a bit "
                "for each number"
            )
        _ = self.bits

    @property
    def bits(self) -> tuple[int, ...]:
        """Of each activation."""
        steps = list(zip(CHOICES, CHOICES[1:], strict=False))
        values, weights, whose = [], [], []
        for index, (size, c) in enumerate(
            zip(self.sizes, self.sensitivities, strict=True)
        ):
            for before, after in steps:
                values.append(c * (4.0**-before - 4.0**-after))
                weights.append(size * (after - before))
                whose.append(index)
        taken = knapsack(values, weights, self.budget - sum(self.sizes))
        risen = [
            sum(whose[item] == i for item in taken) for i in range(len(self.sizes))
        ]
        return tuple(CHOICES[count] for count in risen)

    def codec(self, number: int) -> Codec:
        """Return the codec of an activation.

        Args:
            number: Which one of a step, from 0.

        Returns:
            Its codec; all is kept of one that was not counted on.
        """
        bits = self.bits
        return Groupwise(bits[number]) if number < len(bits) else Identity()
