"""A checker that lets nothing pass: what is wrong is named, with rank and slot."""

import random

import pytest
from torch.distributed.pipelining import schedules
from torch.distributed.pipelining._schedule_visualizer import get_schedule_ops

from modular.pipeline import (
    Chimera,
    Cost,
    OneFOneB,
    Op,
    Schedule,
    ZeroBubble,
    check,
    from_torch,
    simulate,
)
from tests.modular.pipeline.cases import SCHEMES


def lists(scheme=None, D: int = 4, N: int = 4) -> dict[int, list[Op]]:
    return dict((scheme or OneFOneB()).schedule(D, N))


def refused(ops: dict[int, list[Op]], shown: str) -> None:
    with pytest.raises(ValueError, match=shown):
        check(ops)


def test_what_is_missing_is_named() -> None:
    ops = lists()
    del ops[2][0]
    refused(
        ops,
        r"nobody does the forward of stage 2, micro-batch 0: expected it once, as "
        r"there is rank 2, slot 1 \(backward of stage 2, micro-batch 0\)",
    )
    ops = lists(ZeroBubble())
    ops[1].remove(Op("weight", 0, 1, 3))
    refused(ops, "nobody does the weight of stage 1, micro-batch 3")


def test_what_is_done_twice_is_named() -> None:
    ops = lists()
    ops[1].append(Op("backward", 0, 1, 2))
    refused(ops, r"rank 1, slot 8 \(backward of .*\) is done at rank 1, slot 6 \(back")
    ops = lists()
    ops[3].append(Op("input", 0, 3, 1))
    refused(ops, r"rank 3, slot 8 \(input of stage 3, .* 1\) is done at rank 3, slot 3")


def test_what_comes_too_early_is_named() -> None:
    ops = lists()
    ops[3][2], ops[3][3] = ops[3][3], ops[3][2]
    refused(
        ops,
        r"rank 3, slot 2 \(backward of stage 3, micro-batch 1\) comes before rank 3, "
        r"slot 3",
    )
    ops = lists(ZeroBubble())
    i, w = (ops[0].index(Op(kind, 0, 0, 1)) for kind in ("input", "weight"))
    ops[0][i], ops[0][w] = ops[0][w], ops[0][i]
    refused(ops, rf"rank 0, slot {i} \(weight of stage 0, micro-batch 1\) comes before")


def test_weights_need_an_input_gradient() -> None:
    ops = lists()
    ops[0].append(Op("weight", 0, 0, 1))
    refused(ops, r"slot 8 \(weight of .* 1\) follows no input's gradient")


def test_a_circle_is_named() -> None:
    f, b = Op("forward", 0, 0, 0), Op("backward", 0, 0, 0)
    ops = {
        0: [f, b, Op("forward", 0, 0, 1), Op("backward", 0, 0, 1)],
        1: [Op(k, 0, 1, m) for m in (1, 0) for k in ("forward", "backward")],
    }
    refused(
        ops,
        r"a circle: rank 0, slot 1 \(backward of stage 0, micro-batch 0\) waits for "
        r"rank 1, slot 3 .* rank 1, slot 0 .* waits for rank 0, slot 2",
    )


def test_a_stage_on_two_ranks_and_a_change_of_pipe_are_refused() -> None:
    ops = lists()
    ops[1].append(ops[0].pop())
    refused(ops, "works on a stage of pipe 0 that is on rank")
    ops = lists()
    ops[3][0] = Op("forward", 1, 3, 0)
    refused(ops, r"micro-batch 0\) is in pipe 1, but in pipe 0 elsewhere")


def test_forwards_of_two_stay_together() -> None:
    ops = lists(Chimera(doubling=True), D=2, N=4)
    index = next(i for i, op in enumerate(ops[1]) if op == Op("forward", 0, 1, 0, 2))
    ops[1][index : index + 1] = [Op("forward", 0, 1, 0), Op("forward", 0, 1, 1)]
    refused(ops, "expected the same micro-batches together at every stage")


def test_no_single_slip_passes_unless_it_is_harmless() -> None:
    """Drop, double or swap at random; what passes still computes and ends."""
    chance = random.Random(0)
    caught = 0
    for _ in range(300):
        ops = lists(chance.choice(SCHEMES))
        rank = chance.randrange(4)
        slip = chance.choice(("drop", "double", "swap"))
        a, b = (chance.randrange(len(ops[rank])) for _ in range(2))
        if slip == "drop":
            a = next(i for i, op in enumerate(ops[rank]) if op.kind != "recompute")
            del ops[rank][a]
        elif slip == "double":
            ops[rank].insert(b, ops[rank][a])
        else:
            ops[rank][a], ops[rank][b] = ops[rank][b], ops[rank][a]
        try:
            check(ops)
        except ValueError:
            caught += 1
        else:
            assert slip == "swap" and simulate(ops, Cost()).makespan > 0
    assert caught > 200


def test_ranks_and_operations_are_checked_at_the_door() -> None:
    with pytest.raises(ValueError, match=r"ranks \[0, 2\]"):
        Schedule.of({0: [], 2: []})
    with pytest.raises(TypeError, match="schedule is 3"):
        check(3)
    with pytest.raises(TypeError, match=r"an entry of ops is 'F0': expected a Op"):
        check({0: ["F0"]})
    with pytest.raises(ValueError, match="kind is 'F'"):
        Op("F", 0, 0, 0)
    with pytest.raises(ValueError, match="micro is -1"):
        Op("forward", 0, 0, -1)
    with pytest.raises(KeyError, match="rank is 4: expected 0 to 3"):
        OneFOneB().schedule(4, 4)[4]


IDLE = {  # at F = I = W, two stages a rank: D - 1 forwards of a stage, in N units
    "ScheduleInterleaved1F1B": lambda D: 3 * (D - 1),
    "ScheduleLoopedBFS": lambda D: 3 * (D - 1),
    "ScheduleInterleavedZeroBubble": lambda D: D - 1,
    "ScheduleZBVZeroBubble": lambda D: D - 1,
    "ScheduleDualPipeV": lambda D: D - 1,
}


@pytest.mark.parametrize("name", IDLE)
@pytest.mark.parametrize("D", [4, 8])
def test_torch_schedules_are_as_idle_as_known(name: str, D: int) -> None:
    for N in (2 * D, 4 * D):
        order = get_schedule_ops(getattr(schedules, name), D, N)
        found = simulate(from_torch(order), Cost(1, 2))
        assert found.makespan - 3 * 2 * N == IDLE[name](D)


def test_torch_prints_an_order_of_1f1b_that_hangs() -> None:
    """Training is right; what is shown is off by one on the last rank."""
    order = get_schedule_ops(schedules.Schedule1F1B, 4, 8)
    with pytest.raises(ValueError, match="forward of stage 3, micro-batch 0.*rank 3"):
        check(from_torch(order))
    right = from_torch(get_schedule_ops(schedules.ScheduleGPipe, 4, 8))
    check(right)


def test_actions_of_torch_are_read_as_text() -> None:
    found = from_torch({0: ["0F0", "0SEND_F0", None, "", "(0F1;0B0)OVERLAP_F_B"]})
    assert [str(op)[:8] for op in found[0]] == ["forward ", "forward ", "backward"]
    with pytest.raises(ValueError, match=r"order\[0\] has 'F0'"):
        from_torch([["F0"]])
    with pytest.raises(TypeError, match=r"order\[0\] is 5"):
        from_torch([5])
