"""Interleaved 1F1B: several small stages on every rank."""

from dataclasses import dataclass

import numpy as np

from modular._checks import check_count
from modular.pipeline.schedule import Schedule, sort_into_ranks
from modular.pipeline.scheme import Scheme, check_multiple, grid

__all__ = ["Interleaved"]


@dataclass(frozen=True)
class Interleaved(Scheme):
    r"""Give every rank several stages, D apart, so that filling takes less time.

    With v stages on a rank, each the v-th part of its work, idle are
    :math:`(D-1)/(vN+D-1)` of the time; messages are v times as many. Narayanan et al.
    2021, "Efficient Large-Scale Language Model Training on GPU Clusters".

    Args:
        stages: How many on a rank, v.

    Raises:
        TypeError: If ``stages`` is not an int.
        ValueError: If ``stages`` is below 1.

    Example:
        >>> for rank, ops in Interleaved(2).schedule(ranks=2, micros=2).items():
        ...     print(rank, [f"{op.kind[0]}{op.stage}{op.micro}" for op in ops])
        0 ['f00', 'f01', 'f20', 'f21', 'b20', 'b21', 'b00', 'b01']
        1 ['f10', 'f11', 'f30', 'b30', 'f31', 'b31', 'b10', 'b11']
    """

    stages: int

    def __post_init__(self) -> None:
        check_count("stages", self.stages, least=1)

    def schedule(self, ranks: int, micros: int) -> Schedule:
        """Return the lists; see :meth:`Scheme.schedule`.

        Raises:
            ValueError: If ``micros`` is not a multiple of ``ranks``.
        """
        grid(ranks, micros)
        check_multiple("micros", micros, ranks, "the number of ranks")
        v = self.stages
        stage = np.arange(v * ranks).reshape(v, ranks, 1, 1)  # chunk, rank
        chunk, rank = stage // ranks, stage % ranks
        micro = np.arange(micros).reshape(1, 1, -1, ranks)  # D at a time
        group, within = micro // ranks, micro % ranks
        forward = (group * v + chunk) * ranks + within  # the forwards of a rank in turn
        backward = (group * v + v - 1 - chunk) * ranks + within
        ahead = 2 * (ranks - 1 - rank) + (v - 1) * ranks
        own = {"rank": rank, "stage": stage, "micro": micro}
        return sort_into_ranks(
            ranks,
            own | {"kind": "forward", "slot": 2 * forward},
            own | {"kind": "backward", "slot": 2 * (backward + ahead) + 1},
        )
