"""How a method's gradients point, and what features hold for a linear eye."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from modular._checks import check_classes, pair_of
from modular._modes import evaluating
from modular.audit._dry import gradients, untouched
from modular.methods import Backprop
from modular.partition import Partition
from modular.training import Trainer

__all__ = ["alignment", "probe"]

_RIDGE = 1e-3


def alignment(
    trainer: Trainer, batch: tuple[Tensor, Tensor], *, phase: int = 0
) -> Tensor:
    """Return the cosine between each module's gradient and the end-to-end one.

    1 is backpropagation, 0 unrelated, negative works against it. Lillicrap, Cownden,
    Tweed and Akerman 2016 measure the angle likewise; heads are left out.

    Args:
        trainer: Of any method, with all modules in this process. Nothing of it changes.
        batch: Data, shape ``(batch, ...)``, and labels, shape ``(batch,)``.
        phase: Which module learns, in a sequential method.

    Returns:
        Cosines, NaN for modules that do not learn in this phase or whose gradient is
        zero: it has no direction. Shape ``(modules,)``.

    Raises:
        TypeError: If modules live in other processes.
        ValueError: If the batch does not fit.

    Example:
        >>> from functools import partial
        >>> from modular import Interlocking, Partition, Trainer
        >>> layers = [torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)]
        >>> batch = torch.randn(16, 4), torch.arange(16) % 3
        >>> partition = Partition(layers, 2, sample=batch[0])
        >>> sgd = partial(torch.optim.SGD, lr=0.1)
        >>> trainer = Trainer(partition, Interlocking(2), optimizer=sgd)
        >>> bool((alignment(trainer, batch) > 0.999).all())  # horizon: all modules
        True
    """
    trainer.check_batch(batch)
    modules = len(trainer.partition)
    loss = trainer.method.objective.final()
    found: list[list[dict[str, Tensor]]] = []
    for method in (trainer.method, Backprop(loss)):
        events = list(method.schedule(modules, phase if not found else 0))
        with untouched(trainer):
            step = trainer.prepare(batch, update=False)
            trainer.play(events, step, run=method.run)
            blocks = trainer.partition.blocks
            found.append([gradients(block) for block in blocks])
    return torch.tensor([_cosine(a, b) for a, b in zip(*found, strict=True)])


def _cosine(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    names = sorted(a.keys() & b.keys())
    if not names:
        return float("nan")
    flat = [torch.cat([g[name].flatten() for name in names]).double() for g in (a, b)]
    # by the largest entry first: squares of tiny gradients would vanish
    lengths = [g / g.abs().max() for g in flat]  # 0 / 0 is NaN: no direction
    one, other = (g / g.norm() for g in lengths)
    return float(one @ other)


@torch.no_grad()
def probe(
    partition: Partition,
    train: Iterable[tuple[Tensor, Tensor]],
    test: Iterable[tuple[Tensor, Tensor]],
) -> Tensor:
    """Return how well a linear classifier does on each module's features.

    Least squares on one-hot labels with a little ridge, solved exactly: no learning
    rate, no luck. It tells whether later modules add anything (Alain and Bengio 2017),
    which the accuracy of the last module alone does not.

    Args:
        partition: In evaluation mode meanwhile; nothing of it changes.
        train: Batches to fit on, data and labels.
        test: Batches to try on, data and labels.

    Returns:
        Test accuracy after each module. Shape ``(modules,)``.

    Raises:
        ValueError: If a loader is empty, or targets are no labels.

    Example:
        >>> layers = [torch.nn.Linear(4, 4), torch.nn.Linear(4, 2, bias=False)]
        >>> x = torch.randn(50, 4)
        >>> for layer in layers:
        ...     _ = torch.nn.init.eye_(layer.weight)
        >>> data = [(x, (x[:, 0] > 0).long())]
        >>> bool((probe(Partition(layers, 2, sample=x), data, data) > 0.7).all())
        True
    """
    with evaluating(partition):
        fitted, tried = _features(partition, train), _features(partition, test)
    scores = []
    for (h, y), (h_test, y_test) in zip(fitted, tried, strict=True):
        mean, std = h.mean(dim=0), h.std(dim=0).clamp(min=1e-6)
        a, b = (_with_ones((f - mean) / std) for f in (h, h_test))
        labels = functional.one_hot(y, partition.classes).to(a)
        ridge = _RIDGE * len(a) * torch.eye(a.shape[1], dtype=a.dtype, device=a.device)
        w = torch.linalg.solve(a.T @ a + ridge, a.T @ labels)
        scores.append(((b @ w).argmax(dim=1) == y_test).double().mean())
    return torch.stack(scores)


def _with_ones(h: Tensor) -> Tensor:
    return torch.cat([h, torch.ones_like(h[:, :1])], dim=1)


def _features(
    partition: Partition, loader: Iterable[tuple[Tensor, Tensor]]
) -> list[tuple[Tensor, Tensor]]:
    """Return each module's features of all data, and the labels."""
    rows, labels = [], []
    for x, y in map(pair_of, loader):
        states = [h.flatten(1) for _, h in partition.states(x)]
        rows.append([h.to(torch.promote_types(h.dtype, torch.float32)) for h in states])
        check_classes("target", y, "a linear probe")
        labels.append(y)
    if not rows:
        raise ValueError("the loader has 0 batches: expected at least one")
    y = torch.cat(labels)
    return [(torch.cat(column), y) for column in zip(*rows, strict=True)]
