"""Zero bubble: weight gradients wait until there is nothing else to do."""

from dataclasses import dataclass

from modular.pipeline.schedule import Schedule
from modular.pipeline.scheme import Scheme, grid, straight

__all__ = ["ZeroBubble"]


@dataclass(frozen=True)
class ZeroBubble(Scheme):
    r"""Split the backward: only the input's gradient is waited for.

    Rank r puts off the gradients of its weights by r micro-batches, and does them at
    the end, where 1F1B waits. If a forward and both halves take the same time F, idle
    are :math:`D-1` of :math:`3N+D-1`, a third of 1F1B's. Every rank holds as much as
    the first of 1F1B, :math:`\min(N, D)`. ZB-H1 of Qi, Wan, Huang and Lin 2024, "Zero
    Bubble Pipeline Parallelism"; their other schedules hold more.

    Example:
        >>> for rank, ops in ZeroBubble().schedule(ranks=2, micros=2).items():
        ...     print(rank, [f"{op.kind[0]}{op.micro}" for op in ops])
        0 ['f0', 'f1', 'i0', 'w0', 'i1', 'w1']
        1 ['f0', 'i0', 'f1', 'i1', 'w0', 'w1']
    """

    def schedule(self, ranks: int, micros: int) -> Schedule:
        """Return the lists; see :meth:`Scheme.schedule`."""
        s, m = grid(ranks, micros)
        own = {"stage": s, "micro": m}
        return straight(
            ranks,
            own | {"kind": "forward", "slot": 3 * m + 2},
            own | {"kind": "input", "slot": 3 * (m + ranks - s)},
            own | {"kind": "weight", "slot": 3 * (m + ranks) + 1},
        )
