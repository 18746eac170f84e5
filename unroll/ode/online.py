"""The checkpoint game for a run of unknown length."""

from math import inf

from unroll._checks import check_count
from unroll.ode.schedule import Action, Advance, Free, Store, reversed_steps

__all__ = ["Online", "online"]


class Online:
    """Which states to keep while nobody knows how many steps there will be.

    The state that the run is at has a level, too, and is kept when the run goes on.
    When all places are taken, a state before one of a higher level is given up; if
    there is none, the run's own state goes on with it, a level higher: Wang, Moin and
    Iaccarino 2009, SIAM J. Sci. Comput. 31(4), where no step is done more often than
    by the plan for one step more that knows its length.

    Args:
        checkpoints: States that fit into memory, the first one counted; None for all.

    Raises:
        TypeError: If ``checkpoints`` is not an int.
        ValueError: If ``checkpoints`` is not positive.

    Example:
        >>> keep = Online(checkpoints=2)
        >>> [keep.before(step) for step in range(4)]
        [[Store(step=0)], [Store(step=1)], [], [Free(step=1), Store(step=3)]]
    """

    def __init__(self, checkpoints: int | None) -> None:
        if checkpoints is not None:
            check_count("checkpoints", checkpoints, least=1)
        self.checkpoints = checkpoints
        self._levels = {0: inf}  # of the states that are kept, and of the run's own

    def before(self, step: int) -> list[Action]:
        """Return what to do before a step, called for 0, 1, 2, ... in turn.

        Args:
            step: Number of the step.

        Returns:
            Actions, in order.
        """
        levels, most = self._levels, self.checkpoints
        if most is None or len(levels) <= most:
            levels[step + 1] = 0
            return [Store(step)]
        given_up, highest = None, -inf
        for kept in reversed(levels):
            if levels[kept] < highest:
                given_up = kept
            highest = max(highest, levels[kept])
        if given_up is None:
            levels[step + 1] = levels.pop(step) + 1
            return []
        del levels[given_up]
        levels[step + 1] = 0
        return [Free(given_up), Store(step)]

    def reversal(self, steps: int) -> list[Action]:
        """Return how to reverse the run, now that it has ended after so many steps.

        Args:
            steps: Steps of the run.

        Returns:
            Actions, in order.
        """
        plan: list[Action] = []
        stop = steps
        kept = [step for step in self._levels if step < steps]
        most = steps if self.checkpoints is None else self.checkpoints
        for i in reversed(range(len(kept))):
            plan += reversed_steps(kept[i], stop, most - i, here=False)
            plan.append(Free(kept[i]))
            stop = kept[i]
        return plan


def online(steps: int, checkpoints: int) -> list[Action]:
    """Plan the reversal of a run as if its length became known at its end only.

    What :class:`Online` does in a run that turns out to have so many steps; what comes
    before the first :class:`Reverse` does not depend on their number. Wang, Moin and
    Iaccarino 2009, SIAM J. Sci. Comput. 31(4).

    Args:
        steps: Steps of the run.
        checkpoints: States that fit into memory, the first one counted.

    Returns:
        Actions, in order.

    Raises:
        TypeError: If an argument is not an int.
        ValueError: If an argument is not positive.

    Example:
        >>> for action in online(steps=2, checkpoints=1):
        ...     print(action)
        Store(step=0)
        Advance(start=0, stop=1)
        Advance(start=1, stop=2)
        Restore(step=0)
        Advance(start=0, stop=1)
        Reverse(step=1)
        Restore(step=0)
        Reverse(step=0)
        Free(step=0)
    """
    check_count("steps", steps, least=1)
    keep, plan = Online(checkpoints), []
    for step in range(steps):
        plan += [*keep.before(step), Advance(step, step + 1)]
    return plan + keep.reversal(steps)
