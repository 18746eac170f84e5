"""Cuts, merges and recomputation against exhaustive search, and on real layers."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributed.pipelining import pipeline
from torch.utils.checkpoint import checkpoint

from modular.meter import SavedTensors
from modular.pipeline import (
    Cost,
    Network,
    OneFOneB,
    Virtual,
    coarsen,
    cut,
    plan,
    recompute_plan,
    simulate,
    split_spec,
)
from modular.profile import Profile, profile

numbers = st.integers(0, 9)


def costs(rows: list[tuple[int, ...]]) -> Profile:
    """Return a profile of whole numbers: seconds, parameters, saved, boundary."""
    time, parameters, saved, boundary = map(torch.tensor, zip(*rows, strict=True))
    return Profile(time.double(), 2 * time.double(), time, parameters, saved, boundary)


row = st.tuples(numbers, numbers, numbers, numbers)
layers = st.lists(row, min_size=1, max_size=12)


@given(layers, st.integers(1, 5), st.integers(0, 3), st.integers(60, 900))
@settings(max_examples=80, deadline=None)
def test_a_plan_is_as_good_as_exhaustive_search(rows, stages, beta, memory) -> None:
    n, network = len(rows), Network(alpha=1, beta=beta)
    best = float("inf")
    for cuts in itertools.combinations(range(1, n), stages - 1):
        ends = list(itertools.pairwise([0, *cuts, n]))
        worst = 0
        for s, (a, b) in enumerate(ends):
            held = 2 * sum(row[2] for row in rows[a:b]) * (stages - s)
            if 16 * sum(row[1] for row in rows[a:b]) + held > memory:
                worst = float("inf")
            sends = [rows[i][3] for i in (a - 1, b - 1) if 0 <= i < n - 1]
            time = 3 * sum(row[0] for row in rows[a:b])
            worst = max(worst, time + sum(1 + beta * 2 * size for size in sends))
        best = min(best, worst)
    ask = {"rows": 2, "memory": memory, "network": network}
    if best == float("inf"):
        with pytest.raises(ValueError, match=f"{n} layers, {stages} stages"):
            plan(costs(rows), stages, **ask)
        return
    found = plan(costs(rows), stages, **ask)
    assert found.slowest == best and max(found.bytes) <= memory
    assert len(found.cuts) == stages - 1


@given(layers)
@settings(max_examples=30, deadline=None)
def test_more_stages_are_never_slower_where_messages_cost_nothing(rows) -> None:
    slowest = [plan(costs(rows), D).slowest for D in range(1, len(rows) + 1)]
    assert slowest == sorted(slowest, reverse=True)


def blocks() -> list[nn.Module]:
    torch.manual_seed(0)
    widths = [8, 32, 8, 8, 64, 8, 8]
    return [
        nn.Sequential(nn.Linear(a, b), nn.GELU())
        for a, b in zip(widths, widths[1:], strict=False)
    ]


def test_a_cut_model_is_the_model_bitwise() -> None:
    net, x = blocks(), torch.randn(12, 8)
    found = plan(profile(net, x), 3, rows=12)
    stages = cut(net, found.cuts)
    assert torch.equal(nn.Sequential(*stages)(x), nn.Sequential(*net)(x))
    step = Virtual(OneFOneB().schedule(3, 4), stages, nn.MSELoss()).step(x, x)
    counted = simulate(OneFOneB().schedule(3, 4), found.cost).peak
    share = [4 * int(a) for a in step.saved_bytes]  # micro-batches of a fourth
    assert share[:2] == [int(n) for n in counted[:2]]


def test_torch_cuts_where_it_is_told() -> None:
    net, x = nn.Sequential(*blocks()), torch.randn(12, 8)
    names = [str(index) for index in range(len(net))]
    pipe = pipeline(net, mb_args=(x,), split_spec=split_spec(names, [2, 5]))
    assert pipe.num_stages == 3
    assert torch.equal(pipe(x)[0], net(x))


items = st.lists(row, min_size=2, max_size=7)


def cheapest(rows, inputs: list[int], flight: int, budget: int) -> int | None:
    """Return the least time of doing layers again so that the rest fits."""
    found = []
    for again in itertools.product((False, True), repeat=len(rows)):
        held = redo = cost = 0
        for (time, _, saved, _), before, twice in zip(rows, inputs, again, strict=True):
            held += before if twice else saved
            redo, cost = (max(redo, saved), cost + time) if twice else (redo, cost)
        if flight * held + redo <= budget:
            found.append(cost)
    return min(found, default=None)


@given(items, st.integers(0, 60), st.data())
@settings(max_examples=80, deadline=None)
def test_recomputation_fits_and_costs_the_least(rows, budget, data) -> None:
    at = data.draw(st.integers(1, len(rows) - 1))
    inputs = [0, *(row[3] for row in rows[:-1])]
    expected = [
        cheapest(rows[:at], inputs[:at], 2, budget),
        cheapest(rows[at:], inputs[at:], 1, budget),
    ]
    if None in expected:
        shown = f"budget is {budget} bytes, but stage {expected.index(None)}"
        with pytest.raises(ValueError, match=shown):
            recompute_plan(costs(rows), [at], budget)
        return
    found = recompute_plan(costs(rows), [at], budget)
    assert list(found.seconds) == expected
    assert max(found.bytes) <= budget


class Again(nn.Module):
    """A layer that is done again."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, h: Tensor) -> Tensor:
        return checkpoint(self.layer, h, use_reentrant=False)


@pytest.mark.parametrize("share", [0.45, 0.6, 0.8, 1.0])
def test_recomputation_stays_within_its_budget_in_bytes(share: float) -> None:
    net, x = blocks(), torch.randn(6, 8)
    found = profile(net, x)
    budget = int(share * 2 * int(found.saved_bytes.sum()) * 6)
    chosen = recompute_plan(found, [], budget, rows=6)
    wrapped = [Again(f) if i in chosen.layers[0] else f for i, f in enumerate(net)]
    with SavedTensors([*nn.Sequential(*net).parameters()]) as meter:
        nn.Sequential(*wrapped)(x).sum().backward()
    assert meter.peak <= chosen.bytes[0] <= budget
    assert (chosen.layers[0] == ()) == (int(found.saved_bytes.sum()) * 6 <= budget)


part = st.fractions(0, 4, max_denominator=3)


@given(st.lists(st.tuples(part, part), min_size=1, max_size=6), part, st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_merging_never_lengthens_the_critical_path(parts, alpha, micros) -> None:
    forward, message = map(list, zip(*parts, strict=True))
    network = Network(alpha, 1)
    cost = Cost(forward, [2 * f for f in forward], message=message)
    cuts = coarsen(cost, len(parts), micros, network)

    def span(cuts: list[int]):
        ends = list(itertools.pairwise([0, *cuts, len(parts)]))
        sums = [sum(forward[a:b]) for a, b in ends]
        sizes = [message[b - 1] for _, b in ends]
        merged = Cost(sums, [2 * s for s in sums], message=sizes)
        schedule = OneFOneB().schedule(len(ends), micros)
        return simulate(schedule, merged, network).makespan

    now = span(cuts)
    assert now <= span(list(range(1, len(parts))))
    for i in range(len(cuts)):
        assert span(cuts[:i] + cuts[i + 1 :]) > now, "another merger would be free"


def test_known_mergers() -> None:
    far = coarsen(Cost(1, 2), parts=8, micros=16, network=Network(alpha=10))
    assert len(far) < 7
    assert coarsen(Cost(1, 2), parts=4, micros=16) == [1, 2, 3]
    assert coarsen(Cost([1, 1, 8], [2, 2, 16]), parts=3, micros=8) == [2]
    early = Cost([4, 1, 1], [8, 2, 2])  # two ranks start with a forward less than three
    assert coarsen(early, parts=3, micros=8) == [1, 2]


def test_what_does_not_fit_is_refused() -> None:
    found = profile(blocks(), torch.randn(2, 8))
    with pytest.raises(ValueError, match="6 layers, 7 stages"):
        plan(found, 7)
    with pytest.raises(ValueError, match="memory of 10 bytes"):
        plan(found, 2, memory=10)
    with pytest.raises(ValueError, match="memory is -1"):
        plan(found, 2, memory=-1)
    with pytest.raises(ValueError, match=r"cuts is \[3, 3\]: expected increasing"):
        cut(blocks(), [3, 3])
    with pytest.raises(ValueError, match="cuts has 2: expected 1 to 1"):
        split_spec(["a", "b"], [2])
    with pytest.raises(ValueError, match="parts is 0"):
        coarsen(Cost(), 0, 4)
