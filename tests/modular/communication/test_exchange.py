"""Messages between real processes: gradients by hooks, weights by local steps."""

import copy
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import start_processes
from torch.nn.parallel import DistributedDataParallel

from modular.communication import (
    QSGD,
    ErrorFeedback,
    Exchange,
    LocalSGD,
    Sign,
    TopK,
)
from modular.communication.base import Compressor

RANKS = 2


def net() -> nn.Sequential:
    layers = nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)
    model = nn.Sequential(*layers).double()
    generator = torch.Generator().manual_seed(0)
    for p in model.parameters():
        p.data = torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return model


def batch(rank: int, step: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(10 * step + rank)
    return torch.randn(5, 4, generator=generator, dtype=torch.float64)


def loss_of(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return (model(x) - x[:, :3].sin()).square().mean()


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), 0.05)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), 0.1)


def train(rank: int, compressor: Compressor | None) -> dict:
    model = DistributedDataParallel(net(), bucket_cap_mb=1)
    exchange = None
    if compressor is not None:
        exchange = Exchange(compressor)
        exchange.attach(model)
    step = adam(model)
    for t in range(4):
        step.zero_grad()
        loss_of(model, batch(rank, t)).backward()
        step.step()
    bytes_ = None if exchange is None else (exchange.sent, exchange.plain)
    return {"weights": weights(model.module), "bytes": bytes_}


def alone(rank: int, period: int, make) -> dict:
    model = net()
    local, step = LocalSGD(model.parameters(), period), make(model)
    for t in range(4):
        step.zero_grad()
        loss_of(model, batch(rank, t)).backward()
        local.average()
        step.step()
    return {"weights": weights(model), "bytes": local.sent}


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def work(rank: int, folder: str) -> None:
    """Do all runs in one process group: starting one costs seconds."""
    rendezvous = f"file://{folder}/meet"
    dist.init_process_group("gloo", rendezvous, rank=rank, world_size=RANKS)
    everything = TopK(1.0)
    found = {
        "plain": train(rank, None),
        "everything": train(rank, everything),
        "remembered": train(rank, ErrorFeedback(everything)),
        "top-k": train(rank, ErrorFeedback(TopK(0.25))),
        "QSGD": train(rank, QSGD(7, torch.Generator().manual_seed(rank))),
        "local 1": alone(rank, 1, adam),
        "local 2": alone(rank, 2, sgd),
    }
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    folder = tmp_path_factory.mktemp("ranks")
    start_processes(work, (str(folder),), nprocs=RANKS, start_method="spawn")
    return [torch.load(Path(folder) / f"{rank}.pt") for rank in range(RANKS)]


EVERY = ["plain", "everything", "remembered", "top-k", "QSGD", "local 1", "local 2"]


@pytest.mark.parametrize("name", EVERY)
def test_ranks_end_bitwise_equal(runs: list[dict], name: str) -> None:
    one, two = (run[name]["weights"] for run in runs)
    assert torch.equal(one, two)


@pytest.mark.parametrize("name", ["everything", "remembered", "local 1"])
def test_all_of_the_message_is_the_plain_average_bitwise(runs, name: str) -> None:
    assert torch.equal(runs[0][name]["weights"], runs[0]["plain"]["weights"])


def simulated(share: float, remember: bool) -> torch.Tensor:
    """The same workers in one process, one after the other."""
    model, senders = net(), {}
    step = adam(model)
    for t in range(4):
        mean = [torch.zeros_like(p) for p in model.parameters()]
        for rank in range(RANKS):
            step.zero_grad()
            loss_of(model, batch(rank, t)).backward()
            for k, p in enumerate(model.parameters()):
                kind = ErrorFeedback(TopK(share)) if remember else TopK(share)
                mean[k] += senders.setdefault((rank, k), kind)(p.grad) / RANKS
        for p, g in zip(model.parameters(), mean, strict=True):
            p.grad = g
        step.step()
    return weights(model)


def test_top_k_with_feedback_is_its_equations(runs: list[dict]) -> None:
    found = runs[0]["top-k"]["weights"]
    torch.testing.assert_close(found, simulated(0.25, True), rtol=0, atol=1e-13)
    assert not torch.allclose(found, simulated(0.25, False))


def test_local_steps_are_their_equations(runs: list[dict]) -> None:
    models = [net() for _ in range(RANKS)]
    for t in range(4):
        for rank, model in enumerate(models):
            step = sgd(model)
            step.zero_grad()
            loss_of(model, batch(rank, t)).backward()
            step.step()
        if t % 2:  # they meet after the step
            mean = sum(weights(model) for model in models) / RANKS
            for model in models:
                nn.utils.vector_to_parameters(mean.clone(), model.parameters())
    found = runs[0]["local 2"]["weights"]
    torch.testing.assert_close(found, weights(models[0]), rtol=0, atol=1e-13)


def test_bytes_are_counted(runs: list[dict]) -> None:
    sizes = [p.numel() for p in net().parameters()]
    plain = 4 * 8 * sum(sizes)  # four steps in float64
    top_k = 4 * sum((8 + 4) * max(1, round(0.25 * d)) for d in sizes)
    qsgd = 4 * sum(8 + -(-d // 2) for d in sizes)  # a norm, four bits an entry
    assert runs[0]["top-k"]["bytes"] == (top_k, plain)
    assert runs[0]["QSGD"]["bytes"] == (qsgd, plain)
    assert runs[0]["local 1"]["bytes"] == plain
    assert runs[0]["local 2"]["bytes"] == plain  # half as often, twice as much


def test_a_copy_for_every_tensor_keeps_the_memory_apart() -> None:
    compressor = ErrorFeedback(Sign())
    one, two = copy.copy(compressor), copy.copy(compressor)
    one(torch.ones(3))
    assert two.left is None and compressor.left is None


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match=r"compressor is 'top': expected a Compressor"):
        Exchange("top")
    with pytest.raises(TypeError, match="model is a Sequential: expected a"):
        Exchange(Sign()).attach(net())
    with pytest.raises(ValueError, match="period is 0: expected at least 1"):
        LocalSGD(net().parameters(), 0)
    with pytest.raises(ValueError, match="parameters are none that train"):
        LocalSGD(net().requires_grad_(False).parameters(), 2)
    with pytest.raises(ValueError, match="parameter 0 has no gradient: expected"):
        LocalSGD(net().parameters(), 1).average()
