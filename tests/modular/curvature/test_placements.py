"""Where factors live: real processes against one on the joined batch."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import start_processes

from modular.curvature import KFAC, Eigen, Local, Owner, PiSplit, Replicated

RANKS, STEPS, PERIOD = 2, 3, 2
SIZES = {"0": (5, 4), "2": (2, 6)}  # rows, columns with the bias


def net() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    generator = torch.Generator().manual_seed(0)
    for p in model.parameters():
        p.data = torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return model


def batch(rank: int, step: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(10 * step + rank)
    return torch.randn(8, 3, generator=generator, dtype=torch.float64)


def loss_of(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return (model(x) - x[:, :2].sin()).square().mean()


def train(placement, solve, shards, averages: bool = True) -> tuple:
    """Train on what ``shards(step)`` returns."""
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    options = {"period": PERIOD, "solve": solve, "placement": placement}
    kfac = KFAC(model, optimizer, **options)
    for step in range(STEPS):
        optimizer.zero_grad()
        loss_of(model, shards(step)).backward()
        for p in model.parameters():
            if dist.is_initialized() and averages:
                dist.all_reduce(p.grad)
                p.grad /= RANKS
        kfac.step()
        optimizer.step()
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    return weights, dict(kfac.placement.sent), sorted(kfac.factors)


KINDS = {"replicated": Replicated, "owner": Owner, "local": Local}
SOLVES = {"eigen": Eigen, "pi": PiSplit}


def work(rank: int, folder: str) -> None:
    meet = f"file://{folder}/meet"
    dist.init_process_group("gloo", meet, rank=rank, world_size=RANKS)
    found = {
        (name, how, data): train(kind(), solve(), shards)
        for name, kind in KINDS.items()
        for how, solve in SOLVES.items()
        for data, shards in {
            "shared": lambda step: batch(rank, step),
            "alike": lambda step: batch(0, step),
        }.items()
    }
    try:
        train(Local(), Eigen(), lambda step: batch(rank, step), averages=False)
    except RuntimeError as error:
        found["refused"] = str(error)
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    folder = tmp_path_factory.mktemp("ranks")
    start_processes(work, (str(folder),), nprocs=RANKS, start_method="spawn")
    return [torch.load(Path(folder) / f"{rank}.pt") for rank in range(RANKS)]


def joined(step: int) -> torch.Tensor:
    return torch.cat([batch(rank, step) for rank in range(RANKS)])


@pytest.mark.parametrize("how", SOLVES)
@pytest.mark.parametrize("name", ["replicated", "owner"])
def test_averaged_factors_take_the_step_of_the_joined_batch(runs, name, how) -> None:
    expected, sent, _ = train(Replicated(), SOLVES[how](), joined)
    found = runs[0][name, how, "shared"][0]
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert not sent


@pytest.mark.parametrize("how", SOLVES)
def test_local_factors_are_another_method_unless_the_shares_are_alike(runs, how):
    whole, own = (runs[0][name, how, "shared"][0] for name in ("replicated", "local"))
    assert (whole - own).abs().max() > 1e-3
    whole, own = (runs[0][name, how, "alike"][0] for name in ("replicated", "local"))
    torch.testing.assert_close(own, whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("how", SOLVES)
@pytest.mark.parametrize("name", KINDS)
def test_workers_end_bitwise_equal(runs: list[dict], name: str, how: str) -> None:
    one, two = (run[name, how, "shared"][0] for run in runs)
    assert torch.equal(one, two)


def test_bytes_are_those_of_the_formulas(runs: list[dict]) -> None:
    factors = 8 * STEPS * sum(m * m + n * n for m, n in SIZES.values())
    periods = -(-STEPS // PERIOD)
    inverses = 8 * periods * sum(m * m + n * n for m, n in SIZES.values())
    values = 8 * periods * sum(m + n for m, n in SIZES.values())
    gradients = 8 * STEPS * sum(m * n for m, n in SIZES.values())

    def total(name: str, how: str) -> dict:
        every = {}
        for run in runs:
            for what, size in run[name, how, "shared"][1].items():
                every[what] = every.get(what, 0) + size
        return every

    assert runs[0]["replicated", "pi", "shared"][1] == {"factors": factors}
    assert total("owner", "pi") == {"factors": RANKS * factors, "inverses": inverses}
    assert total("owner", "eigen")["inverses"] == inverses + values
    assert total("local", "eigen") == {"gradients": gradients}


def test_each_holds_factors_of_its_own_layers_only(runs: list[dict]) -> None:
    held = [run["local", "eigen", "shared"][2] for run in runs]
    assert sorted(held[0] + held[1]) == ["0", "2"] and all(len(h) == 1 for h in held)
    assert runs[1]["owner", "eigen", "shared"][2] == ["0", "2"]


def test_gradients_that_were_not_averaged_are_refused(runs: list[dict]) -> None:
    for run in runs:
        assert run["refused"].startswith("gradients differ from worker to worker")


def test_one_worker_sends_nothing_and_all_placements_agree() -> None:
    found = {name: train(kind(), Eigen(), joined) for name, kind in KINDS.items()}
    for weights, sent, held in found.values():
        assert torch.equal(weights, found["replicated"][0])
        assert not sent and held == ["0", "2"]


def test_a_class_in_place_of_a_placement_is_refused() -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.raises(TypeError, match="placement is <class .*Local'>: expected a"):
        KFAC(model, optimizer, placement=Local)
