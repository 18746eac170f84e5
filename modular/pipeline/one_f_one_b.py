"""One forward, one backward: as idle as GPipe, with far less to hold."""

from dataclasses import dataclass

from modular.pipeline.schedule import Schedule
from modular.pipeline.scheme import Scheme, grid, straight

__all__ = ["OneFOneB"]


@dataclass(frozen=True)
class OneFOneB(Scheme):
    r"""Do a backward as soon as there is one, then one forward, in turns.

    Idle are :math:`(D-1)/(N+D-1)` of the time, as with GPipe, but stage s holds
    activations of :math:`\min(N, D-s)` micro-batches only. Narayanan et al. 2019,
    "PipeDream"; with a flush after every step Fan et al. 2021, "DAPPLE".

    Example:
        >>> for rank, ops in OneFOneB().schedule(ranks=2, micros=3).items():
        ...     print(rank, [f"{op.kind[0]}{op.micro}" for op in ops])
        0 ['f0', 'f1', 'b0', 'f2', 'b1', 'b2']
        1 ['f0', 'b0', 'f1', 'b1', 'f2', 'b2']
    """

    def schedule(self, ranks: int, micros: int) -> Schedule:
        """Return the lists; see :meth:`Scheme.schedule`."""
        s, m = grid(ranks, micros)
        back = 2 * m + 2 * ranks - 1 - s
        return straight(
            ranks,
            {"kind": "forward", "stage": s, "micro": m, "slot": 2 * m + s},
            {"kind": "backward", "stage": s, "micro": m, "slot": back},
        )
