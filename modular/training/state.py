"""What an epoch and a checkpoint know of a trainer, whose file is above theirs."""

from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor

from modular.event import Event
from modular.partition import Partition
from modular.training.history import History
from modular.training.method import Method
from modular.training.step import Step
from modular.training.worker import Worker
from modular.transport import Transport

__all__ = ["Batch", "Training"]

Batch = tuple[Any, Any]  # data and labels


class Training(Protocol):
    """Modules at work: who they are, how far they are, and one step of them.

    :class:`modular.Trainer` is one; its docstrings tell what each member does.
    """

    partition: Partition
    method: Method
    transport: Transport
    workers: dict[int, Worker]
    generator: torch.Generator
    history: History
    steps: int

    def check_batch(self, batch: Batch) -> None:
        """Refuse a batch that cannot be trained on."""

    def prepare(self, batch: Batch, **options: Any) -> Step:
        """Return a batch as a step."""

    def play(self, events: Iterable[Event], step: Step) -> None:
        """Let the modules do their part of a schedule."""

    def evaluate(self, loader: Iterable[Batch]) -> Tensor:
        """Return how well each module predicts."""
