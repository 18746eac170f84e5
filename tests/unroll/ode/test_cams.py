"""Plans that keep stages: golden values, the rules, and all plans there are."""

from collections.abc import Iterator
from heapq import heappop, heappush

import pytest
import torch

from unroll.ode import (
    CRANK_NICOLSON,
    IMPLICIT_EULER,
    RK4,
    SDIRK2,
    Adaptive,
    Advance,
    Discrete,
    Free,
    FreeStages,
    Restore,
    Reverse,
    Store,
    StoreStages,
    Through,
    cams,
    cams_extra_steps,
    extra_steps,
    newton,
    odeint,
)


def play(plan: list, steps: int, stages: int) -> tuple[int, int]:
    """Play by the rules; return the steps done, and the most places that were taken."""
    at, states, kept, done, most, left = 0, set(), set(), 0, 0, steps
    for action in plan:
        match action:
            case Store(step):
                assert step == at and step not in states
                states.add(step)
            case StoreStages(step):
                assert step == at and step not in kept
                kept.add(step)
                done, at = done + 1, step + 1
            case Restore(step):
                assert step in states or step - 1 in kept
                at = step
            case Free(step):
                states.remove(step)
            case FreeStages(step):
                kept.remove(step)
            case Advance(start, stop):
                assert start == at < stop
                done, at = done + stop - start, stop
            case Reverse(step):
                assert step == left - 1, "from the last to the first"
                assert step in kept or step == at
                done, left, at = done + (step not in kept), step, None
        most = max(most, len(states) + stages * len(kept))
    assert left == 0 and not states and not kept
    return done, most


GOLDEN = {  # steps, budget: extra steps with so many stages
    (15, 5): {2: 18},
    (10, 3): {1: 8, 2: 14, 4: 15, 7: 15},
    (50, 5): {1: 75, 2: 112, 4: 121, 7: 122},
    (100, 10): {1: 125, 2: 167, 4: 198, 7: 216},
    (100, 20): {2: 94, 3: 121, 4: 138, 6: 154},
}


@pytest.mark.parametrize("case", GOLDEN)
def test_golden_values(case: tuple[int, int]) -> None:
    steps, budget = case
    for stages, extra in GOLDEN[case].items():
        assert cams_extra_steps(steps, budget, stages) == extra
        done, most = play(cams(steps, budget, stages), steps, stages)
        assert done == steps + extra
        assert most <= budget


def test_revolve_does_more_where_stages_fit() -> None:
    assert extra_steps(15, 5) == 23
    assert cams_extra_steps(15, 5, 2) == 18


@pytest.mark.parametrize("stages", [1, 2, 3, 5])
def test_plans_keep_the_rules_and_are_never_worse_than_revolve(stages: int) -> None:
    for steps in (1, 2, 3, 7, 20, 41):
        for budget in (1, 2, 4, 9):
            done, most = play(cams(steps, budget, stages), steps, stages)
            extra = cams_extra_steps(steps, budget, stages)
            assert done == steps + extra and most <= budget
            assert extra <= extra_steps(steps, budget)
            if budget <= stages:
                assert extra == extra_steps(steps, budget)


def test_with_a_place_for_all_stages_no_step_is_done_again() -> None:
    assert cams_extra_steps(12, 1 + 11 * 2, 2) == 0
    assert play(cams(12, 23, 2), 12, 2) == (12, 23)


def moves(position: tuple, budget: int, stages: int) -> Iterator[tuple[int, tuple]]:
    """Yield what may be done at a position of the game: steps, and what follows.

    A position is where the run is (None: nowhere), how many steps are left to reverse,
    which states are kept, and of which steps the stages. The first state stays.
    """
    at, left, states, kept = position
    places = budget - len(states) - stages * len(kept)
    for step in states - {0}:
        yield 0, (at, left, states - {step}, kept)
    for step in kept:
        yield 0, (at, left, states, kept - {step})
    if left - 1 in kept:
        yield 0, (None, left - 1, states, kept)
    for start in states | {step + 1 for step in kept}:
        yield 0, (start, left, states, kept)
    if at is None or at >= left:
        return
    yield 1, (at + 1, left, states, kept)
    if at == left - 1:
        yield 1, (None, left - 1, states, kept)
    if places >= stages:
        yield 1, (at + 1, left, states, kept | {at})
    if places >= 1:
        yield 0, (at, left, states | {at}, kept)


def searched(steps: int, budget: int, stages: int) -> int:
    """The fewest steps of all ways to play: Dijkstra over the positions."""
    queue, seen, number = [(0, 0, (0, steps, frozenset({0}), frozenset()))], set(), 0
    while queue:
        done, _, position = heappop(queue)
        if position[1] == 0:
            return done
        if position in seen:
            continue
        seen.add(position)
        for cost, following in moves(position, budget, stages):
            number += 1  # ties are broken by it: positions have no order
            heappush(queue, (done + cost, number, following))
    raise AssertionError("the game cannot be won")


@pytest.mark.parametrize(
    "case", [(4, 2, 1), (5, 3, 2), (6, 2, 1), (6, 3, 1), (6, 4, 2)]
)
def test_no_way_to_play_does_less(case: tuple[int, int, int]) -> None:
    steps, budget, stages = case
    assert searched(*case) == steps + cams_extra_steps(steps, budget, stages)


def test_refuses_by_name() -> None:
    with pytest.raises(ValueError, match="budget is 0"):
        cams(3, 0, 2)
    with pytest.raises(ValueError, match="stages is 0"):
        cams_extra_steps(3, 4, 0)
    with pytest.raises(TypeError, match=r"steps is 2\.0"):
        cams(2.0, 3, 1)


METHODS = {
    "IMPLICIT_EULER": (IMPLICIT_EULER, 1, 1),  # stages that are kept, and solved
    "CRANK_NICOLSON": (CRANK_NICOLSON, 2, 1),
    "SDIRK2": (SDIRK2, 2, 2),
}


class Field(torch.nn.Module):
    """Depends on time, and is not symmetric."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.W = torch.nn.Parameter(torch.randn(3, 3, generator=generator).double())

    def forward(self, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x @ self.W.T + t) - 2 * x


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("steps", "budget"), [(15, 5), (9, 3), (6, 20), (4, 1)])
def test_an_adjoint_follows_the_plan(name, steps, budget, monkeypatch) -> None:
    method, kept, solved = METHODS[name]
    field, solves = Field(), []
    plain = newton._newton

    def counted(*args):
        solves.append(1)
        return plain(*args)

    monkeypatch.setattr(newton, "_newton", counted)
    x0 = torch.linspace(-1, 1, 6, dtype=torch.float64).view(2, 3).requires_grad_()
    t = torch.linspace(0, 1, steps + 1, dtype=torch.float64) ** 1.5
    x = odeint(field, x0, t, method, Discrete(budget, stages=True))
    _, _, (*_, memory) = x.grad_fn.all
    x.square().sum().backward()
    assert memory.most <= budget
    extra = cams_extra_steps(steps, budget, kept)
    assert len(solves) == solved * (steps + extra)
    ours = [x.detach(), x0.grad, field.W.grad]
    exact = odeint(field, x0, t, method, Through())
    found = torch.autograd.grad(exact.square().sum(), (x0, field.W))
    for one, other in zip(ours, (exact.detach(), *found), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)


def test_the_budget_is_used_up() -> None:
    """The counts of PETSc's example, by an adjoint: 18 steps again, five vectors."""
    x0 = torch.ones(1, 3, dtype=torch.float64, requires_grad=True)
    t = torch.linspace(0, 1, 16, dtype=torch.float64)
    x = odeint(Field(), x0, t, CRANK_NICOLSON, Discrete(5, stages=True))
    _, _, (*_, memory) = x.grad_fn.all
    assert memory.most == 5
    assert memory.stages, "revolve would need 23"


def test_stages_that_save_nothing_are_refused() -> None:
    x0, t = torch.ones(1, 3, dtype=torch.float64), torch.linspace(0, 1, 4).double()
    for method in (RK4, Adaptive()):
        with pytest.raises(ValueError, match=f"{type(method).__name__}.*not worth"):
            odeint(Field(), x0, t, method, Discrete(5, stages=True))
    with pytest.raises(ValueError, match="checkpoints is None: expected a number"):
        Discrete(stages=True)
