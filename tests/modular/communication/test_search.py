"""The search of rates gives every way to exchange the same chance."""

import math

import pytest
import torch

from tests.benchmarks.modular import rates, steps, workers

GRID = tuple(2.0**k for k in range(-6, 7))


def hill(top: float, calls: list) -> rates.Callable:
    """Return a run that is best at a rate, and notes its calls."""

    def run(seed: int, rate: float) -> dict:
        calls.append((seed, rate))
        return {"validation": 80 - 5 * abs(math.log2(rate / top)) + seed}

    return run


@pytest.mark.parametrize("top", [1 / 16, 1.0, 2.0, 16.0])
def test_the_best_rate_lies_between_two_others(top: float) -> None:
    calls: list = []
    row = rates.measured(hill(top, calls), GRID, 6, range(3), {})
    tried = rates.tried_by(row)
    assert row["rate"] == top and min(tried) < top < max(tried)
    assert [run["validation"] for run in row["runs"]] == [80, 81, 82]
    assert len(calls) == len(set(calls)) and not rates.open_ended(row, GRID)


def test_a_rate_far_behind_is_given_up_after_one_seed() -> None:
    calls: list = []
    row = rates.measured(hill(2.0, calls), GRID, 5, range(3), {})
    assert [call for call in calls if call[1] == 0.5] == [(0, 0.5)]
    assert row["searched"]["0.5"] is None


def test_a_stored_row_at_the_edge_is_gone_on_with() -> None:
    calls: list = []
    row = rates.measured(hill(4.0, calls), GRID[:9], 6, range(3), {})
    assert row["rate"] == 4.0 and rates.open_ended(row, GRID)
    done = len(calls)
    row = rates.measured(hill(4.0, calls), GRID, 6, range(3), row)
    assert row["rate"] == 4.0 and {rate for _, rate in calls[done:]} == {8.0}


def test_where_all_rates_diverge_smaller_ones_are_tried() -> None:
    def run(seed: int, rate: float) -> dict:
        return {"validation": 0.0 if rate > 0.1 else 50 - 300 * abs(rate - 1 / 16)}

    row = rates.measured(run, GRID, 6, range(2), {})
    assert row["rate"] == 1 / 16 and len(row["searched"]) == 8


def test_fewer_steps_are_better_and_none_is_worst() -> None:
    few, many, none = ([{"steps": count}] for count in (100, 101, None))
    assert rates.score(few) > rates.score(many) > rates.score(none)


def test_the_law_of_steps_is_found_where_it_holds() -> None:
    law = {size: 300 * (1 + 150 / size) for size in (8, 32, 128, 512)}
    least, scale = steps.fitted(law)
    assert math.isclose(least, 300, rel_tol=1e-9)
    assert math.isclose(scale, 150, rel_tol=1e-9)


def test_meeting_at_every_step_before_the_end_is_the_average() -> None:
    problem = workers.PROBLEMS["digits, convolutions"]
    task = problem.data(0)[1]
    pieces = list(workers.batches(task, workers.BATCH, 0, 1))
    ways = workers.Way(), workers.Way(period=8, before=1.0), workers.Way(period=8)
    plain, early, late = (
        (workers.local if way.period else workers.gathered)(
            workers.seeded(problem, 0), pieces, 0.2, way
        )
        for way in ways
    )
    both = list(zip(plain.parameters(), early.parameters(), strict=True))
    assert all(torch.allclose(p, q, rtol=0, atol=1e-12) for p, q in both)
    assert any(
        (p - q).abs().max() > 1e-4
        for p, q in zip(plain.parameters(), late.parameters(), strict=True)
    )
