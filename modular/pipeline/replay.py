"""Replay a schedule: what waits for what, and what never comes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modular.pipeline.schedule import KINDS, Op, Schedule, as_schedule

__all__ = ["Wires", "check", "replay", "wire"]

FORWARD, BACKWARD, INPUT, WEIGHT, RECOMPUTE = range(len(KINDS))
_TABLES = {  # a backward gives what its first half gives
    "forward": (FORWARD,),
    "backward": (BACKWARD, INPUT),
    "weight": (WEIGHT,),
    "recompute": (RECOMPUTE,),
}


@dataclass(frozen=True, eq=False)
class Wires:
    """What every operation waits for on another rank, and what is where."""

    schedule: Schedule
    needs: NDArray[np.int64]  # index of an operation, -1 where nothing is waited for
    owners: NDArray[np.int32]
    tables: dict[str, NDArray[np.int64]]  # index by stage and micro-batch; -1: nowhere


def check(schedule: Mapping[int, Sequence[Op]]) -> None:
    """Refuse a schedule that does not compute a gradient, or that hangs.

    Every stage of every micro-batch must be done once, forward before backward, on one
    rank for all of a pipe; then the lists are replayed, each rank waiting for what it
    needs, until all is done or ranks wait in a circle (Holt 1972, "Some deadlock
    properties of computer systems"). Printed orders can be wrong although the training
    behind them is right: that of torch 2.13 for 1F1B ends the last rank with a
    micro-batch that is not there.

    Args:
        schedule: Lists of operations, one a rank.

    Raises:
        ValueError: If something is missing, done twice, out of order, or waited for in
            a circle; says the first rank and slot.

    Example:
        >>> f, b = Op("forward", 0, 0, 0), Op("backward", 0, 0, 0)
        >>> check({0: [f, b]})
        >>> try:
        ...     check({0: [b, f]})
        ... except ValueError as error:
        ...     print(str(error)[:55], "...")
        rank 0, slot 0 (backward of stage 0, micro-batch 0) com ...
    """
    wires = wire(as_schedule(schedule))
    replay(wires, lambda ops: np.ones(len(ops), np.int64), None, np.dtype(np.int64))


def wire(schedule: Schedule) -> Wires:
    """Return what waits for what, or refuse what is not there once, or out of order."""
    schedule.homes()
    tables = {name: _table(schedule, kinds) for name, kinds in _TABLES.items()}
    _check_pipes(schedule)
    _check_complete(schedule, tables)
    _check_order(schedule, tables)
    return Wires(schedule, _needs(schedule, tables), schedule.owners(), tables)


def _table(schedule: Schedule, kinds: tuple[int, ...]) -> NDArray[np.int64]:
    """Return where each stage of each micro-batch is done, or refuse what is twice."""
    micros = int((schedule.micros + schedule.counts).max())
    table = np.full((int(schedule.stages.max()) + 1, micros), -1, dtype=np.int64)
    ops = np.flatnonzero(np.isin(schedule.kinds, kinds))
    counts = schedule.counts[ops]
    for i in range(int(counts.max(initial=0))):
        some = ops[counts > i]
        at = schedule.stages[some], schedule.micros[some] + i
        before = table[at]
        table[at] = some
        other = np.where(before >= 0, before, table[at])
        twice = np.flatnonzero(other != some)
        if twice.size:
            pair = sorted((int(some[twice[0]]), int(other[twice[0]])))
            one, again = map(schedule.place, pair)
            raise ValueError(f"{again} is done at {one}, too: expected it once")
    return table


def _check_pipes(schedule: Schedule) -> None:
    """Refuse a micro-batch that changes its pipe on the way."""
    pipe = np.zeros(int((schedule.micros + schedule.counts).max()), dtype=np.int32)
    pipe[schedule.micros] = schedule.pipes
    wrong = np.flatnonzero(pipe[schedule.micros] != schedule.pipes)
    if wrong.size:
        index = int(wrong[0])
        raise ValueError(
            f"{schedule.place(index)} is in pipe {schedule.pipes[index]}, but in pipe "
            f"{pipe[schedule.micros[index]]} elsewhere: expected one pipe"
        )


def _check_complete(schedule: Schedule, tables: dict[str, NDArray]) -> None:
    """Refuse a stage of a micro-batch that nobody does, and weights without input."""
    expected = {
        "forward": np.ones_like(tables["forward"], dtype=bool),
        "backward": np.ones_like(tables["forward"], dtype=bool),
        "weight": schedule.kinds[tables["backward"]] == INPUT,
    }
    for name, wanted in expected.items():
        wrong = np.argwhere((tables[name] >= 0) != wanted)
        if wrong.size == 0:
            continue
        stage, micro = map(int, wrong[0])
        if not wanted[stage, micro]:
            where = schedule.place(int(tables[name][stage, micro]))
            raise ValueError(f"{where} follows no input's gradient: expected one")
        raise ValueError(_missing(schedule, tables, name, wrong))


def _missing(
    schedule: Schedule, tables: dict[str, NDArray], name: str, lacking: NDArray
) -> str:
    """Say what nobody does, best where something else is done with it."""
    beside = np.max([tables[other] for other in tables if other != name], axis=0)
    there = beside[lacking[:, 0], lacking[:, 1]]
    stage, micro = lacking[int((there >= 0).argmax())]
    user = int(beside[stage, micro])
    because = f", as there is {schedule.place(user)}" if user >= 0 else ""
    return (
        f"nobody does the {name} of stage {stage}, micro-batch {micro}: expected it "
        f"once{because}"
    )


def _check_order(schedule: Schedule, tables: dict[str, NDArray]) -> None:
    """Refuse a rank that does something before what it follows from, on that rank."""
    found: list[tuple[int, int]] = []
    for later, earlier in (
        ("backward", "forward"),
        ("backward", "recompute"),
        ("recompute", "forward"),
        ("weight", "backward"),
    ):
        late, early = tables[later], tables[earlier]
        wrong = (late >= 0) & (early > late)
        found += zip(late[wrong].tolist(), early[wrong].tolist(), strict=True)
    if found:
        slots = {a: a - schedule.first[schedule.owners()[a]] for a, _ in found}
        a, b = min(found, key=lambda pair: (slots[pair[0]], pair))
        raise ValueError(
            f"{schedule.place(a)} comes before {schedule.place(b)}: expected it after"
        )


def _needs(schedule: Schedule, tables: dict[str, NDArray]) -> NDArray[np.int64]:
    """Return the operation of the neighbouring stage that each one waits for."""
    needs = np.full(len(schedule.kinds), -1, dtype=np.int64)
    last = int(schedule.stages.max())
    for name, step in (("forward", -1), ("backward", 1)):
        ops = np.flatnonzero(np.isin(schedule.kinds, _TABLES[name]))
        ops = ops[schedule.stages[ops] != (0 if step < 0 else last)]
        found = tables[name][schedule.stages[ops] + step, schedule.micros[ops]]
        needs[ops] = found
        same = schedule.micros[found] == schedule.micros[ops]
        wrong = np.flatnonzero(~same | (schedule.counts[found] != schedule.counts[ops]))
        if wrong.size:
            index = int(ops[wrong[0]])
            raise ValueError(
                f"{schedule.place(index)} needs what {schedule.place(needs[index])} "
                "makes: expected the same micro-batches together at every stage"
            )
    return needs


def replay(
    wires: Wires,
    duration: Callable[[NDArray[np.int64]], NDArray[Any]],
    delay: Callable[[NDArray[np.int64]], NDArray[Any]] | None,
    dtype: np.dtype,
) -> NDArray[Any]:
    """Return when each operation ends, or refuse a schedule that hangs.

    All ranks that can go on do one operation, then all that can then: as many rounds as
    the schedule has slots, each of them one pass over arrays.
    """
    schedule, needs = wires.schedule, wires.needs
    end = np.full(len(needs), -1, dtype=dtype)
    at, stop = schedule.first[:-1].copy(), schedule.first[1:]
    clock = np.zeros(len(schedule), dtype=dtype)
    active = np.flatnonzero(at < stop)
    while active.size:
        ops = at[active]
        need = needs[ops]
        free = need < 0
        ready = free | (end[need] >= 0)
        if not ready.any():
            raise ValueError(_circle(wires, dict(zip(active, ops, strict=True))))
        go, ops, need, free = active[ready], ops[ready], need[ready], free[ready]
        arrival = end[need] if delay is None else end[need] + delay(ops)
        begin = np.maximum(clock[go], np.where(free, 0, arrival))
        clock[go] = end[ops] = begin + duration(ops)
        at[go] += 1
        active = active[at[active] < stop[active]]
    return end


def _circle(wires: Wires, stuck: dict[int, int]) -> str:
    """Say which ranks wait for each other."""
    rank, seen = min(stuck), []
    while rank not in seen:
        seen.append(rank)
        rank = int(wires.owners[wires.needs[stuck[rank]]])
    ring = seen[seen.index(rank) :]
    place = wires.schedule.place
    waits = [
        f"{place(stuck[r])} waits for {place(int(wires.needs[stuck[r]]))}" for r in ring
    ]
    return "a circle: " + ", ".join(waits) + ": expected an order that can be done"
