"""Chimera: pipelines in both directions at once."""

from dataclasses import dataclass

import numpy as np

from modular._checks import check_count
from modular.pipeline.schedule import Schedule, sort_into_ranks
from modular.pipeline.scheme import Scheme, check_multiple, grid

__all__ = ["Chimera"]


@dataclass(frozen=True)
class Chimera(Scheme):
    r"""Run pairs of pipelines, one down the ranks and one up, in each other's gaps.

    Pair j begins at rank jD/f: its stage s is on rank s + jD/f going down, and on rank
    D-1-s + jD/f going up, modulo D. In a unit of D micro-batches each pipe has D/(2f),
    and with slots for F = B the q-th of a pipe is at stage s in slots

    .. math:: s + 2q \quad\text{and}\quad 2q + 2D - 1 - s,

    where no two meet, because D is even. More micro-batches are more units, each 2D
    slots after the one before: direct concatenation. Idle are :math:`(D-2f)/(2fN+D-2f)`
    of the time, at the price of 2f copies of every stage. Li and Hoefler 2021,
    "Chimera: efficiently training large-scale neural networks with bidirectional
    pipelines".

    Where a backward takes twice a forward, concatenated units do not fit into each
    other: with N = D idle are :math:`(D-2)/(3N/2+D-2)`, but every further unit takes
    :math:`(4D-2)F` for 3D of work, and from the third on (D = 8 or more) 1F1B is
    faster. A forward of two micro-batches is as long as a backward of one: *forward
    doubling* keeps that ratio for every N, and holds up to 2D. *Backward halving* is
    the same list on halves: ask for twice as many micro-batches, each of half the size.

    Args:
        pairs: f, which divides half the number of ranks.
        doubling: Whether forwards carry two micro-batches; needs ``pairs=1``.

    Raises:
        TypeError: If ``pairs`` is not an int.
        ValueError: If ``pairs`` is below 1, or above with ``doubling``.

    Example:
        >>> for rank, ops in Chimera().schedule(ranks=2, micros=2).items():
        ...     print(rank, [f"{op.kind[0]}{op.stage}{op.micro}" for op in ops])
        0 ['f00', 'f11', 'b11', 'b00']
        1 ['f01', 'f10', 'b10', 'b01']
    """

    pairs: int = 1
    doubling: bool = False

    def __post_init__(self) -> None:
        check_count("pairs", self.pairs, least=1)
        if self.doubling and self.pairs > 1:
            raise ValueError(
                f"pairs is {self.pairs} with doubling: expected 1, of more pairs the "
                "order is not known to be without collisions"
            )

    def schedule(self, ranks: int, micros: int) -> Schedule:
        """Return the lists; see :meth:`Scheme.schedule`.

        Raises:
            ValueError: If ``ranks`` is not a multiple of 2 ``pairs``, or ``micros`` not
                one of ``ranks``, of twice as many with ``doubling``.
        """
        grid(ranks, micros)
        count = 1 + self.doubling
        check_multiple("ranks", ranks, 2 * self.pairs, "two pipelines a pair")
        check_multiple("micros", micros, count * ranks, "whole units of the schedule")
        shape = (micros // (count * ranks), self.pairs, 2, ranks // (2 * self.pairs))
        unit, pair, up, q = np.indices(shape, sparse=True)  # q: within a pipe's unit
        micro = count * np.arange(micros // count).reshape(shape)
        stage = np.arange(ranks).reshape(-1, 1, 1, 1, 1)
        along = np.where(up == 1, ranks - 1 - stage, stage)
        own = {
            "pipe": 2 * pair + up,
            "stage": stage,
            "rank": (along + pair * ranks // self.pairs) % ranks,
        }
        start = unit * ranks * (1 + count)
        pieces = [
            own
            | {
                "kind": "forward",
                "micro": micro,
                "count": count,
                "slot": start + stage + 2 * q,
            }
        ]
        for i in range(count):
            back = start + 2 * (count * q + i) + 2 * ranks - 1 - stage
            pieces.append(own | {"kind": "backward", "micro": micro + i, "slot": back})
        return sort_into_ranks(ranks, *pieces)
