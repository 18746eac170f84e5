"""Multiplicative updates: they never rise, end at the optimum, and refuse by name."""

import pytest
import torch
from scipy.optimize import nnls

from unroll.parts import multiplicative_updates, nmf
from unroll.problems import Mixtures


def sampled(batch=20, seed=0, noise=0.1):
    generator = torch.Generator().manual_seed(seed)
    problem = Mixtures.random(12, 4, generator, noise=noise)
    return problem.A, *problem.sample(batch, generator)


def by_hand(W, b, iterations):
    """Entry by entry, from the formula."""
    h = [[1.0] * W.shape[1] for _ in b]
    for _ in range(iterations):
        for i, sample in enumerate(b):
            now = torch.tensor(h[i], dtype=b.dtype)
            h[i] = [
                float(now[j] * (W[:, j] @ sample) / (W[:, j] @ (W @ now)))
                for j in range(W.shape[1])
            ]
    return torch.tensor(h, dtype=b.dtype)


@pytest.mark.parametrize("iterations", [0, 1, 7])
def test_updates_are_the_formula_by_hand(iterations):
    W, b, _ = sampled(batch=3)
    found = multiplicative_updates(W, b, iterations=iterations)
    expected = by_hand(W, b, iterations)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_updates_never_raise_the_cost_and_end_at_the_least_squares():
    W, b, _ = sampled()
    costs, h = [], None
    for _ in range(30):
        h = multiplicative_updates(W, b, iterations=1, h0=h)
        assert (h >= 0).all()
        costs.append((b - h @ W.T).square().sum(dim=1))
    costs = torch.stack(costs)
    assert (costs[1:] <= costs[:-1] + 1e-14).all()
    h = multiplicative_updates(W, b, iterations=20_000)
    best = torch.tensor(
        [nnls(W.numpy(), sample.numpy())[1] ** 2 for sample in b], dtype=b.dtype
    )
    least = (b - h @ W.T).square().sum(dim=1)
    torch.testing.assert_close(least, best, rtol=1e-6, atol=1e-9)


def test_nmf_never_raises_the_objective_and_stays_not_negative():
    """Theorem 1 of Lee and Seung 2001."""
    _, b, _ = sampled()
    found = nmf(b, 3, iterations=200, generator=torch.Generator().manual_seed(1))
    assert found.objective.shape == (201,)
    assert (found.objective[1:] <= found.objective[:-1] + 1e-12).all()
    assert found.objective[-1] < 0.2 * found.objective[0]
    assert (found.codes >= 0).all() and (found.parts >= 0).all()
    torch.testing.assert_close(found.parts.amax(dim=0), torch.ones(3))
    at_the_end = 0.5 * (b - found.codes @ found.parts.T).square().sum()
    torch.testing.assert_close(at_the_end, found.objective[-1], rtol=1e-12, atol=0)


def test_nmf_finds_parts_that_do_not_overlap():
    generator = torch.Generator().manual_seed(0)
    A = torch.zeros(9, 3)
    for j in range(3):
        A[3 * j : 3 * j + 3, j] = torch.tensor([1.0, 0.5, 0.25])
    b, _ = Mixtures(A).sample(50, generator)
    found = nmf(b, 3, iterations=2000, generator=generator).parts
    order = found.argmax(dim=0).argsort()
    torch.testing.assert_close(found[:, order], A, rtol=0, atol=1e-3)


def test_one_iteration_of_nmf_is_the_formula():
    _, b, _ = sampled()
    seeded = [torch.Generator().manual_seed(2) for _ in range(2)]
    start, one = (nmf(b, 3, iterations=i, generator=g) for i, g in enumerate(seeded))
    H, W = start.codes, start.parts
    H = H * (b @ W) / (H @ W.T @ W)
    W = W * (b.T @ H) / (W @ H.T @ H)
    torch.testing.assert_close(one.codes @ one.parts.T, H @ W.T, rtol=0, atol=1e-12)


def test_zeros_stay_and_do_no_harm():
    W, b, _ = sampled(batch=3)
    b[0], h0 = 0, torch.ones(3, 4)
    h0[1, 2] = 0
    W[:, 3] = 0
    h = multiplicative_updates(W, b, h0=h0, iterations=9)
    assert not h[0].any() and h[1, 2] == 0 and not h[:, 3].any()
    assert h.isfinite().all()
    assert not nmf(torch.zeros(3, 4), 2, iterations=3).codes.any()


W, B = torch.ones(3, 2, dtype=torch.float64), torch.ones(1, 3, dtype=torch.float64)


@pytest.mark.parametrize(
    ("change", "kind", "shown"),
    [
        ({"W": W - 2}, ValueError, r"W\[0, 0\] is -1.0: expected entries >= 0"),
        ({"b": B - 2}, ValueError, r"b\[0, 0\] is -1.0: expected entries >= 0"),
        ({"b": B[:, :2]}, ValueError, "b has 2 columns but A has 3 rows"),
        ({"h0": -B[:, :2]}, ValueError, r"h0\[0, 0\] is -1.0"),
        ({"h0": B}, ValueError, r"h0 has shape \(1, 3\): expected \(1, 2\)"),
        ({"iterations": -1}, ValueError, "iterations is -1"),
    ],
)
def test_updates_refuse_by_name(change, kind, shown):
    with pytest.raises(kind, match=shown):
        multiplicative_updates(**({"W": W, "b": B} | change))


@pytest.mark.parametrize(
    ("change", "kind", "shown"),
    [
        ({"b": B - 2}, ValueError, r"b\[0, 0\] is -1.0: expected entries >= 0"),
        ({"b": B[0]}, ValueError, r"b has shape \(3,\): expected \(batch, m\)"),
        ({"b": B * torch.nan}, ValueError, r"b\[0, 0\] is nan"),
        ({"b": B.int()}, TypeError, "b has dtype torch.int32"),
        ({"k": 0}, ValueError, "k is 0"),
        ({"iterations": 1.0}, TypeError, "iterations is 1.0"),
    ],
)
def test_nmf_refuses_by_name(change, kind, shown):
    with pytest.raises(kind, match=shown):
        nmf(**({"b": B, "k": 1} | change))


def test_mixtures_have_codes_of_that_density_and_mean():
    A = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    b, x = Mixtures(A, density=0.3).sample(20_000, generator)
    torch.testing.assert_close(b, x @ A.T)
    assert abs((x > 0).double().mean() - 0.3) < 0.01
    assert abs(x[x > 0].mean() - 1) < 0.02
    b, x = Mixtures(A, noise=0.2).sample(20_000, generator)
    off = (b - x @ A.T) / b.mean()
    assert off.min() >= 0 and abs(off.square().mean().sqrt() - 0.2) < 0.05


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"A": W - 2}, "A has an entry of -1.0"),
        ({"density": 0.0}, "density is 0.0"),
        ({"noise": -0.1}, "noise is -0.1"),
    ],
)
def test_mixtures_refuse_by_name(change, shown):
    with pytest.raises(ValueError, match=shown):
        Mixtures(**({"A": W} | change))
