"""All modules in one process: messages are references, and they are counted."""

from collections import Counter

from torch import Tensor

from modular.transport.base import Transport

__all__ = ["InProcess"]


class InProcess(Transport):
    """All modules in this process: a message is a reference.

    The order is that of one process; nothing runs at the same time. What modules could
    do at the same time is what Jaderberg et al. 2017 call unlocked: ``audit.timeline``.

    Attributes:
        sent: How many states and credits each module was sent.

    Example:
        >>> InProcess().start(4)
        range(0, 4)
    """

    def __init__(self) -> None:
        self.sent: Counter = Counter()
        self._mail: dict[tuple, Tensor] = {}

    def send_state(self, module: int, h: Tensor) -> None:
        """Put a state into the mail."""
        self.sent["state", module] += 1
        self._mail["state", module] = h

    def recv_state(self, module: int, like: Tensor) -> Tensor:
        """Take a state out of the mail."""
        return self._mail.pop(("state", module))

    def send_credit(self, module: int, loss: int, g: Tensor) -> None:
        """Put credit into the mail."""
        self.sent["credit", module] += 1
        self._mail["credit", module, loss] = g

    def recv_credit(self, module: int, loss: int, like: Tensor) -> Tensor:
        """Take credit out of the mail."""
        return self._mail.pop(("credit", module, loss))
