"""Total variation against solutions that were found another way."""

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear

from unroll.operators import Gradient
from unroll.penalties import TV

precise = TV(tol=1e-15, iterations=5000)


def test_a_line_is_a_box_constrained_least_squares_problem(generator):
    """One row: v - theta D^T p with |p| <= 1, solved by an active set, to rounding."""
    n, theta = 12, 0.7
    v = torch.randn(4, 1, n, generator=generator).cumsum(dim=2)
    D = np.diff(np.eye(n), axis=0)
    found = precise.prox(v, theta)
    for one, line in zip(found[:, 0].numpy(), v[:, 0].numpy(), strict=True):
        dual = lsq_linear(theta * D.T, line, (-1, 1), method="bvls", tol=1e-15)
        exact = line - theta * D.T @ dual.x
        assert np.abs(one - exact).max() < 1e-7
        turned = precise.prox(torch.from_numpy(line)[None, :, None], theta)
        assert np.abs(turned[0, :, 0].numpy() - exact).max() < 1e-7


def chambolle(v, theta, iterations):
    """Chambolle's fixed point of 2004, in NumPy; returns x and its duality gap."""
    p = np.zeros((2, *v.shape))

    def gradient(x):
        found = np.zeros((2, *x.shape))
        found[0, :-1], found[1, :, :-1] = np.diff(x, axis=0), np.diff(x, axis=1)
        return found

    def divergence(p):
        down, right = p[0].copy(), p[1].copy()
        down[-1], right[:, -1] = 0, 0
        below = np.diff(down, axis=0, prepend=0)
        return below + np.diff(right, axis=1, prepend=0)

    for _ in range(iterations):
        ahead = p + gradient(divergence(p) + v / theta) / 8
        p = ahead / np.maximum(1, np.hypot(*ahead))
    x = v + theta * divergence(p)
    gap = theta * (np.hypot(*gradient(x)).sum() - (gradient(x) * p).sum())
    return x, gap


@pytest.mark.parametrize("theta", [0.05, 0.3, 3.0])
def test_an_image_is_that_of_another_algorithm(generator, theta):
    v = torch.randn(2, 1, 6, 7, generator=generator)
    found = precise.prox(v, theta)
    for one, image in zip(found[:, 0].numpy(), v[:, 0].numpy(), strict=True):
        x, gap = chambolle(image, theta, 6000)
        assert 0 <= gap < 1e-8  # certified: within sqrt(2 gap) of the solution
        assert np.abs(one - x).max() < np.sqrt(2 * gap) + 1e-7


@pytest.mark.parametrize("kind", [torch.float64, torch.complex128])
def test_its_gap_is_primal_less_dual_objective(generator, kind):
    """At any p in the discs, with the x that belongs to it."""
    v = torch.empty(3, 1, 5, 6, dtype=kind).normal_(generator=generator)
    p = torch.empty(3, 1, 5, 6, 2, dtype=kind).normal_(generator=generator)
    p = p / p.norm(dim=-1, keepdim=True).clamp(min=1)
    theta = torch.tensor([0.1, 1.0, 4.0]).reshape(3, 1, 1, 1)
    x = v - theta * Gradient().adjoint(p)

    def half_square(z):
        return 0.5 * z.abs().square().flatten(1).sum(dim=1)

    primal = half_square(x - v) + theta.flatten() * TV().value(x)
    dual = half_square(v) - half_square(x)
    gap = TV()._gap(x, p, theta)
    torch.testing.assert_close(gap, primal - dual, rtol=0, atol=1e-12)


@pytest.mark.parametrize("tol", [1e-3, 1e-6])
def test_its_gap_bounds_its_error(generator, tol):
    """||x - prox||^2 <= 2 tol ||v||^2, and it did not do more than was asked."""
    v = torch.randn(5, 1, 8, 8, generator=generator)
    exact = precise.prox(v, 0.5)
    error = (TV(tol=tol).prox(v, 0.5) - exact).flatten(1).square().sum(dim=1)
    assert (error <= 2 * tol * v.flatten(1).square().sum(dim=1)).all()
    assert (error > 0).all()


def test_a_strong_weight_leaves_the_mean_and_the_mean_is_always_kept(generator):
    v = torch.randn(2, 3, 5, 6, generator=generator)
    mean = v.mean(dim=(2, 3), keepdim=True)
    flat = TV(tol=1e-10).prox(v, 100.0)
    torch.testing.assert_close(flat, mean.expand_as(v), rtol=0, atol=1e-4)
    some = precise.prox(v, 0.2).mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(some, mean, rtol=0, atol=1e-12)


def test_it_is_isotropic(generator):
    """A diagonal step of one pixel has length sqrt 2, not 2."""
    x = torch.zeros(1, 3, 3)
    x[0, 1, 1] = 1
    assert TV().value(x).item() == pytest.approx(2 + 2**0.5, rel=1e-12)


def test_float32_stops_where_rounding_does(generator):
    v = torch.randn(2, 1, 8, 8, generator=generator)
    exact = precise.prox(v, 0.5)
    narrow = TV(tol=1e-12, iterations=300).prox(v.float(), 0.5)
    assert narrow.dtype == torch.float32
    assert (narrow - exact).abs().max() < 5e-3


def test_gradient_and_divergence_are_adjoint_and_bounded(generator):
    K = Gradient()
    for kind in (torch.float64, torch.complex128):
        x = torch.empty(2, 3, 6, 7, dtype=kind).normal_(generator=generator)
        p = torch.empty(2, 3, 6, 7, 2, dtype=kind).normal_(generator=generator)
        left = torch.vdot(K(x).flatten(), p.flatten())
        right = torch.vdot(x.flatten(), K.adjoint(p).flatten())
        assert abs((left - right).item()) < 1e-12
    columns = torch.eye(20 * 20).reshape(-1, 20, 20)
    largest = torch.linalg.matrix_norm(K(columns).flatten(1), 2).item()
    assert 0.99 * K.norm() < largest <= K.norm() == 8**0.5
    with pytest.raises(ValueError, match=r"x has shape \(2, 3\): expected \(batch"):
        K(torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"b has shape \(2, 3, 3, 3\): expected \(ba"):
        K.adjoint(torch.ones(2, 3, 3, 3))
