"""The HSIC bottleneck against its definition, written out slowly."""

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modular import (
    HSIC,
)
from modular.objectives.hsic import gaussian_gram, hsic
from tests.modular.nets import draw, head


def numpy_gram(h: np.ndarray, width: float) -> np.ndarray:
    m, d = h.shape
    gram = np.zeros((m, m))
    for i in range(m):
        for j in range(m):
            gram[i, j] = math.exp(-((h[i] - h[j]) ** 2).sum() / (2 * width**2 * d))
    return gram


def test_hsic_is_its_definition() -> None:
    a, b = draw(7, 4).numpy(), draw(7, 2, seed=1).numpy()
    A, B = numpy_gram(a, 1.5), numpy_gram(b, 1.5)
    H = np.eye(7) - np.ones((7, 7)) / 7
    expected = np.trace(A @ H @ B @ H) / 6**2
    found = hsic(*(gaussian_gram(torch.tensor(h), 1.5) for h in (a, b)))
    assert math.isclose(found, expected, rel_tol=1e-12)


def test_the_hsic_bottleneck_is_its_definition() -> None:
    h_in, h_out, y = draw(6, 5), draw(6, 4, seed=1), torch.arange(6) % 3
    H = np.eye(6) - np.ones((6, 6)) / 6

    def whitened(h: np.ndarray) -> np.ndarray:
        gram = H @ numpy_gram(h, 2.0) @ H
        return gram @ np.linalg.inv(gram + 1e-3 * 6 * np.eye(6))

    x, h, labels = (whitened(v) for v in (h_in.numpy(), h_out.numpy(), np.eye(3)[y]))
    expected = np.trace(h @ x) - 50 * np.trace(h @ labels)
    found = HSIC(beta=50, width=2.0, ridge=1e-3)(h_in, h_out, head(), y)
    assert math.isclose(found, expected, rel_tol=1e-9)


@given(st.integers(2, 8), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_hsic_is_symmetric_and_not_negative(m: int, seed: int) -> None:
    a, b = (gaussian_gram(draw(m, 3, seed=s), 1.0) for s in (seed, seed + 1))
    assert torch.isclose(hsic(a, b), hsic(b, a), rtol=1e-9, atol=1e-12)
    assert hsic(a, b) >= -1e-12
    constant = gaussian_gram(torch.ones(m, 3), 1.0)
    assert hsic(a, constant).abs() <= 1e-12, "nothing depends on a constant"
