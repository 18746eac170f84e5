"""The V-cycle: coherence, Galerkin's theorem, and the plain trust region in it."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from modular.multilevel import (
    LSR1,
    Constant,
    Linear,
    Point,
    Region,
    TimeHierarchy,
    TimeNet,
    TimeTransfer,
    VCycle,
    coherent,
)
from modular.multilevel.weave import Weave
from tests.modular.nets import draw

EVERY = Constant()


def net(steps: int = 8, width: int = 3) -> TimeNet:
    torch.manual_seed(1)
    blocks = [nn.Sequential(nn.Linear(width, width), nn.Tanh()) for _ in range(steps)]
    return TimeNet(nn.Linear(2, width), blocks, nn.Linear(width, 2), dt=2 / steps)


def problem(levels: int, weave: Weave = EVERY, steps: int = 8):
    """Return a hierarchy, its functions and where it begins."""
    hierarchy = TimeHierarchy(net(steps), levels, weave)
    x, y = draw(20, 2), torch.arange(20) % 2
    loss = functional.cross_entropy
    functions = [hierarchy.function(k, x, y, loss) for k in range(levels)]
    return hierarchy, functions, Point.at(functions[0], hierarchy.theta())


def regions(levels: int, radius: float = 1.0) -> list[Region]:
    return [Region(radius, LSR1(memory=6)) for _ in range(levels)]


@pytest.mark.parametrize(
    ("weave", "steps"),
    [(Constant(), 8), (Constant(True), 8), (Linear(), 9), (Linear(True), 9)],
    ids=str,
)
def test_the_coarse_model_has_the_fine_slope(weave, steps: int) -> None:
    """``d/de H(t_0 + e d) = <g_f, P d>``, by finite differences of H."""
    hierarchy, functions, at = problem(2, weave, steps)
    transfer = hierarchy.transfers[0]
    start = Point.at(functions[1], transfer.restrict_iterate(at.theta))
    H = coherent(functions[1], start, transfer.restrict_gradient(at.gradient))
    for seed in range(3):
        d = draw(len(start.theta), seed=seed)
        slope = float(at.gradient @ transfer.prolong(d))
        assert float(H(start.theta)[1] @ d) == pytest.approx(slope, rel=1e-12)
        ends = [float(H(start.theta + e * d)[0]) for e in (1e-5, -1e-5)]
        assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(slope, rel=1e-6, abs=1e-9)
    assert float(H(start.theta)[0]) == float(start.value)


@pytest.mark.parametrize("weave", [Constant(), Linear(), Linear(True)], ids=str)
def test_gradients_are_restricted_by_the_transpose(weave) -> None:
    transfer = TimeTransfer(weave, 4, (2, 3, 1), torch.zeros(()))
    fine = len(weave.matrix(4)) * 3 + 3
    t, g = draw(15), draw(fine, seed=1)
    left, right = transfer.prolong(t) @ g, t @ transfer.restrict_gradient(g)
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)
    lengths = [
        float(transfer.prolong(draw(15, seed=s)).norm() / draw(15, seed=s).norm())
        for s in range(20)
    ]
    assert max(lengths) <= transfer.norm + 1e-12


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", [Constant, Linear])
def test_iterates_that_do_not_change_in_time_stay(kind, weighted: bool) -> None:
    """Their restriction has row sums 1; those of the transpose are about 2."""
    weave = kind(weighted)
    R, P = weave.iterates(4), weave.matrix(4)
    torch.testing.assert_close(R.sum(dim=1), torch.ones(4))
    torch.testing.assert_close(P.sum(dim=1), torch.ones(len(P)))
    expected = [2.0] * 4 if kind is Constant else [1.5, 2.0, 2.0, 1.5]
    assert P.T.sum(dim=1).tolist() == expected


def test_one_level_is_the_plain_trust_region_bit_for_bit() -> None:
    _, functions, at = problem(1)
    cycle, plain, here = VCycle([], regions(1)), regions(1)[0], at
    for _ in range(6):
        at, trials = cycle(functions, at)
        for trial in trials:
            here, expected = plain.step(functions[0], here)
            assert trial == expected
        assert torch.equal(at.theta, here.theta)
    assert len(trials) == 2


class Columns:
    """A prolongation given as a matrix."""

    def __init__(self, P: Tensor) -> None:
        self.P, self.norm = P, float(torch.linalg.matrix_norm(P, 2))

    def prolong(self, t: Tensor) -> Tensor:
        return self.P @ t

    def restrict_gradient(self, g: Tensor) -> Tensor:
        return self.P.T @ g

    def restrict_iterate(self, theta: Tensor) -> Tensor:
        return theta[::2]


def test_a_galerkin_model_of_a_quadratic_predicts_exactly() -> None:
    A, P = draw(6, 6), draw(6, 3, seed=1)
    A = A + A.T  # a saddle

    def fine(theta: Tensor) -> tuple[Tensor, Tensor]:
        return theta @ A @ theta / 2 + theta.sum(), A @ theta + 1

    def coarse(t: Tensor) -> tuple[Tensor, Tensor]:
        G = P.T @ A @ P
        return t @ G @ t / 2 - 7 * t.sum(), G @ t - 7

    at = Point.at(fine, draw(6, seed=2))
    cycle = VCycle([Columns(P)], regions(2), before=0, after=0, coarsest=4)
    for _ in range(5):
        at, trials = cycle([fine, coarse], at)
        assert [t.coarse for t in trials] == [True]
        assert trials[0].ratio == pytest.approx(1.0, abs=1e-9)
        assert trials[0].accepted


@pytest.mark.parametrize(
    ("levels", "weave", "steps"),
    [(1, Constant(), 8), (3, Constant(), 8), (3, Linear(), 9)],
)
def test_accepted_losses_never_rise_and_the_gradient_vanishes(
    levels, weave, steps
) -> None:
    hierarchy, functions, at = problem(levels, weave, steps)
    cycle = VCycle(hierarchy.transfers, regions(levels))
    first, values = at, [float(at.value)]
    for _ in range(25):
        at, trials = cycle(functions, at)
        values.append(float(at.value))
        assert all(t.accepted == (t.ratio > 1e-4) or t.ratio > 1e-4 for t in trials)
    assert all(b <= a for a, b in zip(values, values[1:], strict=False))
    assert values[-1] < 0.8 * values[0]
    assert float(at.gradient.norm()) < float(first.gradient.norm())


def test_a_coarse_step_is_no_longer_than_the_radius() -> None:
    hierarchy, functions, at = problem(2)
    cycle = VCycle(hierarchy.transfers, regions(2, radius=0.1), before=0, after=0)
    _, trials = cycle(functions, at)
    assert 0 < trials[0].length <= 0.1 * (1 + 1e-9)


def test_the_functions_of_a_hierarchy_are_its_networks() -> None:
    hierarchy, functions, at = problem(2)
    x, y = draw(20, 2), torch.arange(20) % 2
    own = hierarchy.nets[0]
    value = functional.cross_entropy(own(x), y)
    value.backward()
    named = hierarchy._named(0).values()
    exact = torch.cat([p.grad.flatten() for p in named])
    torch.testing.assert_close(at.value, value.detach(), rtol=0, atol=1e-14)
    torch.testing.assert_close(at.gradient, exact, rtol=0, atol=1e-14)
    moved = at.theta + 0.1
    hierarchy.load(moved)
    assert torch.equal(hierarchy.theta(), moved)
    again = functional.cross_entropy(own(x), y)
    torch.testing.assert_close(functions[0](moved)[0], again.detach(), rtol=0, atol=0)


def test_a_constant_network_is_the_same_on_both_grids() -> None:
    """Equal blocks that return the same: two short steps are a long one."""
    blocks = [nn.Linear(3, 3) for _ in range(8)]
    for block in blocks:
        nn.init.zeros_(block.weight)
        block.bias.data.copy_(torch.tensor([1.0, -2.0, 0.5]))
    fine = TimeNet(nn.Linear(2, 3), blocks, nn.Linear(3, 2), dt=1 / 8)
    hierarchy, x = TimeHierarchy(fine, 3, Constant()), draw(5, 2)
    for level in (1, 2):
        torch.testing.assert_close(hierarchy.nets[level](x), fine(x))


def test_nested_iteration_costs_coarse_gradients_only() -> None:
    hierarchy, functions, at = problem(3)
    looks = [0, 0, 0]

    def counted(level: int):
        def f(theta: Tensor) -> tuple[Tensor, Tensor]:
            looks[level] += 1
            return functions[level](theta)

        return f

    cycle = VCycle(hierarchy.transfers, regions(3))
    counting = [counted(level) for level in range(3)]
    found = cycle.nested(counting, at.theta, steps=15)
    assert looks == [1, 16, 16]
    assert float(found.value) < 0.9 * float(at.value)
    exact, _ = functions[0](found.theta)
    assert float(found.value) == float(exact)
    pairs = found.theta[9:-8].view(8, 12)  # between opening and closing layer
    torch.testing.assert_close(pairs[::2], pairs[1::2], rtol=0, atol=0)
    assert all(not region.curvature.pairs for region in cycle.regions)
    plain = VCycle([], regions(1)).nested(functions[:1], at.theta, steps=3)
    assert torch.equal(plain.theta, at.theta)
    looks[:] = [0, 0, 0]
    cycle.nested(counting, at.theta, steps=[4, 9])
    assert looks == [1, 5, 10]  # the coarsest level's last
    with pytest.raises(ValueError, match="there are 3 numbers of steps for 2 coarse"):
        cycle.nested(functions, at.theta, steps=[4, 9, 2])
    with pytest.raises(ValueError, match="steps is 0: expected at least 1"):
        cycle.nested(functions, at.theta, steps=[4, 0])


def test_a_coarse_step_teaches_the_fine_curvature() -> None:
    hierarchy, functions, at = problem(2)
    cycle = VCycle(hierarchy.transfers, regions(2), before=0, after=0)
    end, trials = cycle(functions, at)
    assert len(trials) == 1 and trials[0].accepted
    ((s, y),) = cycle.regions[0].curvature.pairs
    torch.testing.assert_close(s, end.theta - at.theta)
    torch.testing.assert_close(y, end.gradient - at.gradient)


def test_what_has_no_coarse_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="there are 6 steps.*|there are 3 steps"):
        TimeHierarchy(net(6), 3, Constant())
    with pytest.raises(ValueError, match="there are 8 steps: expected an odd"):
        TimeHierarchy(net(8), 2, Linear())
    with pytest.raises(ValueError, match="levels is 0: expected at least 1"):
        TimeHierarchy(net(8), 0, Constant())
    parts = nn.Linear(2, 3), nn.Linear(3, 2)
    blocks = [nn.Linear(3, 3), nn.Linear(3, 3, bias=False)]
    with pytest.raises(ValueError, match=r"block 1 has 'bias' of shape None but block"):
        TimeNet(parts[0], blocks, parts[1], dt=1.0)
    with pytest.raises(ValueError, match="there are 0 blocks"):
        TimeNet(parts[0], [], parts[1], dt=1.0)
    with pytest.raises(ValueError, match="dt is 0.0: expected a positive"):
        TimeNet(parts[0], blocks[:1], parts[1], dt=0.0)
    norm = [nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))]
    with pytest.raises(ValueError, match="buffer 'blocks.0.1.running_mean'"):
        TimeNet(parts[0], norm, parts[1], dt=1.0)


def test_wrong_cycles_are_refused() -> None:
    hierarchy, functions, at = problem(2)
    with pytest.raises(ValueError, match="there are 1 regions for 1 transfers"):
        VCycle(hierarchy.transfers, regions(1))
    with pytest.raises(ValueError, match="before is -1: expected at least 0"):
        VCycle([], regions(1), before=-1)
    with pytest.raises(ValueError, match="there are 1 functions for 2 levels"):
        VCycle(hierarchy.transfers, regions(2))(functions[:1], at)
