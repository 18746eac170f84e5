"""What operations and messages cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational

from modular._checks import check_not_negative

__all__ = ["Cost", "Network", "per_stage", "times_of"]

Number = Rational | float
Costs = Number | Sequence[Number]


@dataclass(frozen=True)
class Cost:
    """What operations cost: a number for all stages, or one for each.

    Numbers are taken exactly, as fractions; a float is the fraction that it stores.

    Args:
        forward: Time of a forward of one micro-batch.
        backward: Time of a backward.
        input: Time of the half that gives the input's gradient; half a backward if
            None.
        weight: Time of the other half; what is left of a backward if None.
        recompute: Time of doing a forward again; that of a forward if None.
        activation: What a stage holds of one micro-batch until its backward.
        message: Size of what a stage hands on, of one micro-batch; its gradient is as
            large.

    Raises:
        ValueError: If a number is negative or not finite.
    """

    forward: Costs = 1
    backward: Costs = 2
    input: Costs | None = None
    weight: Costs | None = None
    recompute: Costs | None = None
    activation: Costs = 1
    message: Costs = 1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None:
                for number in value if isinstance(value, Sequence) else [value]:
                    check_not_negative(name, float(number))


@dataclass(frozen=True)
class Network:
    """What distance costs: a message of size n takes ``alpha + beta n``.

    A message is on its way while both ranks go on working. The model of Hockney 1994,
    "The communication challenge for MPP"; messages do not disturb each other.

    Args:
        alpha: Time of an empty message.
        beta: Time for each unit of size.

    Raises:
        ValueError: If a number is negative or not finite.
    """

    alpha: Number = 0
    beta: Number = 0

    def __post_init__(self) -> None:
        check_not_negative("alpha", float(self.alpha))
        check_not_negative("beta", float(self.beta))


def times_of(cost: Cost, stages: int) -> list[list[Fraction]]:
    """Return the time of each kind of operation at each stage: a list a kind."""
    forward = per_stage(cost, "forward", stages)
    backward = per_stage(cost, "backward", stages)
    half = [b / 2 for b in backward]
    first = half if cost.input is None else per_stage(cost, "input", stages)
    rest = [b - i for b, i in zip(backward, first, strict=True)]
    for stage, left in enumerate(rest):
        if left < 0 and cost.weight is None:
            raise ValueError(
                f"input[{stage}] is {first[stage]}: expected at most the backward, "
                f"{backward[stage]}, or a weight of its own"
            )
    last = rest if cost.weight is None else per_stage(cost, "weight", stages)
    again = cost.recompute is not None
    redo = per_stage(cost, "recompute", stages) if again else forward
    return [forward, backward, first, last, redo]


def per_stage(cost: Cost, name: str, stages: int) -> list[Fraction]:
    """Return one of the costs for every stage, or refuse a wrong number of numbers."""
    value = getattr(cost, name)
    numbers = list(value) if isinstance(value, Sequence) else [value] * stages
    if len(numbers) != stages:
        raise ValueError(
            f"{name} has {len(numbers)} numbers: expected {stages}, one a stage"
        )
    return [Fraction(number) for number in numbers]
