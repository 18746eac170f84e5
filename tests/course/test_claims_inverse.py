"""What chapter 35 says of its stored runs is what was measured."""

from statistics import mean, median, stdev

from course.kit import stored

RECORD = stored("pinn_inverse")


def rows(level: str) -> list[dict]:
    return [r for n, r in RECORD["burgers"].items() if n.startswith(f"{level},")]


def viscosity(level: str, side: str) -> list[float]:
    return [row[f"{side}_off"][1] for row in rows(level)]


def speed(level: str, side: str) -> list[float]:
    return [abs(row[f"{side}_off"][0]) for row in rows(level)]


def off(way: str) -> list[float]:
    return [row[way]["off_percent"] for row in RECORD["leak"].values()]


def test_network_and_twin_are_as_near_as_noise_allows() -> None:
    """Chapter 35, the left half of the signature result."""
    for level, apart in (("1 %", 2 / 3), ("10 %", 1 / 5)):
        sides = [viscosity(level, side) for side in ("network", "twin")]
        assert len(sides[0]) == 5
        assert all(abs(value) < 2 for side in sides for value in side)
        assert max(abs(a - b) for a, b in zip(*sides, strict=True)) < apart
        assert all(0.5 < mean(v**2 for v in side) ** 0.5 < 1 for side in sides)


def test_at_a_thousandth_of_noise_mesh_and_training_show() -> None:
    """Chapter 35, the left half of the signature result."""
    assert all(-4 < value < -3 for value in viscosity("0.1 %", "twin"))
    assert all(1 <= abs(round(v, 1)) <= 2.5 for v in viscosity("0.1 %", "network"))
    assert len(rows("0.1 %")) == len(rows("finer")) == 3
    for side, factor in (("network", 1.6), ("twin", 2.2)):
        assert all(abs(value) < 1 for value in viscosity("finer", side))
        pair = [[r[f"{side}_seconds"] for r in rows(n)] for n in ("finer", "0.1 %")]
        assert abs(median(pair[0]) / median(pair[1]) / factor - 1) < 0.2


def test_the_speed_tells_the_same() -> None:
    """Chapter 35, the left half of the signature result, in brackets."""
    for side, most in (("network", 3), ("twin", 4.5)):
        assert max(speed("1 %", side) + speed("10 %", side)) < 1.1
        assert round(max(speed("0.1 %", side)), 1) == most
        assert max(speed("finer", side)) < 1.2


def test_the_control_fits_better_and_finds_nothing() -> None:
    """Chapter 35, the negative control."""
    values = [abs(value) for value in viscosity("control", "network")]
    assert len(values) == 3 and 2 < min(values) and 20 < max(values) < 25
    pairs = zip(rows("control"), rows("1 %"), strict=False)
    assert all(a["misfit"] < min(b["misfit"], 1) for a, b in pairs)


def test_a_fit_takes_ten_seconds_or_six() -> None:
    """Chapter 35, the left half of the signature result."""
    for side, seconds in (("network", 10), ("twin", 6)):
        assert round(median(r[f"{side}_seconds"] for r in rows("1 %"))) == seconds


def test_a_wrong_belief_costs_more_than_knowing_less() -> None:
    """Chapter 35, the right half of the signature result."""
    assert len(off("network")) == 8
    believed, suspected = off("believed"), off("suspected")
    assert min(abs(value) for value in believed) > 5 * stdev(believed)
    for free in (off("network"), off("polynomial")):
        assert abs(mean(free)) < stdev(free) / 8**0.5, "right in the mean"
        assert 3 < stdev(free) / stdev(believed) < 4
        assert stdev(suspected) < stdev(free) / 3
        assert mean(v**2 for v in free) < mean(v**2 for v in believed) / 4
    pairs = zip(off("network"), off("polynomial"), strict=True)
    assert max(abs(a - b) for a, b in pairs) < 0.4
    seconds = [
        median(row[way]["seconds"] for row in RECORD["leak"].values())
        for way in ("network", "polynomial")
    ]
    assert 45 < seconds[0] / seconds[1] < 75


def test_one_shape_leaves_the_answer_to_the_first_guess() -> None:
    """Chapter 35, section 3."""
    runs = RECORD["modes"]
    one = [run for name, run in runs.items() if "one shape" in name]
    two = [run for name, run in runs.items() if "two shapes" in name]
    assert len(one) == len(two) == 9
    assert max(r["k"] for r in one) > 50 * min(r["k"] for r in one)
    assert max(r["k"] for r in two) < 1.1 * min(r["k"] for r in two)
    for a, b in zip(one, two, strict=True):
        assert abs(a["misfit"] - b["misfit"]) < 0.03, "the fit does not tell"
    assert 600 < 400 * median(r["seconds"] for r in two) < 900
    assert max(r["rate"] for r in one) < 1.02 * min(r["rate"] for r in one)
