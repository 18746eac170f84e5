"""Bubbles, makespans and activations of every scheme: formulas, with ==."""

from fractions import Fraction as F

import pytest

from modular.pipeline import (
    GEMS,
    Chimera,
    Cost,
    GPipe,
    Interleaved,
    Merak,
    OneFOneB,
    ZeroBubble,
    check,
    simulate,
)
from tests.modular.pipeline.cases import SCHEMES

DEPTHS = pytest.mark.parametrize("D", [4, 6, 8, 16, 32, 64])
EQUAL, TWICE = Cost(1, 1), Cost(1, 2)


def run(scheme, D: int, N: int, cost: Cost):
    return simulate(scheme.schedule(D, N), cost)


@DEPTHS
@pytest.mark.parametrize("cost", [EQUAL, TWICE, Cost(F(1, 3), F(3, 7))])
def test_gpipe_and_1f1b_are_equally_idle(D: int, cost: Cost) -> None:
    for N in (1, D - 1, D, 2 * D, 4 * D + 1):
        for scheme in (GPipe(), OneFOneB()):
            found = run(scheme, D, N, cost)
            assert set(found.bubble) == {F(D - 1, N + D - 1)}
            assert found.makespan == (N + D - 1) * (F(cost.forward) + cost.backward)


@DEPTHS
def test_1f1b_saves_memory_and_no_time(D: int) -> None:
    for N in (1, D - 1, D, 3 * D):
        assert run(GPipe(), D, N, TWICE).peak == (N,) * D
        assert run(OneFOneB(), D, N, TWICE).peak == tuple(
            min(N, D - s) for s in range(D)
        )


@DEPTHS
@pytest.mark.parametrize("v", [1, 2, 3])
def test_interleaved(D: int, v: int) -> None:
    cost = Cost(F(1, v), F(2, v), activation=F(1, v))
    for N in (D, 2 * D, 4 * D):
        found = run(Interleaved(v), D, N, cost)
        assert set(found.bubble) == {F(D - 1, v * N + D - 1)}
        assert sum(found.traffic.values()) == 2 * N * (v * D - 1)
    if v == 2:
        assert min(found.peak) == F(D + 1, 2) and max(found.peak) == D + F(D - 1, 2)


@DEPTHS
def test_zero_bubble(D: int) -> None:
    for N in (D, D + 1, 4 * D):
        found = run(ZeroBubble(), D, N, TWICE)
        assert found.makespan == 3 * N + D - 1
        assert set(found.bubble) == {F(D - 1, 3 * N + D - 1)}
        assert set(found.peak) == {D}


@DEPTHS
def test_gems(D: int) -> None:
    for N in (1, 2, 7):
        found = run(GEMS(), D, N, TWICE)
        assert found.makespan == N * (2 * D + 1) + D - 1
        assert set(found.peak) == {1}
    period = run(GEMS(), D, 8, TWICE).makespan - found.makespan
    assert 1 - F(3) / period == F(D - 1) / (D + F(1, 2))


@DEPTHS
def test_chimera_with_equal_times(D: int) -> None:
    for N in (D, 2 * D, 4 * D):
        for f in (f for f in range(1, D // 2 + 1) if D // 2 % f == 0):
            found = run(Chimera(pairs=f), D, N, EQUAL)
            assert set(found.bubble) == {F(D - 2 * f, 2 * f * N + D - 2 * f)}
            assert min(found.peak) == D - F(D, 2 * f) + 1 and max(found.peak) == D


@DEPTHS
def test_chimera_with_twice_the_time_backward(D: int) -> None:
    ratio = F(D - 2) / (F(3, 2) * D + D - 2)
    assert set(run(Chimera(), D, D, TWICE).bubble) == {ratio}
    for N in (2 * D, 4 * D, 6 * D):
        found = run(Chimera(doubling=True), D, N, TWICE)
        assert set(found.bubble) == {F(D - 2) / (F(3, 2) * N + D - 2)}
        assert max(found.peak) == 2 * D
        halves = Cost(F(1, 2), 1, activation=F(1, 2))  # the same list on halves
        assert max(run(Chimera(doubling=True), D, N, halves).peak) == D


def test_plain_concatenation_is_worse_than_1f1b() -> None:
    """With B = 2F: a unit of 3D of work takes 4D - 2."""
    found = {
        scheme: float(run(scheme, 8, 32, TWICE).bubble[0])
        for scheme in (OneFOneB(), Chimera(), Chimera(doubling=True))
    }
    assert [round(ratio, 3) for ratio in found.values()] == [0.179, 0.238, 0.111]
    for D in (4, 8, 16, 32):
        for k in range(1, 7):
            two = run(Chimera(), D, k * D, TWICE).makespan
            one = run(OneFOneB(), D, k * D, TWICE).makespan
            assert two == 5 * D - 4 + (k - 1) * (4 * D - 2)
            assert (two > one) == ((k - 1) * (D - 2) > D + 1)


@pytest.mark.parametrize(
    ("D", "N", "cost", "one", "two"),
    [(4, 4, EQUAL, 14, 10), (8, 8, EQUAL, 30, 22), (64, 64, EQUAL, 254, 190)]
    + [(4, 4, TWICE, 21, 16), (8, 32, TWICE, 117, 126)],
)
def test_known_makespans(D: int, N: int, cost: Cost, one: int, two: int) -> None:
    assert run(GPipe(), D, N, cost).makespan == one
    assert run(OneFOneB(), D, N, cost).makespan == one
    assert run(Chimera(), D, N, cost).makespan == two


@pytest.mark.parametrize(
    ("D", "N", "totals"),
    [(4, 4, (28, 25, 26, 23, 22)), (16, 16, (124, 109, 122, 107, 106))],
)
def test_the_five_totals_of_merak(D: int, N: int, totals: tuple[int, ...]) -> None:
    inside = Cost(1, 3)
    kept = Cost(1, [3] * (D - 1) + [2])
    found = [
        run(OneFOneB(), D, N, inside),
        run(Merak(keep_last=False, shift=False), D, N, TWICE),
        run(OneFOneB(), D, N, kept),
        run(Merak(shift=False), D, N, TWICE),
        run(Merak(), D, N, TWICE),
    ]
    assert tuple(f.makespan for f in found) == totals


@DEPTHS
def test_merak_for_every_depth(D: int) -> None:
    for N in (D, 2 * D + 1):
        total = 4 * (N + D - 1)
        early = run(Merak(keep_last=False, shift=False), D, N, TWICE)
        assert early.makespan == total - (D - 1)
        assert early.peak == (1,) * D, "only what is recomputed is held"
        assert run(Merak(shift=False), D, N, TWICE).makespan == total - (D + 1)
        assert run(Merak(), D, N, TWICE).makespan == total - (D + 2)


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
@pytest.mark.parametrize("D", [4, 8])
def test_every_scheme_is_in_order_and_complete(scheme, D: int) -> None:
    for N in (D, 2 * D, 3 * D):
        check(scheme.schedule(D, N))
    check(dict(scheme.schedule(D, D)))  # as lists, too


@pytest.mark.parametrize(
    ("scheme", "D", "N", "shown"),
    [
        (Chimera(), 5, 5, "ranks is 5: expected a multiple of 2"),
        (Chimera(pairs=3), 8, 8, "ranks is 8: expected a multiple of 6"),
        (Chimera(), 4, 6, "micros is 6: expected a multiple of 4"),
        (Chimera(doubling=True), 4, 12, "micros is 12: expected a multiple of 8"),
        (Interleaved(2), 4, 6, "micros is 6: expected a multiple of 4"),
        (GPipe(), 0, 4, "ranks is 0: expected at least 1"),
        (OneFOneB(), 4, 0, "micros is 0: expected at least 1"),
    ],
)
def test_what_does_not_divide_is_refused(scheme, D: int, N: int, shown: str) -> None:
    with pytest.raises(ValueError, match=shown):
        scheme.schedule(D, N)


def test_what_a_scheme_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="pairs is 0"):
        Chimera(pairs=0)
    with pytest.raises(ValueError, match="pairs is 2 with doubling"):
        Chimera(pairs=2, doubling=True)
    with pytest.raises(TypeError, match=r"stages is 1\.5"):
        Interleaved(1.5)
    with pytest.raises(ValueError, match="shift is True and keep_last is False"):
        Merak(keep_last=False)
