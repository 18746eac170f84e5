"""Quadrature and test functions on the reference interval."""

import numpy as np
import pytest
import torch

from pinn import gauss_legendre, gauss_lobatto, legendre, lobatto

RULES = [gauss_legendre, gauss_lobatto]


@pytest.mark.parametrize("rule_of", RULES)
@pytest.mark.parametrize("points", [2, 3, 5, 12, 40, 80])
def test_a_rule_is_exact_to_its_degree_and_no_further(rule_of, points: int) -> None:
    rule = rule_of(points)
    P, _ = legendre(rule.degree + 1, rule.nodes)
    sums = P @ rule.weights
    assert sums[0] == pytest.approx(2, abs=1e-13)
    assert sums[1:-1].abs().max() < 1e-13
    assert sums[-1].abs() > 1e-3


def test_the_stated_degrees() -> None:
    assert gauss_legendre(7).degree == 13
    assert gauss_lobatto(7).degree == 11
    assert gauss_lobatto(7).nodes[[0, -1]].tolist() == [-1.0, 1.0]


def test_bubbles_vanish_at_the_ends_and_hats_do_not() -> None:
    ends = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    tests = lobatto(30, ends, hats=True)
    assert tests.values[2:].abs().max() < 1e-13
    assert torch.equal(tests.values[:2], torch.eye(2, dtype=torch.float64))
    assert tests.first[2:].abs().min() > 1, "their slopes do not vanish there"


def test_slopes_of_bubbles_are_legendre_polynomials() -> None:
    x = torch.linspace(-1, 1, 33, dtype=torch.float64)
    tests = lobatto(12, x)
    P, _ = legendre(13, x)
    k = torch.arange(1, 13)[:, None]
    assert torch.allclose(tests.first, (2 * k + 1) * P[1:13], atol=1e-13)


def test_derivatives_agree_with_autograd() -> None:
    x = torch.linspace(-0.9, 0.9, 7, dtype=torch.float64, requires_grad=True)
    tests = lobatto(9, x, hats=True)
    for values, slopes in (
        (tests.values, tests.first),
        (tests.first, tests.second),
    ):
        for row, slope in zip(values, slopes, strict=True):
            if row.requires_grad:
                (by_autograd,) = torch.autograd.grad(row.sum(), x, retain_graph=True)
                assert torch.allclose(slope, by_autograd, atol=1e-11)
            else:
                assert not slope.any()


@pytest.mark.parametrize("h", [2.0, 0.3])
def test_the_stiffness_of_bubbles_is_diagonal(h: float) -> None:
    rule = gauss_legendre(15)
    first = lobatto(12, rule.nodes).first * 2 / h
    gram = (first * rule.weights) @ first.T * h / 2
    k = torch.arange(1, 13, dtype=torch.float64)
    J = h / 2
    assert torch.allclose(gram, torch.diag(2 * (2 * k + 1) / J), rtol=1e-12, atol=1e-11)


def test_hats_and_bubbles_span_all_polynomials() -> None:
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)
    tests = lobatto(5, x, hats=True).values  # degree 6
    for power in range(7):
        fit = torch.linalg.lstsq(tests.T, (x**power)[:, None]).solution
        assert torch.allclose(tests.T @ fit, (x**power)[:, None], atol=1e-11)
    alone = lobatto(5, x).values
    fit = torch.linalg.lstsq(alone.T, x[:, None]).solution
    assert (alone.T @ fit - x[:, None]).abs().max() > 0.1


def test_legendre_agrees_with_numpy() -> None:
    x = torch.linspace(-1, 1, 21, dtype=torch.float64)
    P, dP = legendre(20, x)
    for n in range(21):
        basis = np.polynomial.Legendre.basis(n)
        assert np.allclose(P[n], basis(x.numpy()), atol=1e-12)
        assert np.allclose(dP[n], basis.deriv()(x.numpy()), atol=1e-9)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: gauss_legendre(0), "points is 0: expected at least 1"),
        (lambda: gauss_lobatto(1), "points is 1: expected at least 2"),
        (lambda: legendre(0, torch.zeros(1)), "degree is 0"),
        (lambda: lobatto(0, torch.zeros(1)), "bubbles is 0"),
    ],
)
def test_bad_input_is_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
    with pytest.raises(TypeError, match="points is 2.5"):
        gauss_legendre(2.5)
