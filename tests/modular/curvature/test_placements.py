"""Where factors live: real processes against one on the joined batch."""

from collections import Counter
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import start_processes

from modular.allocation import fill_bins, round_robin
from modular.curvature import KFAC, Eigen, Fraction, Local, Owner, PiSplit, Replicated
from modular.curvature.placements import cost

RANKS, STEPS, PERIOD = 4, 3, 2
SIZES = {"0": (3, 7), "1": (5, 4), "3": (2, 6)}  # rows, columns with the bias
DIAGONAL = "0"  # the embedding's inputs


def numbers(name: str) -> int:
    """Return how many numbers the two factors of a layer have."""
    m, n = SIZES[name]
    return m * m + (n if name == DIAGONAL else n * n)


def net() -> nn.Sequential:
    layers = nn.Embedding(7, 3), nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)
    model = nn.Sequential(*layers).double()
    generator = torch.Generator().manual_seed(0)
    for p in model.parameters():
        p.data = torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return model


def batch(rank: int, step: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(10 * step + rank)
    return torch.randint(7, (8,), generator=generator)


def loss_of(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    targets = torch.stack([x.double().sin(), x.double().cos()], dim=1)
    return (model(x) - targets).square().mean()


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
    held = sorted(kfac.factors), sorted(kfac.prepared)
    return weights, dict(kfac.placement.sent), held


KINDS = {
    "replicated": Replicated,
    "owner": Owner,
    "whole": lambda: Fraction(1.0),
    "half": lambda: Fraction(1 / 2),
    "alone": lambda: Fraction(1 / RANKS),
    "turns": lambda: Fraction(1 / 2, share=round_robin),
    "local": Local,
}
AVERAGED = [name for name in KINDS if name != "local"]
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
    try:
        train(Fraction(1 / 3), Eigen(), lambda step: batch(rank, step))
    except ValueError as error:
        found["no share"] = str(error)
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
@pytest.mark.parametrize("name", AVERAGED)
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
    first, *rest = (run[name, how, "shared"][0] for run in runs)
    assert all(torch.equal(first, other) for other in rest)


CHECKS = {"checks": 8 * STEPS * len(SIZES)}
PERIODS = -(-STEPS // PERIOD)


def total(runs: list[dict], name: str, how: str) -> dict[str, int]:
    every: Counter[str] = Counter()
    for run in runs:
        every.update(run[name, how, "shared"][1])
    return {k: v for k, v in every.items() if v and k != "checks"}


def test_bytes_are_those_of_the_formulas(runs: list[dict]) -> None:
    factors = 8 * STEPS * sum(map(numbers, SIZES))
    inverses = 8 * PERIODS * sum(map(numbers, SIZES))
    values = 8 * PERIODS * sum(m + n * (k != DIAGONAL) for k, (m, n) in SIZES.items())
    gradients = 8 * STEPS * sum(m * n for m, n in SIZES.values())
    assert runs[0]["replicated", "pi", "shared"][1] == {"factors": factors} | CHECKS
    sent = {"factors": RANKS * factors}
    assert total(runs, "replicated", "pi") == sent
    for name in ("owner", "whole"):
        assert total(runs, name, "pi") == sent | {"inverses": inverses}
        assert total(runs, name, "eigen") == sent | {"inverses": inverses + values}
    for name in ("half", "turns"):  # two columns: two workers hold, each tells one
        two = sent | {"inverses": inverses, "gradients": 2 * gradients}
        assert total(runs, name, "pi") == two
    assert total(runs, "alone", "pi") == sent | {"gradients": gradients}
    assert total(runs, "local", "eigen") == {"gradients": gradients}


def test_each_holds_what_its_placement_says(runs: list[dict]) -> None:
    def held(name: str) -> tuple[list[str], list[str]]:
        rows = [run[name, "eigen", "shared"][2] for run in runs]
        return sorted(sum((r[0] for r in rows), [])), sorted(
            sum((r[1] for r in rows), [])
        )

    layers, whole = sorted(SIZES), sorted(list(SIZES) * RANKS)
    assert held("local") == (layers, layers)
    assert held("alone") == (whole, layers)
    assert held("half") == (whole, sorted(2 * layers))
    assert held("owner") == held("replicated") == (whole, whole)


def test_gradients_that_were_not_averaged_are_refused(runs: list[dict]) -> None:
    for run in runs:
        assert run["refused"].startswith("gradients differ from worker to worker")


def test_a_fraction_that_is_no_share_of_the_workers_is_refused(runs) -> None:
    text = "of 4 workers: expected one of 1/4, 2/4, or 1"
    assert all(text in run["no share"] for run in runs)
    for wrong in (0.0, 1.5):
        with pytest.raises(ValueError, match=f"fraction is {wrong}: expected a number"):
            Fraction(wrong)


def test_one_worker_sends_nothing_and_all_placements_agree() -> None:
    found = {name: train(kind(), Eigen(), joined) for name, kind in KINDS.items()}
    for weights, sent, held in found.values():
        assert torch.equal(weights, found["replicated"][0])
        assert not sent and held == (sorted(SIZES), sorted(SIZES))


@pytest.mark.parametrize("share", [fill_bins, round_robin])
def test_owners_are_chosen_by_what_inverting_costs(monkeypatch, share) -> None:
    shapes = {"a": ((9, 9), (1, 1)), "b": ((2,), (1, 1)), "c": ((8, 8), (1, 1))}
    monkeypatch.setattr(Owner, "workers", 2)
    placement = Owner(share=share)
    placement.assign(shapes)
    costs = [9**3 + 1, 2 + 1, 8**3 + 1]
    assert [cost(each) for each in shapes.values()] == costs
    assert list(placement.owners.values()) == share(costs, 2)
    assert fill_bins(costs, 2) == [0, 1, 1] and round_robin(costs, 2) == [0, 1, 0]


def test_a_class_in_place_of_a_placement_is_refused() -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.raises(TypeError, match="placement is <class .*Local'>: expected a"):
        KFAC(model, optimizer, placement=Local)
