"""Every schedule computes the whole model's gradient, and holds what is counted."""

import copy
from collections import Counter
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from modular.meter import SavedTensors
from modular.pipeline import (
    Chimera,
    Cost,
    GPipe,
    Interleaved,
    Merak,
    OneFOneB,
    Schedule,
    Virtual,
    simulate,
)
from tests.modular.pipeline.cases import SCHEMES

ALL = pytest.mark.parametrize("scheme", [*SCHEMES, Chimera(doubling=True)], ids=repr)


def parts(count: int, width: int = 5) -> list[nn.Module]:
    torch.manual_seed(count)
    return [
        nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.Tanh())
        for _ in range(count)
    ]


def made(scheme, D: int, N: int) -> tuple[Schedule, list[nn.Module]]:
    schedule = scheme.schedule(D, N)
    return schedule, parts(int(schedule.stages.max()) + 1)


def batch(rows: int, width: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, width, generator=generator), torch.randint(
        width, (rows,), generator=generator
    )


def whole_gradient(stages: list[nn.Module], x: Tensor, y: Tensor) -> list[Tensor]:
    net = copy.deepcopy(nn.Sequential(*stages))
    net.zero_grad()
    nn.CrossEntropyLoss()(net(x), y).backward()
    return [p.grad for p in net.parameters()]


@ALL
@pytest.mark.parametrize("D", [4, 64])
def test_the_gradient_is_the_whole_models(scheme, D: int) -> None:
    units = isinstance(scheme, Chimera | Interleaved)
    N = D * (1 + (scheme == Chimera(doubling=True))) if units else 16
    schedule, stages = made(scheme, D, N)
    x, y = batch(2 * N)
    virtual = Virtual(schedule, stages, nn.CrossEntropyLoss())
    step = virtual.step(x, y)
    expected = whole_gradient(stages, x, y)
    for pipe in virtual.copies:
        for p, g in zip(pipe.parameters(), expected, strict=True):
            torch.testing.assert_close(p.grad, g, rtol=1e-12, atol=1e-12)
    loss = nn.CrossEntropyLoss()(nn.Sequential(*stages)(x), y)
    torch.testing.assert_close(step.loss, loss.detach(), rtol=1e-12, atol=1e-12)


@ALL
def test_copies_stay_bitwise_equal_and_a_second_step_is_right(scheme) -> None:
    schedule, stages = made(scheme, 4, 8)
    virtual = Virtual(schedule, stages, nn.CrossEntropyLoss())
    adam = torch.optim.Adam(virtual.parameters(), lr=1e-2)
    for seed in range(2):
        x, y = batch(16 + 8 * seed)
        expected = whole_gradient(stages, x, y)
        virtual.step(x, y)
        for p, g in zip(virtual.copies[0].parameters(), expected, strict=True):
            torch.testing.assert_close(p.grad, g, rtol=1e-12, atol=1e-12)
        adam.step()
    for copies in zip(*(pipe.parameters() for pipe in virtual.copies), strict=True):
        assert all(torch.equal(copies[0], other) for other in copies)


def held(stage: nn.Module, last: bool) -> int:
    """Return the bytes that a stage holds for a micro-batch of two rows."""
    h, y = torch.randn(2, 5, requires_grad=True), torch.zeros(2, dtype=torch.long)
    with SavedTensors([*stage.parameters()]) as meter:
        out = stage(h)
        if last:
            out = nn.CrossEntropyLoss()(out, y) / 7
    del out
    return meter.peak


@ALL
@pytest.mark.parametrize("D", [4, 16])
def test_what_is_held_is_what_is_counted(scheme, D: int) -> None:
    schedule, stages = made(scheme, D, 2 * D)
    found = Virtual(schedule, stages, nn.CrossEntropyLoss()).step(*batch(4 * D))
    last = len(stages) - 1
    bytes_ = [held(stage, k == last) for k, stage in enumerate(stages)]
    counted = simulate(schedule, Cost(activation=bytes_)).peak
    assert found.saved_bytes.tolist() == [int(n) for n in counted]


def test_1f1b_holds_a_share_of_gpipe_in_bytes() -> None:
    share = [
        Virtual(*made(scheme, 8, 32), nn.CrossEntropyLoss())
        .step(*batch(64))
        .saved_bytes
        for scheme in (OneFOneB(), GPipe())
    ]
    counts = [Fraction(int(a), int(b)) for a, b in zip(*share, strict=True)]
    assert counts == [Fraction(8 - s, 32) for s in range(8)]


class Noise(nn.Module):
    """Draws from torch's global generator, as dropout does, and writes it down."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[Tensor] = []

    def forward(self, h: Tensor) -> Tensor:
        self.drawn.append(torch.rand(5))
        return h * self.drawn[-1]


def test_to_recompute_is_to_draw_the_same_again() -> None:
    stages = [nn.Sequential(nn.Linear(5, 5), Noise()) for _ in range(4)]
    merak = Merak(keep_last=False, shift=False).schedule(4, 4)
    x, y = batch(8)
    Virtual(merak, stages, nn.CrossEntropyLoss()).step(x, y)
    for stage in stages:
        times = Counter(tuple(noise.tolist()) for noise in stage[1].drawn)
        assert sorted(times.values()) == [2] * 4


def test_layers_without_parameters_and_whole_numbers_pass() -> None:
    stages = [nn.Embedding(7, 5), nn.Tanh(), nn.Linear(5, 7), nn.Flatten(0, 1)]
    x = torch.randint(7, (8, 3))

    def loss(scores: Tensor, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(scores, target.flatten())

    expected = copy.deepcopy(nn.Sequential(*stages))
    loss(expected(x), x).backward()
    for scheme in SCHEMES:
        if int(scheme.schedule(4, 4).stages.max()) == 3:
            Virtual(scheme.schedule(4, 4), stages, loss).step(x, x)
            for p, q in zip(
                stages[0].parameters(), expected.parameters(), strict=False
            ):
                torch.testing.assert_close(p.grad, q.grad, rtol=1e-12, atol=1e-12)


def test_what_it_cannot_do_is_refused() -> None:
    schedule, loss = OneFOneB().schedule(4, 4), nn.CrossEntropyLoss()
    with pytest.raises(ValueError, match="there are 3 stages: expected 4"):
        Virtual(schedule, parts(3), loss)
    normed = parts(4)
    normed[2] = nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5))
    with pytest.raises(ValueError, match=r"stage 2 trains a BatchNorm1d \('1'\)"):
        Virtual(schedule, normed, loss)
    normed[2].eval()
    Virtual(schedule, normed, loss).step(*batch(8))
    tied = parts(4)
    tied[3][1].weight = tied[0][1].weight
    with pytest.raises(ValueError, match=r"'0.1.weight' \(block 0\) and '3.1.weight'"):
        Virtual(schedule, tied, loss)
    virtual = Virtual(schedule, parts(4), loss)
    with pytest.raises(ValueError, match="x has 10 rows: expected a multiple of 4"):
        virtual.step(*batch(10))
    with pytest.raises(ValueError, match="y has 0 rows: expected a multiple of 4"):
        virtual.step(batch(8)[0], batch(8)[1][:0])
    with pytest.raises(ValueError, match="y has 4 rows but x has 8"):
        virtual.step(batch(8)[0], batch(8)[1][:4])
