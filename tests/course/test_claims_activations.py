"""What chapter 45 says of its stored run is what was measured."""

from statistics import mean, median

from course.kit import stored

RECORD = stored("memory")


def scores(name: str) -> list[float]:
    return [run["accuracy"] for run in RECORD["runs"][name]["runs"]]


def less(name: str) -> float:
    return median(run["less"][0] for run in RECORD["runs"][name]["runs"])


def sums(name: str) -> list[float]:
    return [run["sum"] for run in RECORD["runs"][name]["runs"]]


def test_eight_times_less_is_within_the_spread_of_seeds() -> None:
    """Chapter 45, the claim and the signature result."""
    plain = scores("plain")
    assert sums("plain") == sums("identity")
    assert 3 < max(plain) - min(plain) < 3.5
    for share in ("0.1", "0.3"):
        assert 8 <= less(f"controller, {share}") <= 12
        assert mean(scores(f"controller, {share}")) >= min(plain)
    for low in ("2 bits", "controller, 1"):
        assert max(scores(low)) > min(plain)
    assert sums("4 bits") == sums("4 bits, allocated")


def test_zeros_and_signs_forgive_a_bound_that_is_too_large() -> None:
    """Chapter 45, what zeros and signs are worth, and a bound by trial."""
    plain = scores("plain")
    for bound in ("0.1", "0.5", "2"):
        assert mean(scores(f"bound {bound}, signs")) >= min(plain)
    assert max(scores("bound 2, nearest")) < min(scores("bound 2, signs")) / 2
    assert sum(value < 50 for value in scores("bound 0.5, nearest")) == 1
    assert mean(scores("bound 0.1, nearest")) >= min(plain)
    for bound, share in (("0.5", "0.3"), ("2", "1")):
        assert less(f"bound {bound}, signs") > less(f"controller, {share}")
        pair = scores(f"bound {bound}, signs"), scores(f"controller, {share}")
        assert mean(pair[0]) > mean(pair[1])


def test_with_a_controller_rounding_to_the_nearest_does_not_fail() -> None:
    """Chapter 45, a control that does not fail."""
    for share in ("0.1", "1"):
        control = mean(scores(f"control, {share}"))
        assert control >= mean(scores(f"controller, {share}"))


def test_what_waits_falls_by_more_than_the_highest_moment() -> None:
    """Chapter 45, bytes against seconds."""
    steps = RECORD["step"]
    plain, kept = steps["plain"], steps["controller, 0.1"]
    assert round(plain["held"] / kept["held"]) == 9
    assert 0.5 < kept["peak"] / plain["peak"] < 0.6
    times = [row["ratio"] for name, row in steps.items() if "checkpoints" in name]
    assert min(times) < kept["ratio"]
    some = [steps[f"checkpoints, {n}"] for n in (2, 3, 4)]
    assert all(0.4 < row["held"] / plain["held"] < 0.6 for row in some)
    assert all(1.25 < row["ratio"] < 1.65 for row in some)
    assert steps["checkpoints, 9"]["held"] > plain["held"]


def test_the_paper_s_compressor_takes_more_bytes_and_time_here() -> None:
    """Chapter 45, the signature result and bytes against seconds."""
    ours, theirs = "controller, 0.1", "controller, 0.1, SZ3"
    assert less(theirs) < less(ours) - 1
    assert mean(scores(theirs)) >= min(scores("plain"))
    assert RECORD["step"][theirs]["ratio"] > RECORD["step"][ours]["ratio"]


def test_the_optimiser_of_torchao_learns_and_keeps_three_quarters() -> None:
    """Chapter 45, the rest of the bill."""
    plain, coded = (RECORD["states"][k]["runs"] for k in ("32 bits", "8 bits, torchao"))
    assert mean(r["accuracy"] for r in coded) >= min(r["accuracy"] for r in plain)
    assert 0.7 < coded[0]["bytes"] / plain[0]["bytes"] < 0.8


def test_states_of_eight_bits_learn_if_signs_are_kept() -> None:
    """Chapter 45, the rest of the bill."""
    states = RECORD["states"]
    whole = [run["accuracy"] for run in states["32 bits"]["runs"]]
    small = [run["accuracy"] for run in states["8 bits, signs"]["runs"]]
    assert mean(small) >= min(whole)
    assert all(run["accuracy"] is None for run in states["8 bits, by chance"]["runs"])
    sizes = [states[k]["runs"][0]["bytes"] for k in ("32 bits", "8 bits, signs")]
    assert 3.9 < sizes[0] / sizes[1] <= 4
