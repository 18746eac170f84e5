"""Two kinds of trust, and lengths that are those of a function of time."""

import pytest
import torch
from torch import Tensor

from modular.multilevel import (
    LSR1,
    Constant,
    Linear,
    Point,
    Region,
    TimeHierarchy,
    VCycle,
    coherent,
)
from tests.modular.multilevel.test_cycle import draw, net, problem, regions


def hierarchy(per_time: bool, weave=None, steps: int = 8) -> TimeHierarchy:
    return TimeHierarchy(net(steps), 2, weave or Constant(True), per_time=per_time)


def functions(of: TimeHierarchy) -> list:
    x, y = draw(20, 2), torch.arange(20) % 2
    loss = torch.nn.functional.cross_entropy
    return [of.function(level, x, y, loss) for level in range(2)]


def test_in_time_the_constant_prolongation_keeps_lengths_and_a_mean_inverts_it() -> (
    None
):
    transfer = hierarchy(per_time=True).transfers[0]
    t = draw(len(transfer.restrict_iterate(hierarchy(True).theta())))
    fine = transfer.prolong(t)
    assert float(fine.norm()) == pytest.approx(float(t.norm()), rel=1e-12)
    assert transfer.norm == pytest.approx(1.0, rel=1e-12)
    torch.testing.assert_close(transfer.restrict_gradient(fine), t)
    torch.testing.assert_close(transfer.restrict_iterate(fine), t)
    plain = hierarchy(per_time=False).transfers[0]
    assert float(plain.prolong(t).norm()) > 1.2 * float(t.norm())


@pytest.mark.parametrize(("weave", "steps"), [(Constant(), 8), (Linear(True), 9)])
def test_units_change_the_unknowns_and_not_the_networks(weave, steps: int) -> None:
    plain, scaled = (hierarchy(p, weave, steps) for p in (False, True))
    theta, phi = plain.theta(), scaled.theta()
    root = scaled.nets[0].dt ** 0.5
    torch.testing.assert_close(phi[9:-8], root * theta[9:-8], rtol=0, atol=1e-15)
    assert torch.equal(phi[:9], theta[:9]) and torch.equal(phi[-8:], theta[-8:])
    pairs = zip(functions(plain), functions(scaled), strict=True)
    down = [plain.transfers[0].restrict_iterate(theta)]
    down.append(scaled.transfers[0].restrict_iterate(phi))
    for (one, other), (a, b) in zip(pairs, ((theta, phi), tuple(down)), strict=True):
        (value, slope), (same, other_slope) = one(a), other(b)
        torch.testing.assert_close(value, same, rtol=1e-12, atol=0)
        unit = b[9] / a[9]
        torch.testing.assert_close(other_slope[9:-8] * unit, slope[9:-8])
        torch.testing.assert_close(other_slope[:9], slope[:9])
    before = [p.detach().clone() for p in scaled.nets[0].parameters()]
    scaled.load(phi)
    for kept, p in zip(before, scaled.nets[0].parameters(), strict=True):
        torch.testing.assert_close(kept, p.detach(), rtol=0, atol=1e-15)


def test_the_coarse_model_has_the_fine_slope_in_time_too() -> None:
    of = hierarchy(per_time=True)
    fine, coarse = functions(of)
    at, transfer = Point.at(fine, of.theta()), of.transfers[0]
    start = Point.at(coarse, transfer.restrict_iterate(at.theta))
    H = coherent(coarse, start, transfer.restrict_gradient(at.gradient))
    d = draw(len(start.theta), seed=3)
    slope = float(at.gradient @ transfer.prolong(d))
    assert float(H(start.theta)[1] @ d) == pytest.approx(slope, rel=1e-12)
    ends = [float(fine(at.theta + e * transfer.prolong(d))[0]) for e in (1e-5, -1e-5)]
    assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(slope, rel=1e-6)


def test_a_short_radius_of_the_level_does_not_shorten_what_coarse_levels_propose() -> (
    None
):
    of, both, at = problem(2)
    lengths = {}
    for reach in (None, 1.0):
        pair = regions(2)
        cycle = VCycle(of.transfers, pair, before=0, after=0, reach=reach)
        pair[0].radius = 0.25  # steps of the level's own were rejected
        _, (trial,) = cycle(both, at)
        lengths[reach] = trial.length
    assert lengths[None] <= 0.25 * (1 + 1e-9) < lengths[1.0] <= 1.0 * (1 + 1e-9)


def test_a_coarse_step_that_misleads_is_proposed_shorter_next_time() -> None:
    def false(t: Tensor) -> tuple[Tensor, Tensor]:
        return -50 * t @ t, -100 * t

    def fine(theta: Tensor) -> tuple[Tensor, Tensor]:
        return theta.square().sum(), 2 * theta

    class Half:
        norm = 1.0

        def prolong(self, t: Tensor) -> Tensor:
            return torch.cat([t, 0 * t])

        def restrict_gradient(self, g: Tensor) -> Tensor:
            return g[:3]

        restrict_iterate = restrict_gradient

    pair = [Region(1.0, LSR1(4)), Region(1.0, LSR1(4))]
    cycle = VCycle([Half()], pair, before=0, after=0, coarsest=9, reach=8.0)
    at, lengths = Point.at(fine, torch.ones(6)), []
    for _ in range(6):
        before = float(at.value)
        at, (trial,) = cycle([fine, false], at)
        lengths.append(trial.length)
        assert float(at.value) <= before
    assert lengths[1] < lengths[0] and lengths[-1] < 1
    assert pair[0].radius == 1.0


def test_a_reach_that_is_not_positive_is_refused() -> None:
    of, _, _ = problem(2)
    with pytest.raises(ValueError, match="reach is 0.0: expected a positive"):
        VCycle(of.transfers, regions(2), reach=0.0)
