"""GEMS: two models in opposite directions, hardly anything to hold."""

from dataclasses import dataclass

import numpy as np

from modular.pipeline.schedule import Schedule, sort_into_ranks
from modular.pipeline.scheme import Scheme, grid

__all__ = ["GEMS"]


@dataclass(frozen=True)
class GEMS(Scheme):
    r"""Send micro-batches through in turns, down one replica and up the other.

    While the backward of one leaves, the forward of the next follows it: a micro-batch
    takes :math:`DB + F`, so that with B = 2F idle tend to :math:`(D-1)/(D+1/2)`. A rank
    holds the activations of one micro-batch, and two stages. Jain et al. 2020, "GEMS:
    GPU-Enabled Memory-Aware Model-Parallelism System".

    Example:
        >>> for rank, ops in GEMS().schedule(ranks=2, micros=2).items():
        ...     print(rank, [f"{op.kind[0]}{op.stage}{op.micro}" for op in ops])
        0 ['f00', 'b00', 'f11', 'b11']
        1 ['f10', 'b10', 'f01', 'b01']
    """

    def schedule(self, ranks: int, micros: int) -> Schedule:
        """Return the lists; see :meth:`Scheme.schedule`."""
        s, m = grid(ranks, micros)
        up = m % 2
        own = {
            "pipe": up,
            "stage": s,
            "micro": m,
            "rank": np.where(up, ranks - 1 - s, s),
        }
        return sort_into_ranks(
            ranks,
            own | {"kind": "forward", "slot": 2 * m},
            own | {"kind": "backward", "slot": 2 * m + 1},
        )
