"""What events cost, and stand-ins that sleep for so long instead of computing.

On a busy machine with few cores the wall clock of real work says nothing about who
waits for whom. Sleeping modules do not compete for cores: what remains is the schedule.
"""

import time
from dataclasses import dataclass
from typing import Protocol

from modular._checks import check_not_negative
from modular.event import Event

__all__ = ["Calibrated"]


class Idle(Protocol):
    """What a stand-in asks of a module's worker, whose file is above this one."""

    def wait_for(self, event: Event) -> None:
        """Receive what an event needs from others."""

    def note(self, event: Event, start: float, end: float) -> None:
        """Write down when it happened."""

    def send_blank(self, event: Event) -> None:
        """Send zeros where it sends something."""


@dataclass(frozen=True)
class Calibrated:
    """Seconds that a module works on each kind of event, and a worker that sleeps them.

    A backward sweep has two halves of one cost: the gradient with respect to the input,
    which others wait for, and the one with respect to the parameters. ``pass`` and
    ``take`` are one half each, ``backward`` is both. (Exact for one linear layer; Qi,
    Wan, Huang and Lin 2024, "Zero Bubble Pipeline Parallelism", split it likewise.)

    Args:
        forward: Seconds of a forward pass.
        backward: Seconds of a whole backward sweep.
        exchange: Seconds of an exchange of stored states.

    Raises:
        ValueError: If one is negative.

    Example:
        >>> costs = Calibrated(forward=0.02, backward=0.04)
        >>> costs.seconds(Event("pass", 1, 1)), costs.seconds(Event("backward", 1, 1))
        (0.02, 0.04)
    """

    forward: float
    backward: float
    exchange: float = 0.0

    def __post_init__(self) -> None:
        check_not_negative("forward", self.forward)
        check_not_negative("backward", self.backward)
        check_not_negative("exchange", self.exchange)

    def seconds(self, event: Event) -> float:
        """Return the cost of an event.

        Args:
            event: Any.

        Returns:
            Seconds.
        """
        if event.kind == "forward":
            return self.forward
        if event.kind == "learn":  # a synthesiser is small
            return 0.0
        if event.kind == "exchange":
            return self.exchange
        return self.backward if event.kind == "backward" else self.backward / 2

    def run(self, worker: Idle, event: Event) -> None:
        """Receive, sleep and send as the event says; compute nothing.

        Args:
            worker: Whose turn it is; it notes start and end.
            event: What it does.
        """
        worker.wait_for(event)
        start = time.perf_counter()
        time.sleep(self.seconds(event))
        worker.note(event, start, time.perf_counter())
        worker.send_blank(event)
