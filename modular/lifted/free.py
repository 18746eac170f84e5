"""States that are stored, one for each sample."""

from dataclasses import dataclass

import torch
from torch import Tensor

from modular._checks import check_count, check_positive
from modular.lifted.states import State, States, unique_in
from modular.training import Step

__all__ = ["Free", "Table"]


class Table(State):
    """A row for each sample.

    Args:
        row: One state. Shape ``(1, ...)``.
        samples: How many samples there are.
    """

    values: Tensor
    multipliers: Tensor

    def __init__(self, row: Tensor, samples: int) -> None:
        super().__init__()
        shape = (samples, *row.shape[1:])
        self.register_buffer("values", row.new_full(shape, float("nan")))
        self.register_buffer("multipliers", row.new_zeros(shape))

    def read(self, step: Step) -> Tensor:
        """Look the samples up; a sample without a state is refused."""
        self.value, self.kappa = self.values[step.index], self.multipliers[step.index]
        new = self.value.flatten(1).isnan().any(dim=1)
        if new.any() and step.index is not None:
            raise ValueError(
                f"sample {int(step.index[new][0])} has no state yet: expected a pass "
                "over the data that fills them, as fit makes it first, or "
                "trainer.step(batch, phase=1)"
            )
        return self.value

    def write(self, step: Step, value: Tensor, kappa: Tensor | None = None) -> None:
        """Put rows back."""
        self.values[step.index] = value
        if kappa is not None:
            self.multipliers[step.index] = kappa

    def fill(self, step: Step, value: Tensor) -> None:
        """Put rows in where there are none: earlier ones have learned already."""
        old = self.values[step.index]
        self.values[step.index] = torch.where(old.isnan(), value, old)


@dataclass(frozen=True)
class Free(States):
    r"""Keep a state for every sample, and move it against the gradient.

    .. math:: \lambda_k \leftarrow \lambda_k - \eta (q_{k+1} - p_k)

    where ``q_{k+1}`` is the gradient that the module after asks for and ``p_k`` the
    credit of the penalty: it rests where the adjoint is continuous over the cut. Sun,
    Dong et al. 2020. A batch is ``(x, y, index)``, the third says which samples these
    are, so that order does not matter. Data must be the same in each epoch: stored
    states know nothing of a new augmentation (:class:`AuxNet` does). First states come
    from one forward pass.

    Args:
        samples: How many samples there are; indices run from 0.
        rate: eta. It is stable below ``2 / (beta (1 + L^2) + c)``, where the modules
            after have slopes up to ``L`` and the loss has curvature ``c``.

    Raises:
        TypeError: If ``samples`` is not an int.
        ValueError: If ``samples`` or ``rate`` is not positive.

    Example:
        >>> Free(samples=100, rate=0.1).plan(epochs=3)  # a pass that fills comes first
        [1, 0, 0, 0]
    """

    samples: int
    rate: float

    def __post_init__(self) -> None:
        check_count("samples", self.samples, least=1)
        check_positive("rate", self.rate)

    def make(self, row: Tensor, cut: int) -> State:
        """Return an empty table."""
        return Table(row, self.samples)

    def plan(self, epochs: int) -> list[int]:
        """Return one pass that fills, then training."""
        return [1] + [0] * epochs

    def check_index(self, index: Tensor) -> None:
        """Refuse a number that is no sample's, and a sample twice."""
        unique_in(index, self.samples)
