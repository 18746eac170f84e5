"""The checkpoint game: which states to keep so that a long run can be reversed."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb

from unroll._checks import check_count

__all__ = [
    "Action",
    "Advance",
    "Free",
    "Restore",
    "Reverse",
    "Store",
    "extra_steps",
    "revolve",
    "store_all",
]


@dataclass(frozen=True)
class Store:
    """Keep the state before a step in a free place.

    Args:
        step: Number of the step, from 0.
    """

    step: int


@dataclass(frozen=True)
class Restore:
    """Go back to a state that is kept.

    Args:
        step: Number of the step before which it was.
    """

    step: int


@dataclass(frozen=True)
class Free:
    """Give up the place of a state.

    Args:
        step: Number of the step before which it was.
    """

    step: int


@dataclass(frozen=True)
class Advance:
    """Do the steps from one state to a later one; nothing is kept on the way.

    Args:
        start: Number of the first step.
        stop: Number of the step before which it ends.
    """

    start: int
    stop: int


@dataclass(frozen=True)
class Reverse:
    """Do one step with its graph, and differentiate it.

    Args:
        step: Number of the step, from 0.
    """

    step: int


Action = Store | Restore | Free | Advance | Reverse


def extra_steps(steps: int, checkpoints: int) -> int:
    r"""Return how many steps must be done again, at least, to reverse a run.

    .. math:: r N - \binom{c + r}{r - 1}, \qquad
              r = \min \{ r : \tbinom{c + r}{c} \ge N \}

    beyond the ``N`` of the first sweep, whose last step keeps its graph: Griewank and
    Walther 2000, ACM Trans. Math. Softw. 26(1) (algorithm 799, revolve), proposition 1.

    Args:
        steps: ``N``.
        checkpoints: ``c``, the states that fit into memory, the first one counted.

    Returns:
        Steps done again.

    Raises:
        TypeError: If an argument is not an int.
        ValueError: If an argument is not positive.

    Example:
        >>> extra_steps(steps=1000, checkpoints=10)
        3636
    """
    check_count("steps", steps, least=1)
    check_count("checkpoints", checkpoints, least=1)
    r = _sweeps(steps, checkpoints)
    return r * steps - comb(checkpoints + r, r - 1) if r else 0


def revolve(steps: int, checkpoints: int) -> list[Action]:
    """Plan the reversal of a run in a given memory, with the fewest steps done again.

    The plan begins with the first sweep, which ends with the first :class:`Reverse`,
    and does :func:`extra_steps` more. Every split gives the later part one place less
    and the earlier part one sweep less, at a binomial point: Griewank and Walther 2000,
    ACM Trans. Math. Softw. 26(1) (algorithm 799, revolve).

    Args:
        steps: Steps of the run.
        checkpoints: States that fit into memory, the first one counted.

    Returns:
        Actions, in order.

    Raises:
        TypeError: If an argument is not an int.
        ValueError: If an argument is not positive.

    Example:
        >>> for action in revolve(steps=3, checkpoints=2):
        ...     print(action)
        Store(step=0)
        Advance(start=0, stop=1)
        Store(step=1)
        Advance(start=1, stop=2)
        Reverse(step=2)
        Restore(step=1)
        Reverse(step=1)
        Free(step=1)
        Restore(step=0)
        Reverse(step=0)
        Free(step=0)
    """
    check_count("steps", steps, least=1)
    check_count("checkpoints", checkpoints, least=1)
    return [Store(0), *reversed_steps(0, steps, checkpoints, here=True), Free(0)]


def store_all(steps: int) -> list[Action]:
    """Plan the reversal of a run that keeps every state: no step but one is done twice.

    That is :func:`revolve` with a place for every state (Griewank and Walther 2000).

    Args:
        steps: Steps of the run.

    Returns:
        Actions, in order.

    Raises:
        TypeError: If ``steps`` is not an int.
        ValueError: If ``steps`` is not positive.

    Example:
        >>> sum(isinstance(action, Store) for action in store_all(steps=4))
        4
    """
    return revolve(steps, steps)


def _sweeps(steps: int, checkpoints: int) -> int:
    """Return the least r such that r sweeps reverse so many steps."""
    r = 0
    while comb(checkpoints + r, checkpoints) < steps:
        r += 1
    return r


def reversed_steps(
    start: int, stop: int, places: int, *, here: bool
) -> Iterator[Action]:
    """Yield the reversal of steps whose first state is kept, one of the places.

    ``here``: whether the run is at that state already.
    """
    while stop - start > 1 and places > 1:
        split = start + _split(stop - start, places)
        if not here:
            yield Restore(start)
        yield Advance(start, split)
        yield Store(split)
        yield from reversed_steps(split, stop, places - 1, here=True)
        yield Free(split)
        stop, here = split, False
    for step in reversed(range(start, stop)):
        if not here:
            yield Restore(start)
        if step > start:
            yield Advance(start, step)
        yield Reverse(step)
        here = False


def _split(steps: int, places: int) -> int:
    """Return after how many steps the next state is kept."""
    r = _sweeps(steps, places)
    least_later = comb(places + r - 2, places - 1)  # what it can do in a sweep less
    return max(1, min(comb(places + r - 1, places), steps - least_later))
