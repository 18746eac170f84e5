"""What a method of training is: a schedule of events, and what it declares about them.

Every module runs the same program, and an event says what it does next
(``modular/event.py``). A schedule lists the events of one step in an order that one
process can follow; where modules live in several processes each picks its own events
out of the same list. So a method is data, not a training loop, and certificates can
read it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from modular._checks import pair_of
from modular.event import Event
from modular.objectives import Objective
from modular.training.worker import Worker

__all__ = ["Locks", "Method"]


@dataclass(frozen=True)
class Locks:
    """What a module waits for (Jaderberg et al. 2017; Belilovsky et al. 2020).

    Args:
        forward: Whether a module waits for the forward pass of a module before it that
            is still learning.
        update: How many later modules must have run forward before it is updated, at
            most over the modules.
        backward: How many later modules must have run backward before it is updated.
    """

    forward: bool
    update: int
    backward: int


class Method(ABC):
    """How losses become updates. A subclass is a frozen dataclass.

    ``takes`` and ``mask`` are promises that ``audit.isolation`` measures, ``locks`` one
    that ``audit.locking`` derives from the schedule, ``messages`` one that the
    transport counts.
    """

    objective: Objective

    @abstractmethod
    def schedule(
        self, modules: int, phase: int = 0, *, audit: bool = False
    ) -> Iterator[Event]:
        """Yield the events of one step.

        Args:
            modules: How many there are, K.
            phase: Which phase of training.
            audit: Let every loss travel as far as the method allows and be taken
                wherever it comes by. Only measurements use this.
        """

    @abstractmethod
    def takes(self, modules: int) -> Tensor:
        """Declare whose gradient moves whose parameters.

        Args:
            modules: How many there are, K.

        Returns:
            True at ``[j, i]`` if the parameters of module i take the gradient of loss j
            (heads aside: each takes its own). Shape ``(modules, modules)``.
        """

    @abstractmethod
    def mask(self, modules: int) -> Tensor:
        """Declare how far losses may reach back.

        Args:
            modules: How many there are, K.

        Returns:
            True at ``[j, i]`` if loss j may travel to module i. Shape
            ``(modules, modules)``.
        """

    @abstractmethod
    def locks(self, modules: int) -> Locks:
        """Declare what waits for what."""

    @abstractmethod
    def messages(self, modules: int) -> Tensor:
        """Declare how many gradients cross each cut backwards in one step.

        Args:
            modules: How many there are, K.

        Returns:
            For the cut below module 1, 2, ... Shape ``(modules - 1,)``.
        """

    def phases(self, modules: int) -> int:
        """Return how many phases the training has, one after another."""
        return 1

    def plan(
        self, modules: int, epochs: int, phases: Sequence[int] | None = None
    ) -> list[int]:
        """Return the phase of every epoch, in order.

        Args:
            modules: How many there are, K.
            epochs: How many each phase has.
            phases: Which phases; None is all in turn.

        Returns:
            The phases.
        """
        if phases is None:
            phases = range(self.phases(modules))
        return [phase for phase in phases for _ in range(epochs)]

    def read(self, batch: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return data, targets and, where the method needs it, which samples they are.

        Args:
            batch: Data and labels.

        Returns:
            Data, shape ``(batch, ...)``, targets, shape ``(batch, ...)``, and None.
        """
        return *pair_of(batch), None

    def predicts(self, modules: int) -> Tensor:
        """Return which heads are trained to predict. Shape ``(modules,)``."""
        mask = torch.zeros(modules, dtype=torch.bool)
        for phase in range(self.phases(modules)):
            for event in self.schedule(modules, phase):
                if event.kind == "forward" and event.scored:
                    mask[event.module] = self.objective.at(
                        event.module, modules
                    ).predicts
        return mask

    def check(self, modules: int) -> None:  # noqa: B027 - most fit any number
        """Refuse a number of modules that the method cannot work with."""

    def check_target(self, target: Tensor) -> None:  # noqa: B027 - most take any
        """Refuse targets that the method cannot work with."""

    def attach(self, worker: Worker) -> None:
        """Add the layers that the method trains beside the module's own."""
        worker.objective.attach(worker.block.head, worker.block.like, worker.block.out)

    def run(self, worker: Worker, event: Event) -> None:
        """Let a module do its part. Overridden where credit is not a gradient."""
        if event.kind == "forward":
            worker.forward(event)
            if event.scored:
                worker.score()
            if not event.learns:
                worker.release()
            return
        gradient = worker.credit(event.loss)
        if event.kind != "take":
            worker.pass_on(event, gradient)
        if event.kind != "pass":
            worker.take(event, gradient)


def last_row(modules: int) -> Tensor:
    """Return the mask of one loss, the last, that reaches everyone."""
    mask = torch.zeros(modules, modules, dtype=torch.bool)
    mask[-1] = True
    return mask
