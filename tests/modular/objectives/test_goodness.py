"""Forward-Forward: negatives, scores, and what it learns."""

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from modular import (
    DGL,
    Goodness,
    LengthNorm,
    Partition,
    Trainer,
)
from modular.objectives.goodness import goodness_scores
from tests.modular.nets import adam, draw, head


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
