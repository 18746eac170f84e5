"""Where the states between modules come from, and who holds them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from modular.event import Event
from modular.training import Locks, Step

__all__ = ["State", "States"]


class State(nn.Module, ABC):
    """The state at one cut, as one of its two neighbours holds it.

    Both hold a copy, and both learn the same two things about it in a step: what the
    module before returned (``found``) and the gradient that the module after asks for
    (``wanted``). So both copies move alike, and no state is ever sent.

    Attributes:
        value: lambda, the state of each sample in this step. Shape ``(batch, ...)``.
        kappa: Its multipliers. Shape ``(batch, ...)``.
        found: Output of the module before. Shape ``(batch, ...)``.
        wanted: Gradient of each sample's loss in the module after. Shape
            ``(batch, ...)``.
    """

    value: Tensor
    kappa: Tensor
    found: Tensor
    wanted: Tensor

    @abstractmethod
    def read(self, step: Step) -> Tensor:
        """Set ``value`` and ``kappa`` to those of the samples of a step.

        Args:
            step: The batch.

        Returns:
            ``value``. Shape ``(batch, ...)``.
        """

    @abstractmethod
    def write(self, step: Step, value: Tensor, kappa: Tensor | None = None) -> None:
        """Remember new values of the samples of a step.

        Args:
            step: The batch.
            value: States. Shape ``(batch, ...)``.
            kappa: Multipliers; None is as they are. Shape ``(batch, ...)``.
        """

    def fill(self, step: Step, value: Tensor) -> None:
        """Remember first values, from a forward pass.

        Args:
            step: The batch.
            value: States. Shape ``(batch, ...)``.
        """
        self.write(step, value)


class States(ABC):
    """Who supplies the states. A subclass is a frozen dataclass.

    Phase 0 is training, phase 1 what comes before it: a forward pass, from which the
    first states are taken.
    """

    rate: float  # step of the states, for the gradient per sample
    indexed = True  # whether states belong to samples, so that these need a number
    learned = False  # whether states are made by layers, which an optimiser moves
    sweeps = False  # whether a full forward and backward pass corrects them

    @abstractmethod
    def make(self, row: Tensor, cut: int) -> State:
        """Return a copy of the state at a cut; copies of one cut are equal.

        Args:
            row: One row of it. Shape ``(1, ...)``.
            cut: The module before the cut, from 0.

        Returns:
            The copy.
        """

    @abstractmethod
    def plan(self, epochs: int) -> list[int]:
        """Return the phase of every epoch."""

    def check_index(self, index: Tensor) -> None:  # noqa: B027 - not all have numbers
        """Refuse samples that have no place."""

    def locks(self, modules: int) -> Locks:
        """Declare that nothing waits for anything."""
        return Locks(forward=False, update=0, backward=0)

    def schedule(self, modules: int, phase: int) -> Iterator[Event]:
        """Yield every module's own problem, then the exchange between neighbours."""
        if phase == 1:
            for k in range(modules):
                yield Event("forward", k, k, learns=False, scored=False)
            return
        for k in range(modules):
            yield Event("forward", k, k, passes=k > 0, stored=True)
            yield Event("backward" if k > 0 else "take", k, k)
        for k in range(modules):
            yield Event("exchange", k, min(k + 1, modules - 1))


def unique_in(index: Tensor, samples: int) -> None:
    """Refuse numbers outside of the table, and one twice in a batch."""
    if index.dtype != torch.int64 or index.ndim != 1:
        raise ValueError(
            f"index has dtype {index.dtype} and shape {tuple(index.shape)}: expected "
            "int64 numbers of shape (batch,)"
        )
    lowest, highest = int(index.min()), int(index.max())
    if lowest < 0 or highest >= samples:
        wrong = lowest if lowest < 0 else highest
        raise ValueError(
            f"index contains {wrong}: expected 0 to {samples - 1}, because there are "
            f"states for {samples} samples"
        )
    numbers, times = index.unique(return_counts=True)
    if len(numbers) < len(index):
        raise ValueError(
            f"index contains {int(numbers[times.argmax()])} {int(times.max())} times: "
            "expected each sample once in a batch, it has one state"
        )
