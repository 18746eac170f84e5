"""Plans of reversal against the dynamic programme and the rules of the game."""

from functools import cache

import pytest

from unroll.ode import (
    Advance,
    Free,
    Restore,
    Reverse,
    Store,
    extra_steps,
    revolve,
    store_all,
)


@cache
def fewest(steps: int, free: int) -> int:
    """Return the fewest steps that reverse a run whose first state is kept."""
    if steps <= 1:
        return steps
    most = steps + fewest(steps - 1, free)
    if free == 0:
        return most
    return min(
        most,
        min(i + fewest(steps - i, free - 1) + fewest(i, free) for i in range(1, steps)),
    )


def play(plan: list, steps: int) -> tuple[int, int]:
    """Play by the rules; return the steps done, and the most states that were kept."""
    at, kept, done, most, left = 0, set(), 0, 0, steps
    for action in plan:
        match action:
            case Store(step):
                assert step == at and step not in kept
                kept.add(step)
            case Restore(step):
                assert step in kept
                at = step
            case Free(step):
                kept.remove(step)
            case Advance(start, stop):
                assert start == at < stop
                done, at = done + stop - start, stop
            case Reverse(step):
                assert step == at == left - 1, "from the last to the first"
                done, left, at = done + 1, step, None
        most = max(most, len(kept))
    assert left == 0 and not kept
    return done, most


@pytest.mark.parametrize("checkpoints", range(1, 31))
def test_a_plan_keeps_the_rules_and_the_count(checkpoints: int) -> None:
    for steps in range(1, 300, 1 if checkpoints in (1, 2, 3, 7, 30) else 13):
        done, most = play(revolve(steps, checkpoints), steps)
        assert done == steps + extra_steps(steps, checkpoints)
        assert most <= checkpoints


@pytest.mark.parametrize("checkpoints", [1, 2, 3, 5, 9])
def test_no_plan_does_less(checkpoints: int) -> None:
    for steps in range(1, 70):
        least = fewest(steps, checkpoints - 1)
        assert steps + extra_steps(steps, checkpoints) == least


@pytest.mark.parametrize(
    ("steps", "checkpoints", "extra"),
    [(10, 3, 15), (50, 5, 122), (100, 5, 316), (100, 10, 222), (1000, 5, 6284)]
    + [(1000, 10, 3636), (1000, 30, 2472), (15, 5, 23), (1, 1, 0), (5, 5, 4)],
)
def test_known_counts(steps: int, checkpoints: int, extra: int) -> None:
    assert extra_steps(steps, checkpoints) == extra
    assert play(revolve(steps, checkpoints), steps)[0] == steps + extra


def test_to_keep_all_does_each_step_but_the_last_twice() -> None:
    plan = store_all(20)
    assert play(plan, 20) == (39, 20)


def test_refuses_by_name() -> None:
    with pytest.raises(ValueError, match="checkpoints is 0"):
        revolve(3, 0)
    with pytest.raises(ValueError, match="steps is 0"):
        extra_steps(0, 3)
    with pytest.raises(TypeError, match=r"steps is 2\.0"):
        revolve(2.0, 3)
