"""What chapter 26 and the page of the denoiser say of stored runs was measured."""

from course.kit import stored
from tests.benchmarks.modular.lifted_unfolded import PAGE

CONTROL, LIFTED = "backpropagation, slope zero", "lifted"
MADE_UP, SLOPE = "straight through", "hard tanh, backpropagation"


def test_signs_learn_more_than_frozen_layers_and_less_than_with_a_made_up_slope() -> (
    None
):
    """Chapter 26, the left half of the signature result."""
    part = stored("lifted")["flat"]
    right = {n: [r["accuracy"] for r in runs] for n, runs in part["runs"].items()}
    assert part["seeds"] == 5
    assert all(run["moved"] == 0 for run in part["runs"][CONTROL])
    for k in range(5):
        assert right[LIFTED][k] > right[CONTROL][k] + 10
        assert right[MADE_UP][k] > right[LIFTED][k] + 3
    passes = {n: row["passes"] for n, row in part["rows"].items()}
    assert passes[LIFTED] == 34 * passes[MADE_UP]


def test_at_equal_cost_backpropagation_has_the_better_autoencoders() -> None:
    """Chapter 26, the right half of the signature result."""
    record = stored("lifted")
    for name in ("autoencoder", "denoising", "wide"):
        part = record[name]
        sides = {n.partition(",")[0] for n in part["rows"]}
        assert sides == {"lifted", "backpropagation"} and part["seeds"] == 5
        for side, runs in part["runs"].items():
            if side.startswith("lifted"):
                twin = part["runs"][side.replace("lifted", "backpropagation")]
                for one, other in zip(runs, twin, strict=True):
                    assert abs(one["passes"] / other["passes"] - 1) < 0.05
                    assert other["objective"] < one["objective"]


def test_relus_are_within_a_point_at_equal_epochs_and_cost_many_times() -> None:
    """Chapter 26, "When it fails"."""
    part = stored("lifted")["bregman"]
    twin, lifted = part["rows"]["backpropagation"], part["rows"]["lifted Bregman"]
    assert part["seeds"] == 5
    assert lifted["accuracy"] > twin["accuracy"] - 1
    assert lifted["passes"] > 30 * twin["passes"]


def test_the_unrolled_denoiser_gains_what_its_page_says() -> None:
    part = stored("lifted")["unfolded"]
    runs = {name: [r["psnr"] for r in rows] for name, rows in part["runs"].items()}
    assert part["seeds"] == 5 and "five paired seeds, twenty" in PAGE.read_text()
    twin, last = runs["backpropagation"], runs["control, only the last L"]
    start = runs["iteration, 10 layers"]
    small, one = runs["lifted, α = 0.01"], runs["lifted, α = 1"]
    more = runs["lifted, α = 1, five rounds"]
    spread = max(twin) - min(twin)
    for k in range(5):  # paired
        assert abs(small[k] - twin[k]) < 0.2 * spread
        assert start[k] - 0.05 < more[k] < one[k] < last[k] < twin[k]
        assert last[k] - start[k] > 0.5 * (twin[k] - start[k]) > 0
    passes = {name: row["passes"] for name, row in part["rows"].items()}
    assert 2 <= passes["lifted, α = 0.01"] / passes["backpropagation"] < 2.5


def test_a_denoiser_that_is_asleep_is_woken_by_neither() -> None:
    part = stored("lifted")["asleep"]
    runs = {name: [r["psnr"] for r in rows] for name, rows in part["runs"].items()}
    last = runs.pop("control, only the last L")
    awake = [r["psnr"] for r in stored("lifted")["unfolded"]["runs"]["backpropagation"]]
    for k in range(5):
        assert max(rows[k] for rows in runs.values()) < last[k] < awake[k]
        assert runs["lifted, α = 1"][k] > runs["backpropagation"][k]
