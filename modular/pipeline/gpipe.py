"""GPipe: all forwards, then all backwards."""

from dataclasses import dataclass

from modular.pipeline.schedule import Schedule
from modular.pipeline.scheme import Scheme, grid, straight

__all__ = ["GPipe"]


@dataclass(frozen=True)
class GPipe(Scheme):
    r"""Do all forwards of a step, then all backwards.

    Idle are :math:`(D-1)/(N+D-1)` of the time, and every rank holds the activations of
    all N micro-batches. Huang et al. 2019, "GPipe".

    Example:
        >>> for rank, ops in GPipe().schedule(ranks=2, micros=2).items():
        ...     print(rank, [f"{op.kind[0]}{op.micro}" for op in ops])
        0 ['f0', 'f1', 'b0', 'b1']
        1 ['f0', 'f1', 'b0', 'b1']
    """

    def schedule(self, ranks: int, micros: int) -> Schedule:
        """Return the lists; see :meth:`Scheme.schedule`."""
        s, m = grid(ranks, micros)
        return straight(
            ranks,
            {"kind": "forward", "stage": s, "micro": m, "slot": m},
            {"kind": "backward", "stage": s, "micro": m, "slot": micros + m},
        )
