"""What chapters 43 and 44 say of their races is what was measured."""

from statistics import mean, median

from course.kit import stored
from tests.benchmarks.modular.communication_tables import step_medians
from tests.benchmarks.modular.curvature_tables import below
from tests.benchmarks.modular.steps import fitted

FIRST = ("SGD, momentum", "Adam")


def test_on_the_autoencoder_curvature_is_ahead_in_steps_and_seconds() -> None:
    """Chapter 44, the task where it shines."""
    record = stored("curvature")

    def runs(method: str) -> list[dict]:
        return [record["race"][f"autoencoder, {method}, {seed}"] for seed in range(5)]

    def ends(method: str) -> list[float]:
        return [run["train"][-1] for run in runs(method)]

    target = 1.05 * max(median(ends(m)) for m in (*FIRST, "K-FAC"))

    def cost(method: str, axis: int) -> float:
        return median(below(run, target)[axis] for run in runs(method))

    own, drawn = "K-FAC", "K-FAC, labels drawn"
    assert cost(drawn, 0) < 0.25 * cost("Adam", 0) < 0.25 * cost(FIRST[0], 0)
    assert 0.5 < cost(drawn, 1) / cost("Adam", 1) < 0.65
    assert 1.25 * cost(own, 1) < cost("Adam", 1) < cost(FIRST[0], 1)
    assert sum(below(run, target)[0] == float("inf") for run in runs(own)) == 2
    assert abs(median(ends(drawn)) / median(ends("Adam")) - 1) < 0.02
    assert sum(loss > 1.05 * max(ends("Adam")) for loss in ends(drawn)) == 1
    early = {
        m: median(below(run, 2.0)[1] for run in runs(m)) for m in (*FIRST, own, drawn)
    }
    assert min(early, key=lambda method: early[method]) == FIRST[0]
    slow = [below(run, 1.7)[0] - below(run, 1.5)[0] for run in runs(FIRST[0])]
    fast = [below(run, 1.7)[0] - below(run, 1.5)[0] for run in runs(drawn)]
    assert -median(slow) > 300 and -median(fast) < 40  # steps between two losses
    steps = [run["steps"][-1] for run in (runs("Adam")[0], runs(drawn)[0])]
    assert steps[0] == 5 * steps[1]


def test_the_search_on_the_autoencoder_has_its_best_inside() -> None:
    """A best rate at the edge of a grid would not be the best."""
    for method in FIRST:
        found = stored("curvature")["search"][f"autoencoder, {method}"]
        rates = [row["lr"] for row in found["tried"]]
        assert min(rates) < found["best"]["lr"] < max(rates)


def test_the_noise_scale_tells_the_size_of_where_more_samples_stop_helping() -> None:
    """Chapter 43, does the noise scale know?"""
    medians = step_medians(stored("communication"))
    counts = {size: count for size, (count, _) in medians.items()}
    assert list(counts) == [8, 32, 128, 512, 2048]
    least, scale = fitted(counts)
    assert all(abs(least * (1 + scale / b) / s - 1) < 0.2 for b, s in counts.items())
    assert 60 < scale < 80
    assert all(125 < noise < 185 for _, noise in medians.values())
    assert 1 / 7 < 1.03 * counts[128] / counts[8] < 1 / 6
    assert 0.7 < counts[2048] / counts[128] < 0.8
    assert 11 < 16 * counts[2048] / counts[128] < 12.5


def test_no_best_rate_lies_at_the_edge_of_its_search() -> None:
    """Chapter 43, all rows: the best of three, and more until it lies between two."""
    record = stored("communication")
    for part in ("convolutions", "pair_sum", "steps", "batches"):
        for name, row in record[part].items():
            tried = [float(rate) for rate in row["searched"]]
            assert min(tried) < row["rate"] < max(tried), (part, name)


def test_what_compressed_messages_lose_on_digits() -> None:
    """Chapter 43, read it with care."""
    record = stored("communication")
    rows = record["convolutions"]

    def behind(name: str) -> list[float]:
        sides = (rows["all of the gradient"]["runs"], rows[name]["runs"])
        return [a["accuracy"] - b["accuracy"] for a, b in zip(*sides, strict=True)]

    assert all(mean(behind(name)) < 0 for name in ("sign, feedback", "QSGD, 4 bits"))
    assert all(4.9 < gap < 8 for gap in behind("top-k"))
    assert all(0.7 < gap < 1.2 for gap in behind("sign"))
    assert abs(mean(behind("TernGrad"))) < 0.5 > abs(mean(behind("local SGD, 8 steps")))
    assert all(1 < gap < 2.3 for gap in behind("local SGD, 100 steps"))
    less = {
        name: round(row["runs"][0]["less on the wire"]) for name, row in rows.items()
    }
    assert less["QSGD, 4 bits"] == less["local SGD, 8 steps"] == 4
    assert less["TernGrad"] == 8 and less["local SGD, 100 steps"] == 50
    lengths = [rows[n]["runs"][0]["message"] for n in ("PowerSGD, rank 1", "top-k")]
    assert 1.8 < lengths[0] / lengths[1] < 2
    half = "top-k, half as many, feedback"
    assert less[half] == 55 and mean(behind(half)) < 0
    assert all(3.9 < gap < 6.5 for gap in behind("random-k, feedback"))
    assert abs(mean(behind("random-k")) - mean(behind("random-k, feedback"))) < 1
    rates = {name: rows[name]["rate"] for name in ("random-k", "random-k, feedback")}
    assert rates == {"random-k": 0.025, "random-k, feedback": 16 * 0.025}
    assert rows["random-k"]["searched"]["0.1"] == 0  # it diverges
    whole, few = rows["all of the gradient"], rows["top-k, feedback"]
    assert (whole["rate"], few["rate"]) == (0.1, 0.4)
    assert whole["searched"]["0.1"] - whole["searched"]["0.4"] > 5
    real = record["gloo"]
    assert real["all bits equal"] and real["accuracy"] == real["simulated"]
    assert real["accuracy"] == few["runs"][0]["accuracy"]


def test_what_compressed_messages_lose_on_sums() -> None:
    """Chapter 43, read it with care: the second task."""
    rows = stored("communication")["pair_sum"]

    def behind(name: str) -> list[float]:
        sides = (rows["all of the gradient"]["runs"], rows[name]["runs"])
        return [a["accuracy"] - b["accuracy"] for a, b in zip(*sides, strict=True)]

    assert max(behind("sign, feedback")) < 0
    assert [round(gap) for gap in sorted(behind("top-k, feedback"))] == [-11, -8, 7]
    assert min(behind("top-k") + behind("sign")) > 20
    assert all(5.5 < gap < 14 for gap in behind("PowerSGD, rank 1"))
    assert all(4.5 < gap < 6 for gap in behind("QSGD, 4 bits"))
    assert abs(mean(behind("TernGrad"))) < 1
    spread = [run["accuracy"] for run in rows["top-k, feedback"]["runs"]]
    assert 19 < max(spread) - min(spread) < 21
