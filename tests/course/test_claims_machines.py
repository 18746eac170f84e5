"""What chapters 43 and 44 say of stored runs is what was measured."""

from statistics import mean

from course.kit import stored


def test_one_entry_in_a_hundred_is_enough_if_the_rest_is_remembered() -> None:
    """Chapter 43, the signature result."""
    rows = stored("communication")["convolutions"]

    def behind(name: str) -> list[float]:
        """Points behind sending everything, seed by seed."""
        sides = (rows["all of the gradient"]["runs"], rows[name]["runs"])
        return [a["accuracy"] - b["accuracy"] for a, b in zip(*sides, strict=True)]

    run = rows["top-k, feedback"]["runs"][0]
    assert 55 <= run["shorter"] < 56 and 27.5 < run["less on the wire"] < 28
    assert run["less on the wire"] * 4 / 64 < 2  # workers: for 64 in place of four
    assert max(behind("top-k, feedback")) < 0
    assert min(behind("top-k")) > 4


def test_larger_batches_learn_less_in_as_many_passes() -> None:
    """Chapter 43, the second half of the signature result."""
    rows = stored("communication")["batches"]

    def accuracy(name: str, size: int) -> float:
        return mean(run["accuracy"] for run in rows[f"{name}, {size}"]["runs"])

    for name in ("SGD", "LARS", "LAMB"):
        assert accuracy(name, 32) > accuracy(name, 256) > accuracy(name, 2048) + 20
    assert min(accuracy("LARS", 256), accuracy("LAMB", 256)) > accuracy("SGD", 256) + 5


def test_local_factors_are_cheap_and_land_elsewhere() -> None:
    """Chapter 44, the signature result, and what section 5 says of messages."""
    record = stored("curvature")
    for rows in record["placements"].values():
        averaged = [row for name, row in rows.items() if name != "Local"]
        assert all(row["apart"] < 1e-5 for row in averaged)
        assert rows["Local"]["apart"] > 0.05
        assert rows["Local"]["wire"] < rows["Replicated"]["wire"] / 10
        assert rows["Local"]["held_most"] > 0.9 * rows["Replicated"]["held_most"]
    means = [
        rows["Local"]["held_all"] / int(ranks)
        for ranks, rows in record["placements"].items()
    ]
    assert means[0] > 1.9 * means[1] > 3.6 * means[2]
    shapes, published = record["formula"]["ResNet-50"], record["published"]
    assert shapes["layers"] == 54 and round(shapes["ratio"]) == 6
    low, high = published["traffic"]
    assert low < shapes["ratio_halves"] < high
    assert round(shapes["ratio_halves"], 2) == 3.02
    assert max(record["oracle"].values()) < 1e-12
