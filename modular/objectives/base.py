"""The objective of one module: ``(h_in, h_out, head, target) -> scalar``.

A module sees nothing but its own input, its own output, its own head and the targets.
That is the whole meaning of local.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from modular._checks import check_classes
from modular.partition import Head

__all__ = ["Objective", "Pred"]


class Objective(ABC):
    """What one module minimises.

    A subclass is a frozen dataclass with ``__call__``; the other methods have defaults.
    Objectives add and scale: ``0.01 * Pred() + 0.99 * Sim()``.
    """

    rows: ClassVar[Any] = 1  # rows that a sample takes in the network while training
    predicts: ClassVar[Any] = False  # whether it trains the head to predict
    needs_labels = False  # whether targets must be one label per sample
    compares = False  # whether it looks at pairs of samples

    @abstractmethod
    def __call__(
        self, h_in: Tensor, h_out: Tensor, head: Head, target: Tensor
    ) -> Tensor:
        """Return the loss, a mean over the batch.

        Args:
            h_in: What the module takes. Shape ``(batch, ...)``.
            h_out: What it returns. Shape ``(batch, ...)``.
            head: Its head, with the parts that ``attach`` made.
            target: Labels. Shape ``(batch,)``.

        Returns:
            The loss. Shape ``()``.
        """

    def attach(  # noqa: B027 - most objectives need no layers
        self, head: Head, h_in: Tensor, h_out: Tensor
    ) -> None:
        """Add the layers this objective trains to ``head.parts``; most need none.

        Args:
            head: The module's head.
            h_in: One row of what the module takes. Shape ``(1, ...)``.
            h_out: One row of what it returns. Shape ``(1, ...)``.
        """

    def check(self, classes: int) -> None:  # noqa: B027 - most fit any number
        """Refuse a number of scores that the objective cannot work with."""

    def check_target(self, target: Tensor) -> None:
        """Refuse targets that the objective cannot work with."""
        if self.needs_labels:
            check_classes("target", target, repr(self))
        if self.compares and len(target) < 2:
            raise ValueError(
                f"the batch has 1 row but {self!r} compares rows: expected at least 2, "
                "by larger batches or drop_last=True in the loader"
            )

    def at(self, module: int, modules: int) -> "Objective":
        """Return the objective of one module of ``modules``.

        Args:
            module: Which, from 0.
            modules: How many there are.

        Returns:
            The true loss for the last one, which returns the scores; this for the
            others.
        """
        return self.final() if module == modules - 1 else self.hidden(module, modules)

    def hidden(self, module: int, modules: int) -> "Objective":
        """Return the objective of a module that is not the last."""
        return self

    def final(self) -> "Objective":
        """Return the true loss, that of the whole network's scores."""
        return Pred()

    def enter(
        self,
        x: Tensor,
        target: Tensor,
        classes: int,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the data as they enter the network while training."""
        return x

    def neutral(self, x: Tensor, classes: int) -> Tensor:
        """Return the data as they enter the network at test time."""
        return x

    def __add__(self, other: "Objective") -> "Objective":
        return Sum((self, other))

    def __mul__(self, factor: float) -> "Objective":
        return Scaled(self, factor)

    __rmul__ = __mul__


def _is_entropy(loss: Any) -> bool:
    """Return whether a loss is cross-entropy, with its arguments or as a layer."""
    while isinstance(loss, partial):
        loss = loss.func
    return loss is functional.cross_entropy or isinstance(loss, nn.CrossEntropyLoss)


@dataclass(frozen=True)
class Pred(Objective):
    """Predict the target from the module's own output: ``loss(a_k(h_k), y)``.

    Nokland and Eidnes 2019, the loss "pred"; Belilovsky et al. 2019 and 2020.

    Args:
        loss: Compares scores with targets, a mean over the batch. The true loss of the
            whole network is this as well.

    Example:
        >>> h, y = torch.tensor([[0.0, 0.0]]), torch.tensor([1])
        >>> Pred()(h, h, Head(torch.nn.Identity(), 2), y)  # log 2
        tensor(0.6931)
    """

    loss: Callable[..., Any] = field(default_factory=lambda: functional.cross_entropy)
    predicts = True

    def __repr__(self) -> str:
        # No address: it would differ between processes, and checkpoints compare it.
        given = self.loss is not functional.cross_entropy
        return f"Pred({getattr(self.loss, '__name__', '...') if given else ''})"

    def __call__(
        self, h_in: Tensor, h_out: Tensor, head: Head, target: Tensor
    ) -> Tensor:
        """Return the loss of the head's scores. Shapes as in :class:`Objective`."""
        scores = head(h_out)
        if _is_entropy(self.loss) and scores.ndim > 2:
            scores = scores.movedim(-1, 1)  # torch wants the classes there
            if target.is_floating_point():
                target = target.movedim(-1, 1)
        return self.loss(scores, target)

    def check(self, classes: int) -> None:
        """Refuse cross-entropy over one class: it is 0 whatever the score."""
        if classes < 2 and _is_entropy(self.loss):
            raise ValueError(
                f"{self!r} is cross-entropy and there is {classes} score: its loss is "
                "0 whatever the model says; expected another loss, as "
                "Pred(functional.mse_loss) or "
                "Pred(functional.binary_cross_entropy_with_logits)"
            )

    def final(self) -> Objective:
        """Return itself: one loss for all."""
        return self


@dataclass(frozen=True)
class Sum(Objective):
    """The sum of objectives.

    Args:
        terms: The objectives.
    """

    terms: tuple[Objective, ...]

    def __post_init__(self) -> None:
        for term in self.terms:
            if not isinstance(term, Objective):
                raise TypeError(f"cannot add {term!r}: expected an Objective")
            if term.rows != self.terms[0].rows:
                raise TypeError(
                    f"cannot add {self.terms[0]!r} and {term!r}: they feed the network "
                    f"{self.terms[0].rows} and {term.rows} rows per sample"
                )

    @property
    def rows(self) -> int:
        """Rows per sample, the same for all terms."""
        return self.terms[0].rows

    @property
    def predicts(self) -> bool:
        """Whether any term trains the head to predict."""
        return any(term.predicts for term in self.terms)

    def check(self, classes: int) -> None:
        """Refuse what any term refuses."""
        for term in self.terms:
            term.check(classes)

    def check_target(self, target: Tensor) -> None:
        """Refuse what any term refuses."""
        for term in self.terms:
            term.check_target(target)

    def __call__(
        self, h_in: Tensor, h_out: Tensor, head: Head, target: Tensor
    ) -> Tensor:
        """Return the sum of the terms."""
        first, *others = (term(h_in, h_out, head, target) for term in self.terms)
        return sum(others, first)

    def attach(self, head: Head, h_in: Tensor, h_out: Tensor) -> None:
        """Attach the parts of every term."""
        for term in self.terms:
            term.attach(head, h_in, h_out)

    def hidden(self, module: int, modules: int) -> Objective:
        """Return the sum of the terms' objectives for this module."""
        return Sum(tuple(term.hidden(module, modules) for term in self.terms))

    def final(self) -> Objective:
        """Return the true loss, that of the first term."""
        return self.terms[0].final()


@dataclass(frozen=True)
class Scaled(Objective):
    """An objective times a number. The true loss of the last module is not scaled.

    Args:
        term: The objective.
        factor: The number.
    """

    term: Objective
    factor: float

    def __post_init__(self) -> None:
        if not isinstance(self.factor, int | float) or not 0 <= self.factor < 1e300:
            raise ValueError(f"factor is {self.factor!r}: expected a number >= 0")
        if self.term.rows > 1:
            raise TypeError(f"cannot scale {self.term!r}: scale its learning rate")

    @property
    def predicts(self) -> bool:
        """Whether the term trains the head to predict."""
        return self.term.predicts and self.factor > 0

    def check(self, classes: int) -> None:
        """Refuse what the term refuses."""
        self.term.check(classes)

    def check_target(self, target: Tensor) -> None:
        """Refuse what the term refuses."""
        self.term.check_target(target)

    def __call__(
        self, h_in: Tensor, h_out: Tensor, head: Head, target: Tensor
    ) -> Tensor:
        """Return the scaled loss."""
        return self.factor * self.term(h_in, h_out, head, target)

    def attach(self, head: Head, h_in: Tensor, h_out: Tensor) -> None:
        """Attach the term's parts."""
        self.term.attach(head, h_in, h_out)

    def hidden(self, module: int, modules: int) -> Objective:
        """Scale the term's objective for this module."""
        return Scaled(self.term.hidden(module, modules), self.factor)

    def final(self) -> Objective:
        """Return the term's true loss, unscaled."""
        return self.term.final()
