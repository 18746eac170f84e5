"""The trust-region step by its optimality certificate, on random indefinite cases."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from modular.multilevel import LSR1, Solution, solve
from tests.modular.nets import draw


def matrix(n: int, pairs: int, seed: int, gamma: float = 1.0) -> LSR1:
    B = LSR1(memory=pairs, gamma=gamma)
    for k in range(pairs):
        B.update(draw(n, seed=1000 * seed + k), 3 * draw(n, seed=1000 * seed + k + 500))
    return B


def certify(B: LSR1, g: Tensor, radius: float, found: Solution) -> None:
    """More and Sorensen: these hold if and only if the step is the minimiser."""
    n, p, sigma = len(g), found.p, found.sigma
    dense = B.dense(n)
    scale = float(dense.abs().max()) + sigma
    shifted = dense + sigma * torch.eye(n)
    assert sigma >= 0
    assert float((shifted @ p + g).norm()) <= 1e-10 * scale * max(1.0, float(p.norm()))
    assert sigma * abs(float(p.norm()) - radius) <= 1e-10 * scale * radius
    assert float(p.norm()) <= radius * (1 + 1e-10)
    assert float(torch.linalg.eigvalsh(shifted).min()) >= -1e-10 * scale
    predicted = -float(g @ p + p @ dense @ p / 2)
    assert found.predicted == pytest.approx(predicted, rel=1e-8, abs=1e-12)


@given(
    n=st.integers(2, 9),
    pairs=st.integers(1, 9),
    seed=st.integers(0, 10**4),
    radius=st.sampled_from([1e-3, 0.1, 1.0, 30.0]),
    gamma=st.sampled_from([0.2, 1.0, 5.0]),
)
@settings(max_examples=80, deadline=None)
def test_the_certificate_holds(n, pairs, seed, radius, gamma) -> None:
    B = matrix(n, min(pairs, n), seed, gamma)
    g = draw(n, seed=seed + 7)
    if torch.linalg.cond(B.dense(n)) < 1e8:  # a nearly undefined update: no 1e-10
        certify(B, g, radius, solve(B, g, radius))


def test_inside_it_is_newtons_step() -> None:
    B = LSR1(memory=2)
    for s in torch.eye(5)[:2]:
        B.update(s, 4 * s)
    g = draw(5)
    found = solve(B, g, radius=100.0)
    exact = -torch.linalg.solve(B.dense(5), g)
    torch.testing.assert_close(found.p, exact, rtol=0, atol=1e-12)
    assert found.sigma == 0 and not found.hard


@pytest.mark.parametrize("radius", [0.5, 2.0, 50.0])
def test_the_hard_case(radius: float) -> None:
    """No part of the gradient along the lowest eigenvector."""
    B, (e, f, h) = LSR1(memory=2), torch.eye(3)
    B.update(e, -2 * e)
    B.update(f, 3 * f)
    g = 2 * f + h
    found = solve(B, g, radius)
    certify(B, g, radius, found)
    smallest = float((2 / 5) ** 2 + (1 / 3) ** 2) ** 0.5
    assert found.hard == (radius > smallest)
    if found.hard:
        assert found.sigma == pytest.approx(2.0, abs=1e-9)
        assert abs(float(found.p[0])) > 0
        assert float(found.p.norm()) == pytest.approx(radius, rel=1e-12)


def test_a_gradient_of_nothing_at_a_saddle_still_moves() -> None:
    B, e = LSR1(memory=1), torch.eye(3)[0]
    B.update(e, -2 * e)
    found = solve(B, torch.zeros(3), radius=1.5)
    certify(B, torch.zeros(3), 1.5, found)
    assert found.hard and found.predicted == pytest.approx(1.5**2)


def test_a_nearly_hard_case_is_solved_too() -> None:
    B, (e, f, _) = LSR1(memory=2), torch.eye(3)
    B.update(e, -2 * e)
    B.update(f, 3 * f)
    for tiny in (1e-4, 1e-8):
        g = 2 * f + tiny * e
        certify(B, g, 2.0, solve(B, g, 2.0))


def test_a_singular_matrix_is_no_reason_to_stop() -> None:
    B, (e, f, _) = LSR1(memory=1), torch.eye(3)
    B.update(e, 0 * e)
    for g in (f, f + e):
        certify(B, g, 3.0, solve(B, g, 3.0))


def test_a_radius_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="radius is 0.0: expected a positive"):
        solve(LSR1(memory=1), torch.ones(2), 0.0)
