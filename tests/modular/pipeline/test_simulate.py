"""The clock against an independent longest path, on random costs."""

from fractions import Fraction as F
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modular.pipeline import Chimera, Cost, GPipe, Network, OneFOneB, Op, simulate
from modular.pipeline.cost import per_stage, times_of
from tests.modular.pipeline.cases import SCHEMES

KINDS = ("forward", "backward", "input", "weight", "recompute")


def longest_path(ops: dict[int, list[Op]], times, sizes, alpha, beta) -> F:
    """Return when all is done, from the definition, by recursion."""
    home = {(op.pipe, op.stage): rank for rank, row in ops.items() for op in row}
    own = ("forward", "recompute", "weight")
    slot = {
        (op.kind in own and op.kind, op.stage, op.micro): (rank, i)
        for rank, row in ops.items()
        for i, op in enumerate(row)
    }
    last = max(op.stage for row in ops.values() for op in row)

    @cache
    def end(rank: int, i: int) -> F:
        op = ops[rank][i]
        begin = end(rank, i - 1) if i else F(0)
        down = op.kind == "forward"
        other = op.stage + (-1 if down else 1)
        if op.kind in ("forward", "backward", "input") and 0 <= other <= last:
            r, j = slot[down and "forward", other, op.micro]
            size = sizes[other if down else op.stage] * op.count
            wait = 0 if home[op.pipe, other] == rank else alpha + beta * size
            begin = max(begin, end(r, j) + wait)
        return begin + times[KINDS.index(op.kind)][op.stage] * op.count

    return max(end(rank, len(row) - 1) for rank, row in ops.items())


share = st.fractions(min_value=0, max_value=3, max_denominator=12)


@settings(max_examples=30, deadline=None)
@given(
    scheme=st.sampled_from([*SCHEMES, Chimera(doubling=True)]),
    numbers=st.lists(share, min_size=24, max_size=24),
    alpha=share,
    beta=share,
)
def test_every_end_is_the_longest_path(scheme, numbers, alpha, beta) -> None:
    ops = dict(scheme.schedule(4, 8))
    stages = 1 + max(op.stage for row in ops.values() for op in row)
    pick = [numbers[i : i + stages] for i in range(0, 24, 3)]
    cost = Cost(pick[0], [a + b for a, b in zip(pick[1], pick[2], strict=True)])
    cost = Cost(cost.forward, cost.backward, input=pick[1], message=pick[3])
    found = simulate(ops, cost, Network(alpha, beta))
    times, sizes = times_of(cost, stages), per_stage(cost, "message", stages)
    assert found.makespan == longest_path(ops, times, sizes, alpha, beta)


def test_the_critical_path_has_no_gap_and_ends_last() -> None:
    for scheme in SCHEMES:
        ops = scheme.schedule(4, 8)
        cost = Cost(2, 3, recompute=1)
        found = simulate(ops, cost)
        times = times_of(cost, 8)
        length = sum(times[KINDS.index(op.kind)][op.stage] for op in found.path)
        assert length == found.makespan
    assert len(simulate(OneFOneB().schedule(4, 4), Cost(1, 1)).path) == 14


def test_the_timeline_has_every_operation_in_order() -> None:
    schedule = Chimera().schedule(4, 4)
    found = simulate(schedule, Cost(F(1, 3), F(1, 2)))
    for rank, ops in schedule.items():
        rows = found.timeline[rank]
        assert [op for op, _, _ in rows] == ops
        work = sum(end - begin for _, begin, end in rows)
        assert 1 - work / found.makespan == found.bubble[rank]
        assert all(a[2] <= b[1] for a, b in zip(rows, rows[1:], strict=False))


def test_floats_are_taken_exactly() -> None:
    """Numbers that no common unit of 64 bits can hold."""
    forward, backward = [0.1, 1e-7, 3.3, 1 / 3], [0.7, 1e5, 2e-9, 0.3]
    found = simulate(OneFOneB().schedule(4, 6), Cost(forward, backward))
    ops = dict(OneFOneB().schedule(4, 6))
    times = times_of(Cost(forward, backward), 4)
    assert found.makespan == longest_path(ops, times, [F(1)] * 4, 0, 0)


def test_messages_are_counted_where_ranks_differ() -> None:
    cost = Cost(message=[F(1, 2), 3, 5, 100])
    found = simulate(GPipe().schedule(4, 6), cost)
    assert found.traffic == {
        (0, 1): 3, (1, 0): 3, (1, 2): 18, (2, 1): 18, (2, 3): 30, (3, 2): 30
    }  # fmt: skip
    lone = {0: [op for rank in (0, 1) for op in GPipe().schedule(2, 1)[rank]]}
    lone[0] = [lone[0][i] for i in (0, 2, 3, 1)]
    found = simulate(lone, Cost(1, 1), Network(alpha=9))
    assert (found.makespan, found.traffic) == (4, {})


def test_distance_costs_twice_as_much_on_the_way_there_and_back() -> None:
    one = simulate(OneFOneB().schedule(5, 1), Cost(1, 1))
    far = simulate(OneFOneB().schedule(5, 1), Cost(1, 1, message=2), Network(3, 5))
    assert far.makespan - one.makespan == 2 * 4 * (3 + 5 * 2)


def test_costs_are_checked_at_the_door() -> None:
    with pytest.raises(ValueError, match="forward is -1"):
        Cost(-1)
    with pytest.raises(ValueError, match="alpha is nan"):
        Network(float("nan"))
    with pytest.raises(ValueError, match="forward has 3 numbers: expected 4"):
        simulate(GPipe().schedule(4, 4), Cost([1, 2, 3]))
    with pytest.raises(ValueError, match=r"input\[0\] is 3: expected at most the back"):
        simulate(GPipe().schedule(2, 2), Cost(1, 2, input=3))
