"""What chapter 27 says of stored runs is what was measured."""

import math
from statistics import median

from course.kit import stored

TASKS = ("spirals", "digits")
BEST = "nested, 3 levels"


def costs(row: dict) -> list[float]:
    """Return the cost of each seed; not within the budget counts as infinite."""
    return [math.inf if run["cost"] is None else run["cost"] for run in row["runs"]]


def test_coarse_levels_first_need_the_fewest_gradients_on_each_seed() -> None:
    """Chapter 27, the left half of the signature result."""
    record = stored("multilevel")
    for task in TASKS:
        sides = record[task]
        assert record["setting"]["seeds"] == 5
        assert all(len(row["search"]) == 6 for row in sides.values())
        ahead = costs(sides[BEST])
        for name, row in sides.items():
            if not name.startswith(("nested", "V-cycles")):
                assert all(a < b for a, b in zip(ahead, costs(row), strict=True)), name
    gain = {t: record[t]["one level"]["cost"] / record[t][BEST]["cost"] for t in TASKS}
    assert gain["spirals"] > 3  # "a third of the gradients"
    assert 2 < gain["digits"] < 3  # "less than half"
    first = [record[t][BEST]["runs"] for t in TASKS]
    least = [min(run["cost"] for run in runs) for runs in first]
    at_once = [
        sum(run["cost"] == low for run in runs)
        for runs, low in zip(first, least, strict=True)
    ]
    assert at_once == [3, 4]  # "most runs arrive at the first look"


def test_adam_gains_from_coarse_levels_and_stays_behind() -> None:
    """Chapter 27: is it the levels, or what steps on them?"""
    record = stored("multilevel")
    for task, share in (("spirals", 0.64), ("digits", 0.74)):
        row = record["adam"][task]
        assert len(row["search"]) == 6 and row["reached"] == 5
        assert abs(row["cost"] / record[task]["Adam"]["cost"] - share) < 0.02
        behind = zip(costs(row), costs(record[task][BEST]), strict=True)
        assert all(a > 1.4 * b for a, b in behind)


def test_cycles_hardly_gain_and_their_ranges_overlap_with_one_level() -> None:
    """Chapter 27: V-cycles from the first step."""
    record = stored("multilevel")
    for task in TASKS:
        one = costs(record[task]["one level"])
        for levels in (2, 3):
            cycles = costs(record[task][f"V-cycles, {levels} levels"])
            assert 1 < median(one) / median(cycles) < 1.25
            assert max(cycles) > min(one) and max(one) > min(cycles)
    rest = {name: row["quiet"] for name, row in record["spirals"].items()}
    assert rest["one level"] < rest["V-cycles, 2 levels"] < rest["V-cycles, 3 levels"]


def test_gradients_come_below_the_tolerance_and_first_order_ones_do_not() -> None:
    """The issue's end: a gradient below 1e-4 within the budget."""
    record = stored("multilevel")
    assert record["setting"]["quiet"] == 1e-4
    for task in TASKS:
        for name in ("one level", "V-cycles, 2 levels", "nested, 2 levels", BEST):
            runs = record[task][name]["runs"]
            assert all(run["gradient"] < 1e-4 for run in runs), (task, name)
        assert all(run["quiet"] is None for run in record[task]["Adam"]["runs"])


def test_cycles_need_a_smooth_start_and_a_radius_of_their_own() -> None:
    """Chapter 27, the right half of the signature result."""
    why = stored("multilevel")["why"]
    both = why["V-cycles, two radii, smooth start"]
    radius = why["V-cycles, one radius, smooth start"]
    rough = why["V-cycles, two radii, rough start"]
    neither = why["V-cycles, one radius, rough start"]
    one, other = (why[f"one level, {kind} start"] for kind in ("smooth", "rough"))
    assert abs(both["cost"] / one["cost"] - 1) < 0.1
    assert abs(other["cost"] / one["cost"] - 1) < 0.1
    assert 1.7 < radius["cost"] / both["cost"] < 2.2 and radius["reached"] == 4
    assert rough["cost"] > radius["cost"] and rough["reached"] == 5
    assert neither["reached"] == 0
    for run in radius["runs"]:
        assert run["coarse"]["ratio"] > 0.9 and run["own"]["ratio"] < 0


def test_in_seconds_it_is_first_on_spirals_and_second_on_digits() -> None:
    """Chapter 27, "Seconds"."""
    record = stored("multilevel")
    for task, first in (("spirals", BEST), ("digits", "L-BFGS")):
        seconds = {name: row["seconds"] for name, row in record[task].items()}
        assert min(seconds, key=lambda name: seconds[name]) == first


def test_samples_grow_to_the_whole_set_and_save_an_eighth() -> None:
    """Chapter 27, section 7."""
    record = stored("multilevel")
    few, whole = (record["growing"][f"from {n}"] for n in (20, 400))
    assert few["reached"] == whole["reached"] == 5
    assert 0.85 < few["cost"] / whole["cost"] < 0.9
    assert record["digits"]["one level"]["cost"] < few["cost"]
    for run in few["runs"]:
        assert run["sizes"] == sorted(run["sizes"])
        assert run["sizes"][-1] > 300  # "to all 400, or nearly"


def test_a_curvature_of_one_costs_twice_as_much_on_one_level() -> None:
    """Chapter 27: the baseline that was not searched for."""
    tried = stored("multilevel")["spirals"]["one level"]["search"]
    default = [r for r in tried if r["setting"]["gamma"] == 1.0][0]["costs"]
    best = min(sum(row["costs"]) for row in tried)
    assert 2 < sum(default) / best < 2.4
