"""Data: real digits, no leaks between training and test."""

import types

import numpy as np
import pytest
import torch

from modular import digits, openml, pair_sum
from modular.tasks import binary_tasks


def rows(x: torch.Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in x}


def test_digits_are_split_and_scaled() -> None:
    task = digits(torch.Generator().manual_seed(0), test_share=0.2)
    assert len(task.x) + len(task.x_test) == 1797
    assert len(task.x_test) == 359
    assert task.x.min() == 0
    assert task.x.max() == 1
    assert sorted(task.y.unique().tolist()) == list(range(10))
    again = digits(torch.Generator().manual_seed(0), test_share=0.2)
    assert torch.equal(task.x, again.x)


def test_pairs_add_up_and_share_no_digit_with_the_test() -> None:
    task = pair_sum(torch.Generator().manual_seed(0), train=500, test=100)
    single = digits(torch.Generator().manual_seed(0))
    label = dict(zip(rows(single.x), [], strict=False))
    label = {
        x.numpy().tobytes(): int(y) for x, y in zip(single.x, single.y, strict=True)
    }
    for x, y in zip(task.x, task.y, strict=True):
        left, right = (part.clone().numpy().tobytes() for part in (x[:64], x[64:]))
        assert (label[left] + label[right]) % 10 == y
    train, test = (rows(x.reshape(-1, 64)) for x in (task.x, task.x_test))
    assert not train & test


def test_one_digit_of_a_pair_says_nothing() -> None:
    task = pair_sum(torch.Generator().manual_seed(0))
    counts = torch.bincount(task.y, minlength=10) / len(task.y)
    assert (counts - 0.1).abs().max() < 0.02


def test_loaders_shuffle_by_their_generator_and_drop_the_rest() -> None:
    task = digits(torch.Generator().manual_seed(0))
    loaders = [task.batches(500, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    firsts = [next(iter(loader))[1] for loader in loaders]
    assert torch.equal(firsts[0], firsts[1])
    assert not torch.equal(firsts[0], firsts[2])
    assert [len(y) for _, y in loaders[0]] == [500, 500]


def test_binary_tasks_are_pairs_of_classes() -> None:
    task = digits(torch.Generator().manual_seed(0))
    pairs = binary_tasks(task)
    assert len(pairs) == 45
    first = pairs[0]
    assert first.classes == 2
    assert set(first.y.tolist()) == {0, 1}
    assert len(first.x) == ((task.y == 0) | (task.y == 1)).sum()


class Recorded:
    """What scikit-learn returns for a data set: numbers, and labels as text."""

    def __init__(self) -> None:
        self.calls = []

    def __call__(self, name: str, **options) -> types.SimpleNamespace:
        self.calls.append((name, options))
        data = np.arange(6 * 784).reshape(6, 784) % 256
        return types.SimpleNamespace(data=data, target=np.array(list("504192")))


def test_openml_on_a_recorded_answer(tmp_path) -> None:
    fetch = Recorded()
    task = openml("mnist_784", test=2, data_home=str(tmp_path), fetch=fetch)
    assert task.x.shape == (4, 784)
    assert task.y.tolist() == [5, 0, 4, 1]
    assert task.y_test.tolist() == [9, 2]
    assert task.x.max() == 1
    ((name, options),) = fetch.calls
    assert name == "mnist_784"
    assert options["as_frame"] is False
    assert options["data_home"] == str(tmp_path)


@pytest.mark.network
def test_openml_has_mnist() -> None:
    task = openml("mnist_784")
    assert task.x.shape == (60_000, 784)
    assert task.y[:5].tolist() == [5, 0, 4, 1, 9]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (
            lambda: openml("mnist"),
            ValueError,
            "name is 'mnist': expected one of .*CIFAR",
        ),
        (
            lambda: openml("CIFAR_10", test=6, fetch=Recorded()),
            ValueError,
            "test is 6 but CIFAR_10 has 6 samples",
        ),
        (
            lambda: digits(test_share=1.0),
            ValueError,
            "test_share is 1.0: expected a num",
        ),
        (lambda: pair_sum(train=0), ValueError, "train is 0: expected at least 1"),
        (lambda: digits().batches(2000), ValueError, "size is 2000 but there are 1348"),
        (
            lambda: binary_tasks(digits(), every=0),
            ValueError,
            "every is 0: expected at",
        ),
    ],
)
def test_tasks_refuse(make, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        make()
