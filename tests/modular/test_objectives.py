"""Objectives against their definitions, written out slowly."""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from modular import (
    DGL,
    HSIC,
    Goodness,
    InfoPro,
    LengthNorm,
    Partition,
    Pred,
    PredSim,
    Sim,
    Trainer,
)
from modular.heads import Head
from modular.objectives.goodness import goodness_scores
from modular.objectives.hsic import gaussian_gram, hsic
from modular.objectives.sim import similarity
from tests.modular.nets import adam


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def head(classes: int = 3, width: int = 4) -> Head:
    return Head(nn.Linear(width, classes), classes)


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


def test_infopro_moves_from_reconstruction_to_prediction() -> None:
    weights = [InfoPro((1.0, 0.0), (0.0, 2.0)).at(k, 4).first for k in range(3)]
    assert weights == [(1.0, 0.0), (0.5, 1.0), (0.0, 2.0)]
    x, h, y, g = draw(6, 5), draw(6, 4), torch.arange(6) % 3, head()
    objective = InfoPro((0.3, 0.7), (0.3, 0.7))
    objective.attach(g, x[:1], h[:1])
    error = ((g.parts["decoder"](h) - x) ** 2).mean()
    expected = 0.3 * error + 0.7 * functional.cross_entropy(g(h), y)
    torch.testing.assert_close(objective(x, h, g, y), expected)


@pytest.mark.parametrize("objective", [InfoPro(), Sim(), HSIC(), PredSim()])
def test_images_will_do(objective) -> None:
    x, h = draw(4, 2, 6, 6), draw(4, 3, 3, 3).requires_grad_()
    g = Head(nn.Sequential(nn.Flatten(), nn.Linear(27, 3)), 3)
    objective.attach(g, x[:1], h[:1])
    objective(x, h, g, torch.arange(4) % 3).backward()
    assert h.grad.abs().sum() > 0


@given(st.integers(2, 10), st.integers(1, 40), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_negatives_never_carry_the_true_label(c: int, rows: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(c, (rows,), generator=generator)
    x = draw(rows, c + 2, seed=seed)
    right, wrong, neutral = Goodness().enter(x, y, c, generator).chunk(3)
    assert (right[:, :c].argmax(dim=1) == y).all()
    assert (wrong[:, :c].argmax(dim=1) != y).all()
    for part in (right, wrong, neutral):
        torch.testing.assert_close(part[:, :c].sum(dim=1), torch.ones(rows))
        assert torch.equal(part[:, c:], x[:, c:])
    assert (neutral[:, :c] == neutral[0, 0]).all()


def test_wrong_labels_are_drawn_evenly() -> None:
    y, generator = torch.zeros(30_000, dtype=torch.int64), torch.Generator()
    wrong = Goodness().enter(torch.zeros(30_000, 5), y, 4, generator).chunk(3)[1]
    shares = wrong[:, :4].mean(dim=0)
    assert shares[0] == 0
    torch.testing.assert_close(shares[1:], torch.full((3,), 1 / 3), rtol=0, atol=0.015)


def test_goodness_is_its_definition() -> None:
    h, y = draw(6, 4), torch.tensor([0, 1])
    G = (h**2).mean(dim=1).numpy()
    right, wrong = G[:2], G[2:4]
    expected = (
        np.log1p(np.exp(1.5 - right)).mean() + np.log1p(np.exp(wrong - 1.5)).mean()
    )
    assert math.isclose(Goodness(1.5)(h, h, head(), y), expected, rel_tol=1e-12)


def test_the_scores_of_forward_forward_see_the_neutral_label_only() -> None:
    h, y, g = draw(6, 4), torch.tensor([0, 1]), head()
    expected = functional.cross_entropy(g(h[4:]), y)
    torch.testing.assert_close(Goodness().at(2, 3)(h, h, g, y), expected)


def test_forward_forward_learns_to_tell_labels_by_goodness() -> None:
    """Every module by itself: the hidden ones never see the scores."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(150) % 3
    points = 3 * torch.randn(3, 8, generator=generator)[y]
    points += 0.5 * torch.randn(150, 8, generator=generator)
    x = torch.cat([torch.zeros(150, 3), points], dim=1)
    torch.manual_seed(0)
    stages = [
        nn.Sequential(nn.Linear(11, 32), nn.ReLU()),
        nn.Sequential(LengthNorm(), nn.Linear(32, 32), nn.ReLU()),
        nn.Sequential(LengthNorm(), nn.Linear(32, 3)),
    ]
    net = Partition(stages, 3, sample=x)
    one = Trainer(net, DGL(Goodness()), optimizer=adam, generator=generator)
    batches = list(zip(x.split(50), y.split(50), strict=True))
    one.fit(batches, epochs=40)
    scores = goodness_scores(net, x)
    assert scores.shape == (150, 3)
    assert (scores.argmax(dim=1) == y).double().mean() > 0.75, "chance is 1/3"
    assert one.evaluate([(x, y)])[-1] > 0.9


def test_length_norm_hides_the_length() -> None:
    h = draw(5, 4)
    scale = torch.tensor([0.1, 1, 2, 30, 400.0])[:, None]
    torch.testing.assert_close(
        LengthNorm()(scale * h), LengthNorm()(h), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (
            lambda: PredSim(1.5),
            ValueError,
            "beta is 1.5: expected a number from 0 to 1",
        ),
        (
            lambda: HSIC(beta=-1),
            ValueError,
            "beta is -1: expected a finite number >= 0",
        ),
        (lambda: HSIC(width=0), ValueError, "width is 0: expected a positive number"),
        (lambda: HSIC(ridge=0), ValueError, "ridge is 0: expected a positive"),
        (lambda: Goodness(-2), ValueError, "theta is -2: expected a positive number"),
        (lambda: InfoPro(last=(1, -1)), ValueError, "last[1] is -1: expected a finite"),
        (lambda: Pred() + 3, TypeError, "cannot add 3: expected an Objective"),
        (lambda: -1 * Pred(), ValueError, "factor is -1: expected a number >= 0"),
        (lambda: Pred() + Goodness(), TypeError, "the network 1 and 3 rows per sample"),
        (lambda: 2 * Goodness(), TypeError, "cannot scale Goodness(theta=2.0)"),
        (
            lambda: Goodness().enter(torch.zeros(2, 3), torch.zeros(2), 3),
            ValueError,
            "x has shape (2, 3) and there are 3 classes: expected (batch, n) with n >",
        ),
    ],
)
def test_objectives_refuse(make, error: type, text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        make()


def test_sim_learns_a_convolution_that_keeps_the_size_of_an_image() -> None:
    h = draw(2, 4, 5, 6)
    own = head()
    Sim().attach(own, h[:1], h[:1])
    (convolution,) = own.parts.values()
    assert convolution(h).shape == h.shape
    assert convolution.bias is None
