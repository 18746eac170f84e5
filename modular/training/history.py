"""What a training run remembers."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

__all__ = ["History"]


@dataclass(frozen=True)
class History:
    """Losses, accuracies, memory and time, one row per pass over the data.

    NaN stands where there is nothing to tell: a module without a loss of its own (all
    but the last under Backprop), one that does not learn in this phase, a loss that
    predicts nothing, targets that are no labels.

    Args:
        loss: Mean training loss. Shape ``(epochs, modules)``.
        accuracy: Share of right predictions while training, or the mean of another
            metric that the trainer was given. Shape ``(epochs, modules)``.
        validation: The same on the validation data after the epoch. Shape
            ``(epochs, modules)``.
        seconds: Wall-clock time of the epoch's training. Shape ``(epochs,)``.
        saved_bytes: Most bytes that autograd held in the epoch's first step, over all
            modules together; 0 where nothing was measured. Shape ``(epochs,)``.
        phase: Which phase of the method the epoch was of. Shape ``(epochs,)``.
    """

    loss: Tensor
    accuracy: Tensor
    validation: Tensor
    seconds: Tensor
    saved_bytes: Tensor
    phase: Tensor

    @classmethod
    def empty(cls, modules: int) -> "History":
        """Return a history without rows."""
        rows = torch.zeros(3, 0, modules, dtype=torch.float64)
        count = torch.zeros(2, 0, dtype=torch.int64)
        times = torch.zeros(0, dtype=torch.float64)
        return cls(rows[0], rows[1], rows[2], times, count[0], count[1])

    def __len__(self) -> int:
        return len(self.seconds)

    def add(self, **row: Tensor | float) -> "History":
        """Return a history with one more row; ``row`` has every field."""
        columns = {}
        for field in fields(self):
            column = getattr(self, field.name)
            entry = torch.as_tensor(row[field.name], dtype=column.dtype)
            columns[field.name] = torch.cat([column, entry[None]])
        return History(**columns)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the fields."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
