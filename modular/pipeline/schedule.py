"""What a rank does, in which order: operations, and lists of them for every rank.

=========== ======================================================================
forward     take what the stage before returned, compute, hand it on
backward    take the gradient of what was handed on, pull it back, hand it back
input       the half of a backward that others wait for: the input's gradient
weight      its other half: the gradient of the parameters
recompute   do a forward again whose activations were not kept
=========== ======================================================================
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modular._checks import check_choice, check_count, check_kind

__all__ = ["KINDS", "Op", "Schedule", "as_schedule", "sort_into_ranks"]

KINDS = ("forward", "backward", "input", "weight", "recompute")


@dataclass(frozen=True)
class Op:
    """One operation of a pipeline: a stage works on a micro-batch.

    Args:
        kind: ``"forward"``, ``"backward"``, ``"input"``, ``"weight"`` or
            ``"recompute"``.
        pipe: Which pipeline, from 0; Chimera has several through the same ranks.
        stage: Which part of the model, from 0.
        micro: Which micro-batch, from 0, counted over all pipelines.
        count: How many, from ``micro`` on: forward doubling has 2.

    Raises:
        TypeError: If a number is not an int.
        ValueError: If there is no such kind, or a number is negative.
    """

    kind: str
    pipe: int
    stage: int
    micro: int
    count: int = 1

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        for name in ("pipe", "stage", "micro"):
            check_count(name, getattr(self, name), least=0)
        check_count("count", self.count, least=1)

    def __str__(self) -> str:
        last = self.micro + self.count - 1
        micros = f"{self.micro}" if self.count == 1 else f"{self.micro} to {last}"
        return f"{self.kind} of stage {self.stage}, micro-batch {micros}"


@dataclass(frozen=True, eq=False)
class Schedule(Mapping):
    """Lists of operations, one for every rank: a mapping from ranks to lists.

    Kept as columns, one entry an operation, rank after rank, so that millions fit.
    The order of a list is the order of work; a rank waits where it must. Such lists are
    what Li and Hoefler 2021, "Chimera", and others draw.

    Args:
        kinds: Positions in ``KINDS``.
        pipes: Pipelines.
        stages: Stages.
        micros: First micro-batches.
        counts: How many micro-batches.
        first: Where the operations of each rank begin, and where the last end.

    Example:
        >>> f, b = Op("forward", 0, 0, 0), Op("backward", 0, 0, 0)
        >>> schedule = Schedule.of({0: [f, b]})
        >>> print(len(schedule), schedule[0][1])
        1 backward of stage 0, micro-batch 0
    """

    kinds: NDArray[np.int8]
    pipes: NDArray[np.int32]
    stages: NDArray[np.int32]
    micros: NDArray[np.int32]
    counts: NDArray[np.int32]
    first: NDArray[np.int64]

    @classmethod
    def of(cls, ops: Mapping[int, Sequence[Op]]) -> "Schedule":
        """Make a schedule of lists that were written by hand.

        Args:
            ops: What each rank does, in order; ranks from 0 without a gap.

        Returns:
            The same, in columns.

        Raises:
            ValueError: If ranks are not 0, 1, ..., or nobody does anything.
        """
        ranks = len(ops)
        if set(ops) != set(range(ranks)) or not any(ops.values()):
            raise ValueError(
                f"ops has the ranks {list(ops)}: expected 0, 1, ... without a gap, and "
                "at least one operation"
            )
        flat = [op for rank in range(ranks) for op in ops[rank]]
        for op in flat:
            check_kind("an entry of ops", op, Op)
        lengths = [len(ops[rank]) for rank in range(ranks)]
        kinds = [KINDS.index(op.kind) for op in flat]
        rows = [[op.pipe, op.stage, op.micro, op.count] for op in flat]
        pipes, stages, micros, counts = np.array(rows, dtype=np.int32).T
        first = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(np.array(kinds, np.int8), pipes, stages, micros, counts, first)

    def __len__(self) -> int:
        return len(self.first) - 1

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __getitem__(self, rank: int) -> list[Op]:
        if not 0 <= rank < len(self):
            raise KeyError(f"rank is {rank}: expected 0 to {len(self) - 1}")
        return [self.op(i) for i in range(self.first[rank], self.first[rank + 1])]

    def op(self, index: int) -> Op:
        """Return one operation.

        Args:
            index: Its position in the columns.

        Returns:
            The operation.
        """
        return Op(
            KINDS[self.kinds[index]],
            int(self.pipes[index]),
            int(self.stages[index]),
            int(self.micros[index]),
            int(self.counts[index]),
        )

    def place(self, index: int) -> str:
        """Say where an operation stands.

        Args:
            index: Its position in the columns.

        Returns:
            Its rank, its slot in the rank's list, and what it is.
        """
        rank = int(np.searchsorted(self.first, index, side="right")) - 1
        return f"rank {rank}, slot {index - self.first[rank]} ({self.op(index)})"

    def owners(self) -> NDArray[np.int32]:
        """Return the rank of every operation.

        Returns:
            One entry an operation.
        """
        ranks = np.arange(len(self), dtype=np.int32)
        return np.repeat(ranks, np.diff(self.first))

    def homes(self) -> NDArray[np.int32]:
        """Return on which rank the stages of every pipeline are.

        Returns:
            A row a pipeline, a column a stage; -1 where there is none.

        Raises:
            ValueError: If a stage of a pipeline is on two ranks.
        """
        size = (int(self.pipes.max()) + 1, int(self.stages.max()) + 1)
        homes = np.full(size, -1, dtype=np.int32)
        owners = self.owners()
        homes[self.pipes, self.stages] = owners
        wrong = np.flatnonzero(homes[self.pipes, self.stages] != owners)
        if wrong.size:
            index = int(wrong[0])
            other = homes[self.pipes[index], self.stages[index]]
            raise ValueError(
                f"{self.place(index)} works on a stage of pipe {self.pipes[index]} "
                f"that is on rank {other}, too: expected one rank for it"
            )
        return homes


def as_schedule(schedule: Mapping[int, Sequence[Op]]) -> Schedule:
    """Return a schedule, or make one of lists."""
    if isinstance(schedule, Schedule):
        return schedule
    check_kind("schedule", schedule, Mapping, ", from ranks to lists of Op")
    return Schedule.of(schedule)


def sort_into_ranks(ranks: int, *pieces: dict[str, Any]) -> Schedule:
    """Return a schedule of pieces, each of one kind, as columns that broadcast.

    ``rank`` says who does it and ``slot`` orders what a rank does; ``stage`` and
    ``micro``, and ``pipe`` and ``count`` where they are not 0 and 1, say what.
    """
    shapes = [np.broadcast_shapes(*map(np.shape, piece.values())) for piece in pieces]

    def column(name: str, kind: type, default: int = 0) -> NDArray:
        given: list[NDArray]
        given = [np.asarray(piece.get(name, default), kind) for piece in pieces]
        wide = [np.broadcast_to(p, s) for p, s in zip(given, shapes, strict=True)]
        return np.concatenate([part.ravel() for part in wide])

    rank, slot = column("rank", np.int64), column("slot", np.int64)
    order = np.argsort(rank * (slot.max() + 1) + slot, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(rank, minlength=ranks))])
    del rank, slot
    kinds = np.array([KINDS.index(piece["kind"]) for piece in pieces], dtype=np.int8)
    return Schedule(
        np.repeat(kinds, [int(np.prod(shape)) for shape in shapes])[order],
        column("pipe", np.int32)[order],
        column("stage", np.int32)[order],
        column("micro", np.int32)[order],
        column("count", np.int32, 1)[order],
        first,
    )
