"""What chapter 46 says of stored runs is what was measured."""

from statistics import median

from course.kit import stored

WAYS = ("dense", "static", "SET", "RigL")


def test_a_sparse_layer_is_faster_and_behind_its_promise_and_a_mask_is_slower() -> None:
    """Chapter 46, the left half of the signature result."""
    record = stored("sparse")
    size = record["setting"]["size"]
    for row in record["cost"].values():
        promised = size**2 / row["connections"]
        assert row["masked_ratio"] < 1.0 < row["ratio"] < promised / 2
        assert 1.3 < 1 / row["masked_ratio"] < 1.7  # "one and a half times as long"
    ratios = [row["ratio"] for row in record["cost"].values()]
    assert ratios == sorted(ratios, reverse=True)
    assert 2.5 < ratios[-1] < 4  # "about three"


def test_no_best_rate_lies_on_the_edge_of_its_search() -> None:
    """Chapter 46: all ways have the best of the same rates."""
    record = stored("sparse")
    for row in record["noise"].values():
        tried = [float(rate) for rate in row["search"]]
        assert tried == record["setting"]["rates"]
        assert min(tried) < row["rate"] < max(tried)
        assert row["again"][str(row["rate"])] == max(row["again"].values())


def test_moving_connections_are_ahead_of_static_and_behind_dense() -> None:
    """Chapter 46, the right half of the signature result."""
    noise = stored("sparse")["noise"]
    runs = {way: [run["accuracy"] for run in noise[way]["runs"]] for way in WAYS}
    assert all(a > b for a, b in zip(runs["SET"], runs["static"], strict=True))
    assert 2 < median(runs["SET"]) - median(runs["static"]) < 3
    assert median(runs["static"]) < median(runs["RigL"]) < median(runs["SET"])
    spread = max(runs["static"]) - min(runs["static"])
    assert median(runs["RigL"]) - median(runs["static"]) < spread
    for way in ("static", "SET", "RigL"):
        assert all(a > b for a, b in zip(runs["dense"], runs[way], strict=True))
    dense, sparse = (noise[way]["runs"][0]["parameters"] for way in ("dense", "SET"))
    assert round(dense / sparse) == 14
    rate = str(noise["SET"]["rate"])
    assert noise["dense"]["search"][rate] < noise["SET"]["search"][rate]


def test_a_search_of_two_runs_has_chosen_wrongly() -> None:
    """Chapter 46, the warning behind the signature result."""
    noise = stored("sparse")["noise"]
    two, five = noise["SET"]["search"], noise["SET"]["again"]
    assert two["0.3"] > two["0.1"] and five["0.3"] < five["0.1"] - 5
    assert five["0.3"] < max(noise["static"]["again"].values()) - 5


def test_bytes_of_the_large_networks_are_those_of_the_formula() -> None:
    """Chapter 46, section 1 and "When it fails"."""
    record = stored("sparse")
    large, paper = record["large"]["ten million"], record["paper"]
    for what, count in large["held"].items():
        assert paper["ten million"][what] == count
    row = paper["fifty million"]
    assert row["neurons"] == 5 * large["neurons"] == 50_000_000
    assert row["indices"] > row["values"] + row["gradients"] + row["momentum"]
    assert large["move_seconds"] > 2 * large["step_seconds"]
