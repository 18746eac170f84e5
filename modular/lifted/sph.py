"""States from a full pass now and then: serial and parallel training in turn."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from modular._checks import check_count
from modular.event import Event
from modular.lifted.free import Table
from modular.lifted.states import State, States, unique_in
from modular.training import Locks

__all__ = ["SPH"]


@dataclass(frozen=True)
class SPH(States):
    """Let modules work alone for a pass over the data, then correct them all at once.

    Phase 0: every module solves its own problem, nothing is sent. Phase 1: one full
    forward and backward pass trains the network as backpropagation does; the states of
    that pass are kept, and with :class:`AugmentedLagrangian` minus its adjoints as
    multipliers, so that the next parallel pass begins with the true gradients. Sun,
    Dong et al. 2021, "A practical layer-parallel training algorithm for residual
    networks" (the serial-parallel hybrid; read in the abstract). Without the filters
    that make its messages smaller.

    Args:
        samples: How many samples there are; indices run from 0.

    Raises:
        TypeError: If ``samples`` is not an int.
        ValueError: If it is not positive.

    Example:
        >>> SPH(samples=100).plan(epochs=2)  # serial, then in turn
        [1, 0, 1, 0, 1]
    """

    samples: int
    rate = 0.0  # states do not move, they are replaced
    sweeps = True

    def __post_init__(self) -> None:
        check_count("samples", self.samples, least=1)

    def make(self, row: Tensor, cut: int) -> State:
        """Return an empty table."""
        return Table(row, self.samples)

    def check_index(self, index: Tensor) -> None:
        """Refuse a number that is no sample's, and a sample twice."""
        unique_in(index, self.samples)

    def plan(self, epochs: int) -> list[int]:
        """Return a serial pass, then a parallel and a serial one for each epoch."""
        return [1] + [0, 1] * epochs

    def locks(self, modules: int) -> Locks:
        """Declare the locks of backpropagation: the serial pass has them."""
        return Locks(forward=True, update=modules - 1, backward=modules - 1)

    def schedule(self, modules: int, phase: int) -> Iterator[Event]:
        """Yield every module's own problem, or backpropagation."""
        last = modules - 1
        for k in range(modules):
            if phase == 0:
                yield Event("forward", k, k, stored=True, sends=False)
                yield Event("take", k, k)
            else:
                yield Event("forward", k, k, scored=k == last, passes=k > 0)
        for k in range(last, -1, -1) if phase == 1 else ():
            yield Event("backward" if k > 0 else "take", k, last)
