"""Which loss reaches which module: measured by autograd, compared with the promise."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from modular.audit._dry import gradients, untouched
from modular.event import Event
from modular.training import Trainer

__all__ = ["Isolation", "isolation"]


@dataclass(frozen=True)
class Isolation:
    """Two matrices, measured and declared; rows are losses, columns are modules.

    Columns of modules without a weight to move, frozen ones for example, are empty in
    both.

    Args:
        reaches: How far losses travel if every module takes whatever comes by: the
            identity for local losses, a band for interlocking, a triangle for
            backpropagation. Shape ``(modules, modules)``.
        mask: What the method declares about that. Shape ``(modules, modules)``.
        takes: Whose gradient the parameters take in a step of training. Shape
            ``(modules, modules)``.
        declared: What the method declares about that. Shape ``(modules, modules)``.
    """

    reaches: Tensor
    mask: Tensor
    takes: Tensor
    declared: Tensor

    @property
    def holds(self) -> bool:
        """Whether both measured matrices are the declared ones."""
        return not self.leaks

    @property
    def leaks(self) -> list[str]:
        """What differs, in words."""
        pairs = [
            ("reaches", self.reaches, self.mask),
            ("moves", self.takes, self.declared),
        ]
        found = []
        for verb, measured, declared in pairs:
            for loss, module in (measured != declared).nonzero().tolist():
                negation = "" if measured[loss, module] else "not "
                opposite = "not " if measured[loss, module] else ""
                found.append(
                    f"loss {loss} {negation}{verb} module {module}, {opposite}declared"
                )
        return found


def isolation(trainer: Trainer, batch: tuple[Tensor, Tensor]) -> Isolation:
    """Measure which loss reaches which module's parameters.

    The trainer's own step is run on its own transport, without updates, once for every
    loss with all other losses multiplied by zero. Where the gradients of a module
    differ from those with all losses at zero, the loss has reached it. Shared weights,
    a forgotten ``detach`` or credit sent too far all show; a shared BatchNorm's
    statistics show if the layer has weights (a :class:`Partition` refuses them in any
    case). Whose gradient goes where: Gomez et al. 2022; to measure it is ours.

    Args:
        trainer: Of any method, with all modules in this process. Nothing of it changes.
        batch: Data, shape ``(batch, ...)``, and labels, shape ``(batch,)``.

    Returns:
        Measured and declared matrices, as :class:`Isolation`.

    Raises:
        TypeError: If modules live in other processes.
        ValueError: If the batch does not fit.

    Example:
        >>> from functools import partial
        >>> from modular import DGL, Partition, Trainer, audit
        >>> layers = [torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)]
        >>> batch = torch.randn(16, 4), torch.arange(16) % 3
        >>> partition = Partition(layers, 2, sample=batch[0])
        >>> sgd = partial(torch.optim.SGD, lr=0.1)
        >>> trainer = Trainer(partition, DGL(), optimizer=sgd)
        >>> found = audit.isolation(trainer, batch)
        >>> found.holds, found.takes.int().tolist()
        (True, [[1, 0], [0, 1]])
    """
    trainer.check_batch(batch)
    method, modules = trainer.method, len(trainer.partition)
    own = [block.net.parameters() for block in trainer.partition.blocks]
    learn = torch.tensor([any(p.requires_grad for p in net) for net in own])
    far = [list(method.schedule(modules, p, audit=True)) for p in _phases(trainer)]
    near = [list(method.schedule(modules, p)) for p in _phases(trainer)]
    return Isolation(
        reaches=_measure(trainer, batch, far),
        mask=method.mask(modules) & learn,
        takes=_measure(trainer, batch, near),
        declared=method.takes(modules) & learn,
    )


def _phases(trainer: Trainer) -> range:
    return range(trainer.method.phases(len(trainer.partition)))


def _measure(
    trainer: Trainer, batch: tuple[Tensor, Tensor], phases: Iterable[list[Event]]
) -> Tensor:
    """Return which loss moves which module, in any phase: (modules, modules)."""
    modules = len(trainer.partition)
    found = torch.zeros(modules, modules, dtype=torch.bool)
    for events in phases:
        silent = _gradients(trainer, batch, events, torch.zeros(modules))
        for loss in range(modules):
            weights = torch.zeros(modules)
            weights[loss] = 1.0
            loud = _gradients(trainer, batch, events, weights)
            for module in range(modules):
                found[loss, module] |= _differ(loud[module], silent[module])
    return found


def _gradients(
    trainer: Trainer,
    batch: tuple[Tensor, Tensor],
    events: list[Event],
    weights: Tensor,
) -> list[dict[str, Tensor]]:
    """Return every module's gradients after a step with weighted losses."""
    with untouched(trainer):
        trainer.play(events, trainer.prepare(batch, weights=weights, update=False))
        return [gradients(block) for block in trainer.partition.blocks]


def _differ(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Return whether some gradient is not the same; a missing one is zero."""
    for name in a.keys() | b.keys():
        if name in a and name in b:
            if not torch.equal(a[name], b[name]):
                return True
        elif (a | b)[name].any():
            return True
    return False
