"""What chapter 42 says of stored runs is what was measured."""

from itertools import pairwise
from statistics import median

from course.kit import stored

RECORD = stored("pipeline")
CUTS, GPT = RECORD["cuts"], RECORD["gpt"]
WHERE, AGAIN, FAR = CUTS["where"], CUTS["again"], CUTS["distance"]


def test_a_plan_is_near_the_best_and_equal_layers_are_not() -> None:
    """Signature result."""
    for row in WHERE["GPT"].values():
        assert 1 <= row["best"] <= row["plan"] < 1.02 * row["best"]
        assert row["plan"] < row["equal parameters"] <= row["equal layers"]
        assert row["plan"] < row["at random"]
    four = WHERE["GPT"]["4"]
    assert 0.7 < four["plan"] / four["equal layers"] < 0.8, (
        "worth a quarter of the time"
    )


def test_where_costs_are_known_by_another_name_or_equal_a_plan_gains_nothing() -> None:
    """Signature result, the right half of its figure and the control."""
    for row in WHERE["uneven chains"].values():
        assert row["plan"][0] < row["equal layers"][0] < row["at random"][0]
        assert abs(row["plan"][0] / row["equal parameters"][0] - 1) < 0.01
    for row in WHERE["equal chains"].values():
        assert 0.999 < row["plan"] / row["equal layers"] < 1.02


def test_recomputation_that_knows_the_stage_is_slower_nowhere() -> None:
    for row in AGAIN.values():
        assert row["stage-aware"] <= row["as the first stage"] < row["all again"]
    assert AGAIN["1.0"]["stage-aware"] == 1
    assert AGAIN["0.5"]["stage-aware"] < 1.05 and AGAIN["0.5"]["all again"] > 1.3


def test_merging_is_near_the_best_plan_and_once_ahead() -> None:
    ratios = {alpha: row["merged"] / row["best plan"] for alpha, row in FAR.items()}
    assert max(ratios.values()) < 1.02
    assert min(ratios, key=ratios.get) == "16.0" and ratios["16.0"] < 1
    assert FAR["0.0"]["all parts"] == FAR["0.0"]["merged"], "free messages, one layer"
    assert FAR["0.0"]["merged stages"] == 4 and FAR["32.0"]["merged stages"] == 1
    assert FAR["32.0"]["all parts"] > 2
    times = [row["all parts"] for row in FAR.values()]
    assert all(a < b for a, b in pairwise(times))


def test_five_ways_learn_alike_and_local_losses_do_not() -> None:
    """Section 6."""
    rows = {name: row for name, row in GPT["rows"].items() if name != "local learning"}
    assert len(rows) == 5
    for losses in zip(*(row["loss"] for row in rows.values()), strict=True):
        assert max(losses) - min(losses) < 1e-5
    names = ("entropy", "one loss", "losses of their own")
    learning = [GPT["learning"][name] for name in names]
    for least, one, own in zip(*learning, strict=True):
        assert least < one < own
    alone, piped = GPT["rows"]["local learning"], GPT["rows"]["1F1B"]
    assert median(alone["cpu_seconds"]) < 0.8 * median(piped["cpu_seconds"])
    assert min(alone["saved_bytes"]) > 2 * max(piped["saved_bytes"])
