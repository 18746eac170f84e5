"""How modules hand on states and credit, wherever they live."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from torch import Tensor

__all__ = ["Transport"]


class Transport(ABC):
    """Four verbs: send and receive a state (forwards), send and receive credit (back).

    ``module`` is always the receiver. A receiver says what it expects as ``like``:
    shape, dtype and device. Which messages there are, and in which order, follows from
    the method's schedule, so that nothing needs to be announced.
    """

    def start(self, modules: int) -> range:
        """Get ready for so many modules; return those that live here."""
        return range(modules)

    def begin(self, step: int) -> None:  # noqa: B027 - InProcess need not know
        """Begin a step of training, counted from 0."""

    @abstractmethod
    def send_state(self, module: int, h: Tensor) -> None:
        """Send ``h`` to ``module``, after the sender. Shape ``(batch, ...)``."""

    @abstractmethod
    def recv_state(self, module: int, like: Tensor) -> Tensor:
        """Return what the one before ``module`` sent. Shape ``(batch, ...)``."""

    @abstractmethod
    def send_credit(self, module: int, loss: int, g: Tensor) -> None:
        """Send the credit of ``loss`` back to ``module``. Shape ``(batch, ...)``."""

    @abstractmethod
    def recv_credit(self, module: int, loss: int, like: Tensor) -> Tensor:
        """Return the credit of ``loss`` sent to ``module``. Shape ``(batch, ...)``."""

    run: Callable[[Any, Any], None] | None = None  # how events run, if not as usual
    leads = True  # whether this process writes checkpoints

    def fit(self, trainer: Any, *plan: Any, **options: Any) -> Any:
        """Let a trainer follow its plan, here or elsewhere; see ``Trainer.fit``."""
        return trainer.follow(*plan, **options)

    def gather(self, part: dict[int, Any]) -> dict[int, Any]:
        """Return what all processes know, by module."""
        return part
