"""Acceptance, radii, the optimiser of torch, and batches that grow."""

import pytest
import torch
from torch import Tensor, nn

from modular.multilevel import ASNTR, LSR1, Overlapping, Point, Region, TrustRegion
from tests.modular.nets import draw


def rosenbrock(t: Tensor) -> tuple[Tensor, Tensor]:
    a, b = t[0], t[1]
    value = (1 - a) ** 2 + 100 * (b - a * a) ** 2
    slopes = [-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)]
    return value, torch.stack(slopes)


def test_it_walks_the_banana_and_never_up() -> None:
    region, at = Region(0.5, LSR1(memory=2)), Point.at(rosenbrock, torch.zeros(2))
    trials = []
    for _ in range(120):
        before = at
        at, trial = region.step(rosenbrock, at)
        trials.append(trial)
        assert float(at.value) <= float(before.value)
        assert (at is before) == (not trial.accepted)
    assert float(at.gradient.norm()) < 1e-6
    torch.testing.assert_close(at.theta, torch.ones(2), rtol=0, atol=1e-6)
    assert any(not t.accepted for t in trials), "some steps are rejected"


def test_it_leaves_a_saddle() -> None:
    """Begun on the ridge's side, negative curvature is found and followed."""

    def saddle(t: Tensor) -> tuple[Tensor, Tensor]:
        value = t[0] ** 2 - t[1] ** 2 + t[1] ** 4 / 4
        return value, torch.stack([2 * t[0], -2 * t[1] + t[1] ** 3])

    region, at = (
        Region(0.1, LSR1(memory=4)),
        Point.at(saddle, torch.tensor([1.0, 1e-3])),
    )
    lowest = []
    for _ in range(40):
        at, _ = region.step(saddle, at)
        found = region.curvature.spectrum()
        lowest.append(1.0 if found is None else float(found[0].min()))
    assert min(lowest) < -1
    assert float(at.value) == pytest.approx(-1.0, abs=1e-6)


def test_the_radius_follows_the_ratio() -> None:
    at = Point(torch.zeros(1), torch.tensor(1.0), torch.ones(1))
    for ratio, radius in ((0.9, 2.0), (0.5, 1.0), (0.05, 0.5), (-1.0, 0.5)):
        region = Region(1.0, LSR1(memory=1))
        there = Point(-torch.ones(1), torch.tensor(1.0 - ratio), torch.ones(1))
        end, trial = region.judge(at, there, predicted=1.0)
        assert trial.ratio == pytest.approx(ratio, abs=1e-12)
        assert region.radius == radius
        assert trial.accepted == (end is there) == (ratio > 0)
    region = Region(1.0, LSR1(memory=1))
    near = Point(-torch.ones(1) / 2, torch.tensor(0.0), torch.ones(1))
    region.judge(at, near, predicted=1.0)
    assert region.radius == 1.0, "a short step says nothing about a longer one"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_trial_without_a_value_is_rejected(bad: float) -> None:
    def cliff(t: Tensor) -> tuple[Tensor, Tensor]:
        falls = t.sum() < -0.2
        value = torch.where(falls, bad, t.sum())
        return value, torch.where(falls, bad, torch.ones_like(t))

    region, at = Region(1.0, LSR1(memory=2)), Point.at(cliff, torch.ones(1) * 0.5)
    for _ in range(12):
        at, _ = region.step(cliff, at)
        assert at.value.isfinite()
    assert float(at.value) < 0 and region.radius < 1


def test_a_start_without_a_value_is_told() -> None:
    nowhere = Point(torch.zeros(2), torch.tensor(float("nan")), torch.zeros(2))
    with pytest.raises(FloatingPointError, match="the function is nan here"):
        Region(1.0, LSR1(memory=1)).step(rosenbrock, nowhere)
    with pytest.raises(ValueError, match="radius is -1.0: expected a positive"):
        Region(-1.0, LSR1(memory=1))


def test_secant_pairs_come_from_the_samples_that_are_asked_for() -> None:
    def bowl(t: Tensor) -> tuple[Tensor, Tensor]:
        return t @ t / 2, t

    def steeper(t: Tensor) -> tuple[Tensor, Tensor]:
        return 5 * (t @ t) / 2, 5 * t

    region = Region(10.0, LSR1(memory=1))
    region.step(bowl, Point.at(bowl, torch.ones(3)), secant=steeper)
    ((s, y),) = region.curvature.pairs
    torch.testing.assert_close(y, 5 * s)


def test_the_optimiser_is_the_region() -> None:
    layer = nn.Linear(3, 1)
    x, y = draw(20, 3), draw(20, 1, seed=1)
    optimizer = TrustRegion(layer.parameters(), radius=0.5, memory=4)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (layer(x) - y).square().mean()
        loss.backward()
        return loss

    def f(theta: Tensor) -> tuple[Tensor, Tensor]:
        w, b = theta[:3].view(1, 3), theta[3:]
        off = x @ w.T + b - y
        slope = 2 * torch.cat([(off.T @ x).flatten(), off.sum(dim=0)]) / len(x)
        return off.square().mean(), slope

    start = nn.utils.parameters_to_vector(layer.parameters()).detach().clone()
    region, at = Region(0.5, LSR1(memory=4)), Point.at(f, start)
    for _ in range(5):
        loss = optimizer.step(closure)
        torch.testing.assert_close(loss, at.value, rtol=0, atol=1e-10)
        at, trial = region.step(f, at)
        assert optimizer.trials[-1].accepted == trial.accepted
        found = nn.utils.parameters_to_vector(layer.parameters()).detach()
        torch.testing.assert_close(found, at.theta, rtol=0, atol=1e-8)
    with pytest.raises(ValueError, match="closure is None: expected a function"):
        optimizer.step()
    with pytest.raises(ValueError, match="there are 2 groups: expected one"):
        TrustRegion([{"params": [layer.weight]}, {"params": [layer.bias]}])


def on(index: Tensor):
    """The mean of half squares: its minimum is the mean of the samples."""
    part = draw(60, 2)[index]
    return lambda t: (
        (t - part).square().sum() / len(part) / 2,
        t - part.mean(dim=0),
    )


def asntr(**options) -> ASNTR:
    g = torch.Generator().manual_seed(0)
    return ASNTR(Region(1.0, LSR1(memory=2)), rows=60, generator=g, **options)


def test_samples_grow_and_the_end_is_deterministic() -> None:
    method, theta, sizes = asntr(size=3, extra=5, slack=0.1), 3 * torch.ones(2), []
    for _ in range(60):
        theta, _ = method.step(on, theta)
        sizes.append(method.size)
    assert sizes == sorted(sizes) and sizes[0] < 60 and sizes[-1] == 60
    torch.testing.assert_close(theta, draw(60, 2).mean(dim=0), rtol=0, atol=1e-6)


def test_on_the_whole_set_it_is_the_plain_trust_region() -> None:
    method, theta = asntr(size=60), 3 * torch.ones(2)
    whole = on(torch.arange(60))
    region, at = Region(1.0, LSR1(memory=2)), Point.at(whole, theta)
    for _ in range(6):
        theta, trial = method.step(on, theta)
        at, expected = region.step(whole, at)
        assert torch.equal(theta, at.theta) and trial == expected


def test_batches_overlap_and_see_every_sample() -> None:
    batches = Overlapping(60, 20, 0.25, generator=torch.Generator().manual_seed(0))
    found = list(batches.epoch())
    assert set(torch.cat([b for b, _ in found]).tolist()) == set(range(60))
    for (batch, shared), (following, _) in zip(found, found[1:], strict=False):
        assert len(batch) == 20 and len(shared) == 5
        assert torch.equal(shared, batch[-5:]) and torch.equal(shared, following[:5])


def test_batches_double_when_they_mislead() -> None:
    batches = Overlapping(60, 20)
    assert not batches.grow(actual=0.6, promised=1.0)
    assert batches.grow(actual=0.4, promised=1.0) and batches.size == 40
    assert batches.grow(actual=0.0, promised=0.0) and batches.size == 60
    assert not batches.grow(actual=0.0, promised=1.0)
    ((batch, shared),) = batches.epoch()
    assert torch.equal(batch, shared) and len(batch) == 60


@pytest.mark.parametrize(
    ("make", "error", "shown"),
    [
        (lambda: asntr(size=61), ValueError, "size is 61 but there are 60 rows"),
        (lambda: asntr(size=0), ValueError, "size is 0: expected at least 1"),
        (lambda: asntr(size=1.5), TypeError, "size is 1.5: expected an int"),
        (lambda: asntr(size=3, growth=1.0), ValueError, "growth is 1.0: expected more"),
        (lambda: asntr(size=3, slack=0.0), ValueError, "slack is 0.0"),
        (lambda: Overlapping(9, 10), ValueError, "size is 10 but there are 9 rows"),
        (lambda: Overlapping(9, 4, 0.5), ValueError, "share is 0.5: expected between"),
        (lambda: Overlapping(9, 2.5), TypeError, "size is 2.5: expected an int"),
    ],
)
def test_wrong_batches_are_refused(make, error, shown) -> None:
    with pytest.raises(error, match=shown):
        make()
