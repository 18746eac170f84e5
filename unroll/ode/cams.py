"""The checkpoint game with a second kind of piece: the stages of a step."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from unroll._checks import check_count
from unroll.ode.schedule import Action, Advance, Free, Restore, Reverse, Store

__all__ = ["FreeStages", "StoreStages", "cams", "cams_extra_steps"]


@dataclass(frozen=True)
class StoreStages:
    """Do a step and keep its stages, the last of which is the state after it.

    Args:
        step: Number of the step, from 0.
    """

    step: int


@dataclass(frozen=True)
class FreeStages:
    """Give up the places of the stages of a step.

    Args:
        step: Number of the step.
    """

    step: int


def cams_extra_steps(steps: int, budget: int, stages: int) -> int:
    r"""Return how many steps must be done again, at least, if stages may be kept.

    .. math:: F(m, u) = \min \big\{ m + F(m-1, u), \;
              \min_i i + F(m-i, u-1) + F(i, u), \;
              \min_i i + F(m-i, u-s) + F(i-1, u) \big\}

    steps to reverse ``m`` of them from a state that is kept, with ``u`` free places:
    nothing more is kept, or a state (one place), or the ``s`` stages of a step, which
    need not be done again to be reversed. ``F(0, u) = 0``, ``F(1, u) = 1``; the answer
    is ``F(N, c - 1) - N``. The first state stays to the end, also where the stages of
    the first step are kept and it is no longer needed. Zhang and Constantinescu 2023,
    J. Comput. Sci. 66 (CAMS), for methods whose last stage is the state (stiffly
    accurate ones).

    Args:
        steps: ``N``.
        budget: ``c``, vectors that fit into memory, the first state counted.
        stages: ``s``, vectors that the stages of a step take.

    Returns:
        Steps done again.

    Raises:
        TypeError: If an argument is not an int.
        ValueError: If an argument is not positive.

    Example:
        >>> cams_extra_steps(steps=15, budget=5, stages=2)
        18
    """
    _check(steps, budget, stages)
    return _fewest(steps, budget - 1, stages)[0][steps][budget - 1] - steps


def cams(
    steps: int, budget: int, stages: int
) -> list[Action | StoreStages | FreeStages]:
    """Plan the reversal of a run that may keep states and stages, with least work.

    A :class:`~unroll.ode.schedule.Reverse` of a step whose stages are kept does no step
    again, and the state after that step can be restored from them. Zhang and
    Constantinescu 2023, J. Comput. Sci. 66 (CAMS), by the dynamic programme of
    :func:`cams_extra_steps`. Where the budget is small, or a step has many stages, it
    gains little over :func:`~unroll.ode.schedule.revolve`; with one place more than
    stages, or less, nothing.

    Args:
        steps: Steps of the run.
        budget: Vectors that fit into memory, the first state counted.
        stages: Vectors that the stages of a step take.

    Returns:
        Actions, in order.

    Raises:
        TypeError: If an argument is not an int.
        ValueError: If an argument is not positive.

    Example:
        >>> for action in cams(steps=2, budget=2, stages=1):
        ...     print(action)
        Store(step=0)
        StoreStages(step=0)
        Reverse(step=1)
        Reverse(step=0)
        FreeStages(step=0)
        Free(step=0)
    """
    _check(steps, budget, stages)
    _, choices = _fewest(steps, budget - 1, stages)

    def reversed_(start: int, stop: int, places: int) -> Iterator:
        """Yield the reversal of steps from a state that is kept, where the run is."""
        here = True
        while stop > start:
            kind, i = choices[stop - start][places]
            split = start + i
            if not here:
                yield Restore(start)
            done = split if kind is Store else split - 1
            if done > start:
                yield Advance(start, done)
            if kind is Store:
                yield Store(split)
                yield from reversed_(split, stop, places - 1)
                yield Free(split)
            elif kind is StoreStages:
                yield StoreStages(split - 1)
                yield from reversed_(split, stop, places - stages)
                yield Reverse(split - 1)
                yield FreeStages(split - 1)
            else:
                yield Reverse(split - 1)
            stop, here = done, False

    return [Store(0), *reversed_(0, steps, budget - 1), Free(0)]


def _check(steps: int, budget: int, stages: int) -> None:
    check_count("steps", steps, least=1)
    check_count("budget", budget, least=1)
    check_count("stages", stages, least=1)


@lru_cache(maxsize=8)
def _fewest(steps: int, places: int, stages: int) -> tuple[list, list]:
    """Return ``F(m, u)`` and the choice that attains it, as ``[m][u]``.

    A choice is what is kept (:class:`Store`, :class:`StoreStages`, or None), and after
    how many steps.
    """
    F = [[0] * (places + 1), [1] * (places + 1)]
    choices: list = [[], [(None, 1)] * (places + 1)]
    for m in range(2, steps + 1):
        F.append([])
        choices.append([])
        for u in range(places + 1):
            least = m + F[m - 1][u]
            choice: tuple[type | None, int] = (None, m)
            for kind, cost in ((Store, 1), (StoreStages, stages)):
                if cost > u:
                    continue
                left = 0 if kind is Store else 1  # steps of the first part
                work, i = min(
                    (i + F[m - i][u - cost] + F[i - left][u], i) for i in range(1, m)
                )
                if work < least:
                    least, choice = work, (kind, i)
            F[m].append(least)
            choices[m].append(choice)
    return F, choices
