"""What chapters 43 and 44 say of their races is what was measured."""

from statistics import median

from course.kit import stored
from tests.benchmarks.modular.curvature_tables import below

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
