"""Small real tasks: digits, sums of two digits, and what OpenML has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from modular._checks import check_choice, check_count

__all__ = ["Task", "binary_tasks", "digits", "openml", "pair_sum"]


OPENML = ("mnist_784", "Fashion-MNIST", "CIFAR_10")


class _Rows(TensorDataset):
    """Rows that are fetched a batch at a time, not one by one and then stacked."""

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, ...]:
        return self[torch.tensor(indices)]


@dataclass(frozen=True, eq=False)
class Task:
    """Data to train on and data to test on.

    Args:
        x: Training data. Shape ``(train, n)``.
        y: Their labels. Shape ``(train,)``.
        x_test: Test data. Shape ``(test, n)``.
        y_test: Their labels. Shape ``(test,)``.
        classes: How many classes there are.
    """

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor
    classes: int = 10

    def batches(
        self, size: int, generator: torch.Generator | None = None
    ) -> "DataLoader":
        """Return shuffled training batches; the incomplete last one is dropped.

        Args:
            size: Samples per batch.
            generator: Shuffles, anew in each pass; None is torch's global one.

        Returns:
            A loader of data and labels.

        Raises:
            TypeError: If ``size`` is not an int.
            ValueError: If there are fewer samples than that, or it is not positive.
        """
        check_count("size", size, least=1)
        if size > len(self.x):
            raise ValueError(f"size is {size} but there are {len(self.x)} samples")
        return DataLoader(
            _Rows(self.x, self.y),
            size,
            shuffle=True,
            drop_last=True,
            generator=generator,
            collate_fn=tuple,
        )

    def test(self) -> list[tuple[Tensor, Tensor]]:
        """Return the test data as one batch."""
        return [(self.x_test, self.y_test)]


def digits(
    generator: torch.Generator | None = None, *, test_share: float = 0.25
) -> Task:
    """Return the 1797 handwritten digits that ship with scikit-learn, 8 x 8 pixels.

    Easy: every sensible method reaches 97 to 98 %, so that it ranks nothing. Alpaydin
    and Kaynak 1998, "Optical Recognition of Handwritten Digits" (UCI).

    Args:
        generator: Draws the split; None is torch's global one.
        test_share: Share of the samples to test on.

    Returns:
        The task, pixels from 0 to 1 in torch's default dtype.

    Raises:
        ValueError: If ``test_share`` is not between 0 and 1.

    Example:
        >>> task = digits(torch.Generator().manual_seed(0))
        >>> task.x.shape, task.x_test.shape
        (torch.Size([1348, 64]), torch.Size([449, 64]))
    """
    if not 0 < test_share < 1:
        raise ValueError(f"test_share is {test_share}: expected a number inside (0, 1)")
    from sklearn.datasets import load_digits  # heavy, and needed only here

    pixels, labels = load_digits(return_X_y=True)
    x = torch.tensor(pixels, dtype=torch.get_default_dtype()) / 16
    y = torch.tensor(labels, dtype=torch.int64)
    order = torch.randperm(len(x), generator=generator)
    held_out = int(test_share * len(x))
    test, train = order[:held_out], order[held_out:]
    return Task(x[train], y[train], x[test], y[test])


def pair_sum(
    generator: torch.Generator | None = None, *, train: int = 12_000, test: int = 3_000
) -> Task:
    """Return pairs of digits side by side; the label is their sum modulo 10.

    No digit alone says anything about the label, so that a first module that keeps only
    what predicts it at once loses what later modules need: this small task ranks
    methods. Pairs to test on are made of digits that no training pair contains. Digits
    as in :func:`digits` (Alpaydin and Kaynak 1998); the task is ours.

    Args:
        generator: Draws the split and the pairs; None is torch's global one.
        train: Training pairs.
        test: Test pairs.

    Returns:
        The task, 128 pixels from 0 to 1.

    Raises:
        TypeError: If ``train`` or ``test`` is not an int.
        ValueError: If one is not positive.

    Example:
        >>> task = pair_sum(torch.Generator().manual_seed(0), train=100, test=10)
        >>> task.x.shape, int(task.y.max()) <= 9
        (torch.Size([100, 128]), True)
    """
    check_count("train", train, least=1)
    check_count("test", test, least=1)
    single = digits(generator)

    def pairs(x: Tensor, y: Tensor, count: int) -> tuple[Tensor, Tensor]:
        left, right = torch.randint(len(x), (2, count), generator=generator)
        return torch.cat([x[left], x[right]], dim=1), (y[left] + y[right]) % 10

    return Task(
        *pairs(single.x, single.y, train), *pairs(single.x_test, single.y_test, test)
    )


def binary_tasks(task: Task, every: int = 1) -> list[Task]:
    """Return all tasks "class a or class b", for every pair of classes.

    The targets of a transfer experiment, after Duan, Yu and Principe 2021 (theirs are
    pairs of classes of CIFAR-10).

    Args:
        task: A task with more than two classes.
        every: Every how many pairs one is taken: 1 is all of them.

    Returns:
        Tasks with labels 0 and 1.

    Raises:
        TypeError: If ``every`` is not an int.
        ValueError: If it is not positive.

    Example:
        >>> len(binary_tasks(digits()))
        45
    """
    check_count("every", every, least=1)
    found = []
    labels = range(task.classes)
    for a, b in [(a, b) for a in labels for b in labels if a < b][::every]:
        train, test = ((y == a) | (y == b) for y in (task.y, task.y_test))
        y, y_test = (task.y[train] == b).long(), (task.y_test[test] == b).long()
        found.append(Task(task.x[train], y, task.x_test[test], y_test, classes=2))
    return found


def openml(
    name: str,
    *,
    test: int = 10_000,
    data_home: str | None = None,
    fetch: Callable[..., Any] | None = None,
) -> Task:
    """Return a data set of OpenML; scikit-learn downloads it once and keeps it.

    The last samples are the test set, as in MNIST and Fashion-MNIST (LeCun, Cortes and
    Burges 1998; Xiao, Rasul and Vollgraf 2017) and CIFAR-10 (Krizhevsky 2009).

    Args:
        name: ``"mnist_784"``, ``"Fashion-MNIST"`` or ``"CIFAR_10"``.
        test: How many samples to test on.
        data_home: Where to keep it; None is scikit-learn's folder.
        fetch: Stands in for ``sklearn.datasets.fetch_openml``.

    Returns:
        The task, pixels from 0 to 1 in torch's default dtype.

    Raises:
        TypeError: If ``test`` is not an int.
        ValueError: If the name is unknown, or there are not that many samples.

    Example:
        >>> import types
        >>> made = types.SimpleNamespace(data=[[0, 255], [255, 0]], target=["3", "7"])
        >>> task = openml("mnist_784", test=1, fetch=lambda name, **options: made)
        >>> task.x, task.y_test
        (tensor([[0., 1.]]), tensor([7]))
    """
    check_choice("name", name, OPENML)
    check_count("test", test, least=1)
    if fetch is None:
        from sklearn.datasets import fetch_openml

        fetch = fetch_openml
    found = fetch(
        name, version=1, as_frame=False, parser="liac-arff", data_home=data_home
    )
    x = torch.as_tensor(found.data).to(torch.get_default_dtype()) / 255
    y = torch.tensor([int(label) for label in found.target])
    if test >= len(x):
        raise ValueError(f"test is {test} but {name} has {len(x)} samples")
    return Task(x[:-test], y[:-test], x[-test:], y[-test:])
