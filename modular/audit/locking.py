"""What waits for what: the locks of a method, and a clock without noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modular._checks import check_count
from modular.event import Event
from modular.training import Locks, Trainer
from modular.transport import Calibrated

__all__ = ["Locking", "Timeline", "locking", "timeline"]


@dataclass(frozen=True)
class Locking:
    """What each module waits for within one step, derived from the schedule.

    Args:
        forward: Whether its forward pass waits for a module that is still learning.
            Shape ``(modules,)``.
        update: How many later modules must have run forward before it is updated.
            Shape ``(modules,)``.
        backward: How many later modules must have run backward before it is updated.
            Shape ``(modules,)``.
        declared: What the method says: the largest of each.
    """

    forward: Tensor
    update: Tensor
    backward: Tensor
    declared: Locks

    @property
    def holds(self) -> bool:
        """Whether the method says the truth."""
        found = Locks(
            bool(self.forward.any()), int(self.update.max()), int(self.backward.max())
        )
        return found == self.declared


def needs(events: Sequence[Event]) -> list[list[int]]:
    """Return for each event of a step the events that it waits for directly."""
    last: dict[int, int] = {}  # the module's own event before
    forward: dict[int, int] = {}
    sent: dict[tuple[int, int], int] = {}  # (receiver, loss) -> the event that sent it
    waits = []
    for index, event in enumerate(events):
        own = [last[event.module]] if event.module in last else []
        if event.kind == "forward":
            if event.module - 1 in forward and not event.stored:
                own.append(forward[event.module - 1])
            forward[event.module] = index
        else:
            message = sent.get((event.module, event.loss))
            own += [] if message is None else [message]
            if event.kind == "exchange" and event.module:
                own.append(forward[event.module - 1])
            if event.kind in ("pass", "backward"):
                sent[event.module - 1, event.loss] = index
        last[event.module] = index
        waits.append(own)
    return waits


def locking(trainer: Trainer) -> Locking:
    """Derive the locks of a method from its schedule.

    Forward, update and backward locking: Jaderberg et al. 2017, section 1; the number
    of modules is ours.

    Args:
        trainer: Of any method.

    Returns:
        Derived and declared locks, as :class:`Locking`.

    Example:
        >>> from functools import partial
        >>> from modular import Interlocking, Partition, Trainer, audit
        >>> layers = [torch.nn.Linear(4, 4) for _ in range(4)]
        >>> partition = Partition(layers, 4, sample=torch.zeros(1, 4))
        >>> sgd = partial(torch.optim.SGD, lr=0.1)
        >>> trainer = Trainer(partition, Interlocking(2), optimizer=sgd)
        >>> audit.locking(trainer).update
        tensor([1, 1, 1, 0])
    """
    modules = len(trainer.partition)
    forward, update, backward = torch.zeros(3, modules, dtype=torch.int64)
    for phase in range(trainer.method.phases(modules)):
        events = list(trainer.method.schedule(modules, phase))
        before: list[set[int]] = []  # every event that must be over
        for event, direct in zip(events, needs(events), strict=True):
            past = set(direct).union(*(before[i] for i in direct))
            before.append(past)
            k, done = event.module, [events[i] for i in past]
            if event.kind == "forward":
                learning = any(e.learns and e.module < k for e in done)
                forward[k] |= event.learns and learning
            if event.kind in ("take", "backward"):
                later = [e for e in done if e.module > k]
                ran = {e.module for e in later if e.kind == "forward"}
                update[k] = max(int(update[k]), len(ran))
                sweeps = [e for e in later if e.kind in ("pass", "take", "backward")]
                swept = {e.module for e in sweeps}
                backward[k] = max(int(backward[k]), len(swept))
    declared = trainer.method.locks(modules)
    return Locking(forward.bool(), update, backward, declared)


@dataclass(frozen=True)
class Timeline:
    """When each event happens, for a Gantt plot.

    Args:
        events: What, in the order of the schedule, step after step.
        step: In which step. Shape ``(spans,)``.
        start: From when, in seconds. Shape ``(spans,)``.
        end: Until when, in seconds. Shape ``(spans,)``.
    """

    events: tuple[Event, ...]
    step: Tensor
    start: Tensor
    end: Tensor

    @property
    def makespan(self) -> float:
        """Seconds from the first start to the last end."""
        return float(self.end.max() - self.start.min())

    @classmethod
    def traced(cls, trainer: Trainer) -> "Timeline":
        """Return what a calibrated run measured, from the workers' traces."""
        spans = [span for w in trainer.workers.values() for span in w.trace]
        steps, events, starts, ends = zip(*spans, strict=True)
        zero = min(starts)
        times = [torch.tensor(t, dtype=torch.float64) - zero for t in (starts, ends)]
        return cls(tuple(events), torch.tensor(steps), *times)


def timeline(
    trainer: Trainer, costs: Calibrated, *, steps: int = 1, phase: int = 0
) -> Timeline:
    """Compute when everything happens if every module has a machine of its own.

    A logical clock (Lamport 1978): an event starts as soon as the module is free and
    what it waits for has arrived. Messages take no time.

    Args:
        trainer: Of any method.
        costs: Seconds of each kind of event.
        steps: How many batches.
        phase: Which module learns, in a sequential method.

    Returns:
        The ideal course, as :class:`Timeline`.

    Raises:
        TypeError: If ``steps`` is not an int.
        ValueError: If it is not positive.

    Example:
        >>> from functools import partial
        >>> from modular import DGL, Calibrated, Partition, Trainer, audit
        >>> layers = [torch.nn.Linear(4, 4) for _ in range(3)]
        >>> partition = Partition(layers, 3, sample=torch.zeros(1, 4))
        >>> sgd = partial(torch.optim.SGD, lr=0.1)
        >>> trainer = Trainer(partition, DGL(), optimizer=sgd)
        >>> audit.timeline(trainer, Calibrated(1.0, 2.0), steps=10).makespan
        22.0
    """
    check_count("steps", steps, least=1)
    events = list(trainer.method.schedule(len(trainer.partition), phase))
    waits = needs(events)
    free: dict[int, float] = {}
    starts: list[float] = []
    ends: list[float] = []
    for _ in range(steps):
        first = len(ends)
        for event, direct in zip(events, waits, strict=True):
            ready = [ends[first + i] for i in direct]
            starts.append(max([free.get(event.module, 0.0), *ready]))
            ends.append(starts[-1] + costs.seconds(event))
            free[event.module] = ends[-1]
    numbers = torch.arange(steps).repeat_interleave(len(events))
    times = [torch.tensor(t, dtype=torch.float64) for t in (starts, ends)]
    return Timeline(tuple(events) * steps, numbers, *times)
