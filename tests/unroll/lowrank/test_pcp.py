"""Principal component pursuit: exact recovery, and a gap that certifies it."""

import pytest
import torch

from unroll.lowrank import pcp
from unroll.problems import LowRankPlusSparse


def sampled(size=(40, 30), batch=3, seed=0, outliers=0.05):
    problem = LowRankPlusSparse(size, 2, outliers=outliers, dtype=torch.float64)
    return problem.sample(batch, torch.Generator().manual_seed(seed))


def objective(L, Y, lam):
    return torch.linalg.matrix_norm(L, "nuc") + lam * (Y - L).abs().sum(dim=(1, 2))


def test_finds_both_parts_exactly():
    """Theorem 1.1 of Candes et al. 2011, in one case of it."""
    Y, L = sampled()
    found = pcp(Y, tol=1e-10)
    error = torch.linalg.matrix_norm(found.low_rank - L) / torch.linalg.matrix_norm(L)
    assert error.max() < 1e-7
    assert found.converged.all()
    assert (torch.linalg.matrix_rank(found.low_rank, rtol=1e-6) == 2).all()


def test_what_it_finds_is_the_algorithm_by_hand():
    Y, _ = sampled(batch=2)
    for k in (1, 4):
        for y, L, S in zip(Y, *vars_of(pcp(Y, iterations=k)), strict=True):
            low, sparse = by_hand(y, k)
            torch.testing.assert_close(L, low, rtol=0, atol=1e-12)
            torch.testing.assert_close(S, sparse, rtol=0, atol=1e-12)


def vars_of(found):
    return found.low_rank, found.sparse


def by_hand(y, iterations):
    mu, lam = y.numel() / (4 * y.abs().sum()), 1 / max(y.shape) ** 0.5
    S = Z = torch.zeros_like(y)
    for _ in range(iterations):
        U, s, Vh = torch.linalg.svd(y - S + Z / mu, full_matrices=False)
        L = U @ torch.diag((s - 1 / mu).relu()) @ Vh
        rest = y - L + Z / mu
        S = rest.sign() * (rest.abs() - lam / mu).relu()
        Z = Z + mu * (y - L - S)
    return L, S


def test_the_gap_bounds_the_distance_to_the_minimum():
    Y, _ = sampled(outliers=0.3)
    lam = 40**-0.5
    best = pcp(Y, tol=1e-12, iterations=3000)
    least = objective(best.low_rank, Y, lam)
    assert (best.gap < 1e-4 * least).all()
    for iterations in (1, 5, 20):
        found = pcp(Y, iterations=iterations)
        above = objective(found.low_rank, Y, lam) - least
        assert (found.gap >= above - 1e-9).all()
        assert not found.converged.any()


def test_a_sample_does_not_depend_on_the_others():
    Y, _ = sampled()
    Y[1] = Y[1] * 1e3
    together = pcp(Y)
    assert len(set(together.iterations.tolist())) > 1, "they end at different times"
    for i in range(3):
        alone = pcp(Y[i : i + 1])
        assert alone.iterations == together.iterations[i]
        torch.testing.assert_close(alone.low_rank[0], together.low_rank[i])


def test_growth_takes_fewer_iterations_and_the_gap_tells_whether_it_was_too_fast():
    Y, L = sampled()
    slow, fast, rash = (pcp(Y, growth=growth) for growth in (1.0, 1.2, 10.0))
    assert (fast.iterations < 0.6 * slow.iterations).all()
    least = objective(L, Y, 40**-0.5)
    assert (fast.gap < 1e-3 * least).all() and (rash.gap > 1e-2 * least).all()
    assert (torch.linalg.matrix_norm(fast.low_rank - L) < 1e-3).all()


def test_zero_is_its_own_two_parts():
    found = pcp(torch.zeros(2, 5, 4))
    assert not found.low_rank.any() and not found.gap.any()
    assert found.iterations.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("change", "kind", "shown"),
    [
        (
            {"Y": torch.ones(4, 5)},
            ValueError,
            r"Y has shape \(4, 5\): expected \(batch",
        ),
        ({"Y": torch.ones(0, 4, 5)}, ValueError, r"Y has shape \(0, 4, 5\)"),
        ({"Y": torch.ones(1, 4, 5).half()}, TypeError, "Y has dtype torch.float16"),
        ({"Y": torch.ones(1, 4, 5).int()}, TypeError, "Y has dtype torch.int32"),
        ({"Y": torch.full((1, 4, 5), torch.nan)}, ValueError, r"Y\[0, 0, 0\] is nan"),
        ({"lam": 0.0}, ValueError, "lam is 0.0"),
        ({"tol": -1.0}, ValueError, "tol is -1.0"),
        ({"growth": 0.9}, ValueError, "growth is 0.9: expected a finite number >= 1"),
        ({"iterations": 0}, ValueError, "iterations is 0"),
    ],
)
def test_refuses_by_name(change, kind, shown):
    with pytest.raises(kind, match=shown):
        pcp(**({"Y": torch.ones(1, 4, 5)} | change))
