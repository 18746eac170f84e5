"""Plans for a run of unknown length, and how close they come to the best."""

from collections import Counter

import pytest

from unroll.ode import Advance, Reverse, extra_steps, online
from unroll.ode.schedule import _sweeps

from .test_schedule import play


@pytest.mark.parametrize("checkpoints", [1, 2, 3, 5, 8, 13])
def test_a_plan_keeps_the_rules_and_repeats_no_step_more_than_revolve(
    checkpoints: int,
) -> None:
    for steps in [*range(1, 40), 77, 150, 299]:
        plan = online(steps, checkpoints)
        done, most = play(plan, steps)
        assert most == min(checkpoints, steps)
        often: Counter = Counter()
        for action in plan:
            if isinstance(action, Advance):
                often.update(range(action.start, action.stop))
        assert max(often.values()) <= _sweeps(steps + 1, checkpoints)
        best = extra_steps(steps, checkpoints) + steps + 1
        assert steps + 1 < done + 1 <= 1.4 * best + 1


def test_the_first_sweep_does_not_know_the_end() -> None:
    def first(steps: int) -> list:
        plan = online(steps, 4)
        return plan[: next(i for i, a in enumerate(plan) if Advance(9, 10) == a)]

    assert first(10) == first(11) == first(200)


def test_with_a_place_for_every_state_each_step_is_done_twice() -> None:
    plan = online(7, 7)
    assert play(plan, 7) == (14, 7)
    assert sum(isinstance(action, Reverse) for action in plan) == 7


def test_refuses_by_name() -> None:
    with pytest.raises(ValueError, match="checkpoints is 0"):
        online(3, 0)
    with pytest.raises(ValueError, match="steps is 0"):
        online(0, 3)
    with pytest.raises(TypeError, match=r"checkpoints is 2\.0"):
        online(3, 2.0)
