"""Kernel proxies are their definitions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from modular import (
    kernel,
)

PROXIES = [
    kernel.alignment,
    kernel.upper_alignment,
    kernel.log_contrastive,
    kernel.negative_squares,
    kernel.negative_contrast,
]


proxies = pytest.mark.parametrize("proxy", PROXIES, ids=lambda p: p.__name__)


def gram_and_same(seed: int = 0, rows: int = 7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    h = torch.randn(rows, 4, generator=generator)
    y = torch.arange(rows) % 3
    return kernel.unit_gram(h), kernel.same_class(y)


def by_hand(name: str, G: np.ndarray, same: np.ndarray) -> float:
    rows = range(len(G))
    pairs = [(i, j) for i in rows for j in rows if i < j]
    inside = [G[i, j] for i, j in pairs if same[i, j]]
    between = [G[i, j] for i, j in pairs if not same[i, j]]
    norms = np.linalg.norm
    return {
        "alignment": lambda: np.sum(G * same) / norms(G) / norms(same * 1.0),
        "upper_alignment": lambda: (
            sum(inside) / norms(inside + between) / np.sqrt(len(inside))
        ),
        "log_contrastive": lambda: np.log(
            np.exp(inside).sum() / np.exp(inside + between).sum()
        ),
        "negative_squares": lambda: -np.mean(np.square(between)),
        "negative_contrast": lambda: -np.log(np.mean(np.exp(between))),
    }[name]()


@proxies
def test_proxies_are_their_definitions(proxy) -> None:
    G, same = gram_and_same()
    expected = by_hand(proxy.__name__, G.numpy(), same.numpy())
    np.testing.assert_allclose(proxy(G, same), expected, rtol=1e-12)


@proxies
@given(seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_no_module_beats_the_ideal_one(proxy, seed: int) -> None:
    G, same = gram_and_same(seed)
    ideal = proxy(same.to(G.dtype), same)
    # The optimum in [0, 1]: 1 within a class, 0 between (non-negative features).
    assert proxy(G.clamp(min=0), same) <= ideal + 1e-12


@proxies
def test_only_pairs_reach_a_hidden_module(proxy) -> None:
    """Renaming the classes changes nothing."""
    h, y = torch.randn(9, 4), torch.arange(9) % 3
    objective = kernel.Kernel(proxy)
    renamed = torch.tensor([2, 0, 1])[y]
    assert torch.equal(objective(h, h, None, y), objective(h, h, None, renamed))
    torch.testing.assert_close(objective(h, 5 * h, None, y), objective(h, h, None, y))


@pytest.mark.parametrize(
    ("proxy", "labels", "text"),
    [
        (kernel.upper_alignment, [0, 1, 2], "no two samples of one class"),
        (kernel.log_contrastive, [0, 1, 2], "no two samples of one class"),
        (kernel.negative_squares, [1, 1, 1], "no two samples of different classes"),
        (kernel.negative_contrast, [1, 1, 1], "no two samples of different classes"),
    ],
)
def test_batches_without_pairs_are_refused(proxy, labels: list, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        proxy(torch.eye(3), kernel.same_class(torch.tensor(labels)))
