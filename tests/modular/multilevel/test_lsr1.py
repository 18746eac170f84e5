"""The compact matrix against the recursion, and what SR1 is for."""

import pytest
import torch
from torch import Tensor

from modular.multilevel import LSR1
from tests.modular.nets import draw


def recursive(pairs: list[tuple[Tensor, Tensor]], n: int, gamma: float) -> Tensor:
    """Return the matrix by one rank-one update after another."""
    B = gamma * torch.eye(n)
    for s, y in pairs:
        off = y - B @ s
        if (s @ off).abs() >= 1e-8 * s.norm() * off.norm():
            B = B + torch.outer(off, off) / (off @ s)
    return B


@pytest.mark.parametrize("gamma", [0.3, 1.0, 7.0])
def test_the_compact_matrix_is_the_recursive_one(gamma: float) -> None:
    n, B = 9, LSR1(memory=6, gamma=gamma)
    pairs = [(draw(n, seed=k), draw(n, seed=k + 50)) for k in range(6)]
    for count, pair in enumerate(pairs, start=1):
        assert B.update(*pair)
        exact = recursive(pairs[:count], n, gamma)
        torch.testing.assert_close(B.dense(n), exact, rtol=1e-10, atol=1e-10)
    v = draw(n, seed=99)
    torch.testing.assert_close(B.multiply(v), B.dense(n) @ v, rtol=0, atol=1e-12)


def test_the_oldest_pair_gives_way() -> None:
    n, B = 7, LSR1(memory=3)
    pairs = [(draw(n, seed=k), draw(n, seed=k + 50)) for k in range(5)]
    for pair in pairs:
        B.update(*pair)
    exact = recursive(pairs[2:], n, 1.0)
    torch.testing.assert_close(B.dense(n), exact, rtol=1e-10, atol=1e-10)


def saddle(n: int = 6) -> Tensor:
    Q, _ = torch.linalg.qr(draw(n, n, seed=3))
    return Q @ torch.diag(torch.linspace(-2.0, 5.0, n)) @ Q.T


def test_on_a_quadratic_it_remembers_every_pair_and_finds_the_hessian() -> None:
    A, B = saddle(), LSR1(memory=6)
    steps = [draw(6, seed=k) for k in range(6)]
    for count, s in enumerate(steps, start=1):
        B.update(s, A @ s)
        for old in steps[:count]:
            torch.testing.assert_close(B.multiply(old), A @ old, rtol=0, atol=1e-9)
    torch.testing.assert_close(B.dense(6), A, rtol=0, atol=1e-9)
    assert torch.linalg.eigvalsh(B.dense(6)).min() < -1.9


def test_negative_curvature_is_not_left_out() -> None:
    B = LSR1(memory=2)
    s = torch.tensor([1.0, 0.0, 0.0])
    assert B.update(s, -3 * s), "y^T s < 0 is no reason to skip"
    torch.testing.assert_close(B.multiply(s), -3 * s)


def test_a_pair_that_is_known_or_undefined_is_left_out() -> None:
    B, (s, t) = LSR1(memory=4), torch.eye(2)
    assert not B.update(s, s), "B s = y already"
    assert B.update(s, 2 * s)
    assert not B.update(s, 2 * s)
    y = B.multiply(t) + s  # (y - B t) is orthogonal to t
    assert not B.update(t, y)
    assert B.dense(2).isfinite().all()


def test_its_spectrum_is_that_of_the_matrix() -> None:
    n, B = 8, LSR1(memory=3, gamma=0.7)
    for k in range(3):
        B.update(draw(n, seed=k), draw(n, seed=k + 50))
    values, basis = B.spectrum()
    torch.testing.assert_close(basis.T @ basis, torch.eye(3), rtol=0, atol=1e-12)
    torch.testing.assert_close(B.dense(n) @ basis, basis * values, rtol=0, atol=1e-9)
    all_values = torch.cat([values, torch.full((n - 3,), 0.7)]).sort().values
    exact = torch.linalg.eigvalsh(B.dense(n))
    torch.testing.assert_close(exact, all_values, rtol=1e-9, atol=1e-9)
    assert LSR1(memory=1).spectrum() is None


def test_wrong_memories_are_refused() -> None:
    with pytest.raises(ValueError, match="memory is 0: expected at least 1"):
        LSR1(memory=0)
    with pytest.raises(ValueError, match="gamma is 0.0: expected a positive"):
        LSR1(memory=1, gamma=0.0)
