"""What benchmarks simulate in one process is what real processes do."""

import pytest
import torch

from modular.communication import ErrorFeedback, TopK
from tests.benchmarks.modular import workers


@pytest.fixture(autouse=True)
def single_precision() -> None:
    """As in the benchmark; the dtype of before comes back after each test."""
    torch.set_default_dtype(torch.float32)


def test_workers_in_one_process_have_the_bits_of_the_hook() -> None:
    name, rate, steps = "digits, convolutions", 0.2, 4
    problem, way = (
        workers.PROBLEMS[name],
        workers.Way(ErrorFeedback(TopK(workers.SHARE))),
    )
    ranks = workers.on_processes(name, rate, steps)
    task = problem.data(0)[1]
    rows = list(workers.batches(task, workers.BATCH, 0, problem.epochs))
    optimized = workers.gathered(workers.seeded(problem, 0), rows, rate, way, steps)
    for found in ranks:
        for key, p in optimized.state_dict().items():
            assert torch.equal(found["net"][key], p)
    net = workers.seeded(problem, 0)
    assert ranks[0]["sent"] == steps * workers.sent(way, net)
    assert ranks[0]["plain"] == steps * workers.sent(workers.Way(), net)
    assert not torch.equal(next(net.parameters()), next(optimized.parameters()))


def test_what_travels_is_counted_for_rings() -> None:
    gathers, adds = workers.Way(TopK(0.1)), workers.Way()
    assert workers.wire(gathers, 100, 4) == 300  # three messages are passed on
    assert workers.wire(adds, 100, 4) == 150  # twice three quarters
    net = workers.seeded(workers.PROBLEMS["pair_sum"], 0)
    numbers = 128 * 128 + 128 * 64 + 64 * 10
    assert workers.sent(adds, net) == 4 * numbers
    assert workers.sent(workers.Way(period=8), net) == numbers  # weights, gradients
    factors = 4 * (128 + 128 + 128 + 64 + 64 + 10)
    assert workers.sent(workers.Way(rank=1), net) == factors
