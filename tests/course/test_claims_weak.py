"""What chapter 34 says of the library's defaults is what they are and why."""

from statistics import median

import pytest
import torch

from course.kit import stored
from pinn import HPVPINN, SSBroyden, zoo

OTHER = "hp-VPINN, Levenberg-Marquardt"


def test_the_defaults_are_those_of_the_table() -> None:
    problem, method = zoo.heat(), HPVPINN(2, degree=3, hidden=(4,))
    data = method.data(problem)
    net = method.net(problem, torch.Generator().manual_seed(0))
    assert method.weights is None and not method.hard
    assert data.form.hats and not HPVPINN(1).data(problem).form.hats
    assert len(data.form.inner) == 4 * (3 + 10) ** 2, "ten points more than the degree"
    optimiser = method.optimizer(net, data)
    assert type(optimiser) is SSBroyden and optimiser.max_iter == 10
    (block,) = data.blocks(net, torch.zeros(1, 2).double())
    R = block / len(block) ** 0.5
    first = data.residual_vector(net)[: len(R)].square().sum().item()
    assert first == pytest.approx(R.square().sum().item(), rel=1e-12), "a sum"


def test_the_optimiser_is_the_one_that_ended_ahead() -> None:
    record = stored("pinn_examples")
    rows = [row for row in record["rows"].values() if "error" in row[OTHER]["0"]]
    assert len(rows) == len(record["rows"]) - 1 == 13 and record["seconds"] == 20
    pairs = [
        (run["error"], row[OTHER][seed]["error"])
        for row in rows
        for seed, run in row["hp-VPINN"].items()
    ]
    assert sum(own < other for own, other in pairs) > 0.9 * len(pairs)
    for name, count in (("hp-VPINN", 10), (OTHER, 7)):
        ends = [median(run["error"] for run in row[name].values()) for row in rows]
        assert sum(end < 0.01 for end in ends) == count


def test_on_the_steep_problem_the_default_is_the_wrong_choice() -> None:
    rows = stored("pinn")["rows"]
    for key, count in (
        ("hp_vpinn_steep_1d_30s", 3),
        ("hp_vpinn_steep_1d_default_30s", 1),
    ):
        ends = [run["error"] for run in rows[key]["runs"].values()]
        assert len(ends) == 3 and sum(end < 1e-6 for end in ends) == count
        assert all(end < 1e-6 or end > 0.3 for end in ends)
    unlucky = rows["hp_vpinn_steep_1d_bubbles_30s"]["worst"]["error"]
    assert rows["hp_vpinn_steep_1d_30s"]["worst"]["error"] < unlucky
    assert rows["hp_vpinn_steep_1d_adam_30s"]["median"]["error"] > 0.05
