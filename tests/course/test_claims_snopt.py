"""What the pages say of SNOpt and of the horizon, against the stored runs."""

import ast
from statistics import median

from course.kit import stored
from tests.benchmarks.unroll.ode_tables import shares


def test_snopt_is_far_below_on_the_spiral_but_for_one_seed() -> None:
    """Chapter 17, section 6; the page of systems."""
    rows = stored("ode")["spiral"]
    first = zip(rows["SGD"]["final"], rows["Adam"]["final"], strict=True)
    lower = [
        ours < 0.1 * min(pair)
        for ours, pair in zip(rows["SNOpt"]["final"], first, strict=True)
    ]
    assert lower.count(True) == 4
    stays = rows["SNOpt"]["curves"][lower.index(False)]["errors"]
    assert all(1.1 < error < 1.2 for error in stays[2:])
    assert min(rows["Adam, reversed"]["final"]) > 1000


def test_half_of_the_time_is_met_on_some_seeds_of_the_spiral_only() -> None:
    """The page of systems."""
    record = stored("ode")
    spiral, letters = (shares(record[name])[1] for name in ("spiral", "letters"))
    assert 0 < sum(part <= 0.5 for part in spiral) < 5
    assert not any(part <= 0.5 for part in letters)
    ends = [median(record["letters"][s]["final"]) for s in ("SGD", "Adam", "SNOpt")]
    assert max(ends) < 2 * min(ends)


def test_each_side_has_the_best_of_twelve_settings() -> None:
    """Chapter 17, section 6; the tables."""
    for name in ("spiral", "letters"):
        for side in ("SGD", "Adam", "SNOpt"):
            row = stored("ode")[name][side]
            tried = {k: v for k, v in row["search"].items() if v is not None}
            assert len(row["search"]) == 12
            assert str(row["setting"]) == min(tried, key=tried.__getitem__)


def test_no_side_has_its_best_setting_at_the_end_of_its_search() -> None:
    """The best number of every kind lies between smaller and larger ones tried."""
    for name in ("spiral", "letters"):
        for side in ("SGD", "Adam", "SNOpt"):
            row = stored("ode")[name][side]
            tried = [ast.literal_eval(setting) for setting in row["search"]]
            for key, value in row["setting"].items():
                numbers = {setting[key] for setting in tried}
                assert min(numbers) < value < max(numbers), (name, side, key)


def test_the_letters_are_read() -> None:
    accuracy = [c["accuracy"][-1] for c in stored("ode")["letters"]["SNOpt"]["curves"]]
    assert median(accuracy) > 0.95


def test_a_learned_horizon_saves_less_than_a_short_one_that_is_given() -> None:
    """Chapter 17, section 7; the page of systems."""
    rows = dict(stored("ode")["horizon"])
    rows.pop("search")

    def part(name: str, what: str) -> float:
        pairs = zip(rows[name][what], rows["fixed"][what], strict=True)
        return median(one / other for one, other in pairs)

    looks = {name: part(name, "looks") for name in rows}
    assert 0.85 < looks["learned"] < looks["learned from the first update"] < 1
    assert looks["fixed where the search ended"] < 0.8
    assert looks["fixed, one step"] == 1 / 8
    assert part("learned", "seconds") > 0.95
    accuracy = {name: row["accuracy"] for name, row in rows.items()}
    control = accuracy.pop("learned, time for nothing")
    assert control.count(None) > len(control) / 2
    for name, right in accuracy.items():
        assert 0.94 < median(right) < 0.97 and min(right) > 0.92, name
    assert median(accuracy["learned"]) >= median(accuracy["fixed"])
    grown = rows["learned from the first update"]["times"]
    assert all(max(times) > 1 for times in grown)


def test_torchode_with_joint_steps_is_the_quickest_autograd() -> None:
    """The page of systems."""
    rows = stored("ode")["adaptive"]
    joint = rows["torchode AutoDiffAdjoint, joint"]["ms"]
    assert median(joint) < median(rows["Discrete"]["ms"])
    for name in ("Discrete", "Discrete(8)"):
        pairs = zip(
            rows["torchdiffeq odeint_adjoint"]["ms"], rows[name]["ms"], strict=True
        )
        assert min(theirs / ours for theirs, ours in pairs) > 1.5
        assert max(rows[name]["gradient_error"]) < 1e-6 * min(
            rows["torchdiffeq odeint_adjoint"]["gradient_error"]
        )
        errors = (rows[n]["state_error"] for n in (name, "torchdiffeq odeint_adjoint"))
        assert all(a < b for a, b in zip(*errors, strict=True))
