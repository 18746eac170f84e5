"""Similarity matching against its definition, written out slowly."""

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modular import (
    Pred,
    PredSim,
    Sim,
)
from modular.objectives.sim import similarity
from tests.modular.nets import draw, head


def test_sim_is_its_definition() -> None:
    h, y, g = draw(5, 4), torch.tensor([0, 1, 2, 0, 1]), head()
    Sim().attach(g, h[:1], h[:1])

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        a, b = a - a.mean(), b - b.mean()
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    features = g.parts["similarity"](h).detach().numpy()
    labels = np.eye(3)[y]
    squares = [
        (cosine(features[i], features[j]) - cosine(labels[i], labels[j])) ** 2
        for i in range(5)
        for j in range(5)
    ]
    assert math.isclose(Sim()(h, h, g, y).item(), np.mean(squares), rel_tol=1e-12)


@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-10, 10))
@settings(max_examples=30, deadline=None)
def test_similarity_ignores_scale_and_offset(seed: int, a: float, b: float) -> None:
    h = draw(5, 4, seed=seed)
    S = similarity(h)
    torch.testing.assert_close(similarity(a * h + b), S, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(S, S.T)
    torch.testing.assert_close(S.diagonal(), torch.ones(5))


def test_images_are_compared_by_deviation_per_channel() -> None:
    h = draw(4, 3, 5, 5)
    expected = similarity(torch.tensor(h.flatten(2).numpy().std(axis=2)))
    torch.testing.assert_close(similarity(h), expected)
    assert (similarity(torch.zeros(3, 4)) == 0).all()


def test_predsim_adds_the_two() -> None:
    h, y, g = draw(6, 4), torch.arange(6) % 3, head()
    objective = PredSim(0.7)
    objective.attach(g, h[:1], h[:1])
    expected = 0.3 * Pred()(h, h, g, y) + 0.7 * Sim()(h, h, g, y)
    torch.testing.assert_close(objective(h, h, g, y), expected)
    assert objective.at(2, 3) == Pred(), "the last module has the true loss, unscaled"
    assert objective.predicts
    assert not (2 * Sim()).predicts


def test_sim_learns_a_convolution_that_keeps_the_size_of_an_image() -> None:
    h = draw(2, 4, 5, 6)
    own = head()
    Sim().attach(own, h[:1], h[:1])
    (convolution,) = own.parts.values()
    assert convolution(h).shape == h.shape
    assert convolution.bias is None
