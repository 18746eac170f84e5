"""Kernel modules: proxies by definition, and the claims on digits."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from modular import (
    KernelModules,
    LengthNorm,
    Partition,
    Trainer,
    digits,
    few_labels,
    kernel,
)
from modular import transferability as value_of
from modular.tasks import binary_tasks
from tests.modular.nets import adam

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


def trained(task, generator: torch.Generator) -> Trainer:
    torch.manual_seed(0)
    hidden = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU())
    output = nn.Sequential(LengthNorm(), nn.Linear(64, 10))
    net = Partition([hidden, output], 2, sample=task.x[:1])
    one = Trainer(net, KernelModules(), optimizer=adam, generator=generator)
    one.fit(task.batches(128, generator), epochs=6, phases=[0])
    return one


def test_ten_labels_do_for_the_output_module() -> None:
    generator = torch.Generator().manual_seed(1)
    task = digits(generator)
    one = trained(task, generator)
    before = one.partition.blocks[0].state_dict()
    before = {name: value.clone() for name, value in before.items()}
    ten = few_labels(task.y, 1, generator)
    assert sorted(task.y[ten].tolist()) == list(range(10))
    one.fit([(task.x[ten], task.y[ten])], epochs=100, phases=[1])
    assert one.evaluate(task.test())[-1] > 0.93
    after = one.partition.blocks[0].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_transferability_ranks_a_trained_module_above_an_untrained_one() -> None:
    generator = torch.Generator().manual_seed(1)
    task = digits(generator)
    some = binary_tasks(task, every=9)
    tests = [(t.x_test, t.y_test) for t in some]
    good = trained(task, generator).partition.blocks[0].net
    torch.manual_seed(9)
    poor = nn.Sequential(nn.Linear(64, 64), nn.ReLU())
    assert (value_of(good, tests) > value_of(poor, tests)).all()
    assert good.training, "left as it was"


@pytest.mark.parametrize(
    ("per_class", "error", "text"),
    [
        (3, ValueError, "per_class is 3 but class 1 has 2 samples"),
        (0, ValueError, "per_class is 0: expected at least 1"),
        (1.0, TypeError, "per_class is 1.0: expected an int"),
    ],
)
def test_few_labels_refuses(per_class, error: type, text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        few_labels(torch.tensor([0, 0, 0, 1, 1]), per_class)
