"""What a schedule takes: exact times, idle ranks, activations held, messages sent."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modular.pipeline.cost import Cost, Network, per_stage, times_of
from modular.pipeline.replay import FORWARD, INPUT, RECOMPUTE, Wires, replay, wire
from modular.pipeline.schedule import KINDS, Op, as_schedule

__all__ = ["Simulation", "simulate"]


@dataclass(frozen=True)
class Simulation:
    """What a simulation found.

    Args:
        makespan: When the last operation ends.
        bubble: Share of the makespan that each rank is idle.
        peak: Most that each rank holds at a time, in units of ``Cost.activation``.
        traffic: Size of all that one rank sends another.
        path: Operations that no rank waits between: to hurry, hurry one of these.
        timeline: When each operation begins and ends, in order of the schedule.
    """

    makespan: Fraction
    bubble: tuple[Fraction, ...]
    peak: tuple[Fraction, ...]
    traffic: dict[tuple[int, int], Fraction]
    path: tuple[Op, ...]
    timeline: "Timeline"


class Timeline:
    """When each operation of a rank begins and ends; made when it is asked for.

    Args:
        wires: The schedule.
        begin: In units.
        end: In units.
        unit: What a unit is.
    """

    def __init__(
        self, wires: Wires, begin: NDArray, end: NDArray, unit: Fraction
    ) -> None:
        self._schedule, self._unit = wires.schedule, unit
        self._begin, self._end = begin, end

    def __getitem__(self, rank: int) -> list[tuple[Op, Fraction, Fraction]]:
        ops, start = self._schedule[rank], self._schedule.first[rank]
        return [
            (op, int(self._begin[i]) * self._unit, int(self._end[i]) * self._unit)
            for i, op in enumerate(ops, start)
        ]


def simulate(
    schedule: Mapping[int, Sequence[Op]], cost: Cost, network: Network | None = None
) -> Simulation:
    r"""Play a schedule on a clock, exactly.

    A rank begins an operation when its last one has ended and what it needs has
    arrived. All times are whole multiples of one unit, so that nothing is rounded:
    formulas hold with ``==``. Linear in the number of operations.

    Args:
        schedule: Lists of operations, one a rank.
        cost: Of each operation.
        network: Of each message between ranks; messages take no time if None.

    Returns:
        Times, idle shares, activations held and messages, as :class:`Simulation`.

    Raises:
        ValueError: If the schedule is wrong, see :func:`check`, or does not fit the
            costs.

    Source: bubble ratios as Li and Hoefler 2021, "Chimera", table 2, define them.

    Example:
        >>> from modular.pipeline import Chimera, OneFOneB
        >>> for scheme in (OneFOneB(), Chimera()):
        ...     found = simulate(scheme.schedule(ranks=4, micros=4), Cost(1, 1))
        ...     print(found.makespan, found.bubble[0], [int(n) for n in found.peak])
        14 3/7 [4, 3, 2, 1]
        10 1/5 [3, 4, 4, 3]
    """
    wires = wire(as_schedule(schedule))
    clock = _Clock(wires, cost, network or Network())
    end = replay(wires, clock.duration, clock.delay, clock.dtype)
    begin = end - clock.duration(np.arange(len(end)))
    first, makespan = wires.schedule.first, end.max()
    works = clock.duration(np.arange(len(end)))
    work = [works[a:b].sum() for a, b in zip(first, first[1:], strict=False)]
    return Simulation(
        makespan=int(makespan) * clock.unit,
        bubble=tuple(1 - Fraction(int(w), max(int(makespan), 1)) for w in work),
        peak=_peaks(wires, cost),
        traffic=_traffic(wires, cost),
        path=_path(wires, begin, end, clock),
        timeline=Timeline(wires, begin, end, clock.unit),
    )


def _whole(numbers: list[Fraction], most: int) -> tuple[list[int], Fraction, np.dtype]:
    """Return numbers as multiples of a unit, and a type in which sums are exact."""
    unit = Fraction(1, math.lcm(*(n.denominator for n in numbers)))
    whole = [int(n / unit) for n in numbers]
    small = (max(whole) + 1) * (most + 1) < 2**62
    return whole, unit, np.dtype(np.int64 if small else object)


class _Clock:
    """Costs in whole units, for arrays of operations."""

    def __init__(self, wires: Wires, cost: Cost, network: Network) -> None:
        self.wires, schedule = wires, wires.schedule
        stages = int(schedule.stages.max()) + 1
        times = [t for kind in times_of(cost, stages) for t in kind]
        sizes = per_stage(cost, "message", stages)
        wide = [Fraction(network.beta) * size for size in sizes]
        most = 2 * int(schedule.counts.sum(dtype=np.int64))
        numbers = [*times, *wide, Fraction(network.alpha)]
        whole, self.unit, self.dtype = _whole(numbers, most)
        table = np.array(whole, dtype=self.dtype)
        self.times = table[: len(times)].reshape(len(KINDS), stages)
        self.wide, self.alpha = table[len(times) : -1], table[-1]
        self.delay = self._delay if any(whole[len(times) :]) else None

    def duration(self, ops: NDArray[np.int64]) -> NDArray[Any]:
        """Return what operations take."""
        schedule = self.wires.schedule
        once = self.times[schedule.kinds[ops], schedule.stages[ops]]
        return once * schedule.counts[ops]

    def _delay(self, ops: NDArray[np.int64]) -> NDArray[Any]:
        """Return how long what they need is on its way: nothing on one rank."""
        wires, schedule = self.wires, self.wires.schedule
        boundary = schedule.stages[ops] - (schedule.kinds[ops] == FORWARD)
        time = self.alpha + self.wide[boundary] * schedule.counts[ops]
        need = wires.needs[ops]
        away = (need >= 0) & (wires.owners[need] != wires.owners[ops])
        return np.where(away, time, 0)


def _peaks(wires: Wires, cost: Cost) -> tuple[Fraction, ...]:
    """Return the most that each rank holds: from a forward until nobody needs it."""
    schedule = wires.schedule
    stages = int(schedule.stages.max()) + 1
    ops = len(schedule.kinds)
    held, unit, dtype = _whole(per_stage(cost, "activation", stages), ops)
    again = wires.tables["recompute"][schedule.stages, schedule.micros] >= 0
    takes = (schedule.kinds == RECOMPUTE) | ((schedule.kinds == FORWARD) & ~again)
    gives = ~takes & (schedule.kinds != INPUT) & (schedule.kinds != FORWARD)
    sign = takes.astype(np.int64) - gives
    del again, takes, gives
    change = np.array(held, dtype=dtype)[schedule.stages] * (sign * schedule.counts)
    now = np.cumsum(change)  # every rank ends with nothing
    ends = zip(schedule.first, schedule.first[1:], strict=False)
    return tuple(int(now[a:b].max(initial=0)) * unit for a, b in ends)


def _traffic(wires: Wires, cost: Cost) -> dict[tuple[int, int], Fraction]:
    """Return the size of all messages from one rank to another."""
    schedule, owners, needs = wires.schedule, wires.owners, wires.needs
    ops = np.flatnonzero(needs >= 0)
    ops = ops[owners[needs[ops]] != owners[ops]]
    boundary = schedule.stages[ops] - (schedule.kinds[ops] == FORWARD)
    ranks, stages = len(schedule), int(schedule.stages.max()) + 1
    links = owners[needs[ops]].astype(np.int64) * ranks + owners[ops]
    keys, place = np.unique(links * stages + boundary, return_inverse=True)
    counts = np.bincount(place, schedule.counts[ops], len(keys)).astype(np.int64)
    sizes = per_stage(cost, "message", stages)
    found: dict[tuple[int, int], Fraction] = {}
    for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
        link = divmod(key // stages, ranks)
        found[link] = found.get(link, Fraction(0)) + count * sizes[key % stages]
    return found


def _path(wires: Wires, begin: NDArray, end: NDArray, clock: _Clock) -> tuple[Op, ...]:
    """Return a chain of operations without a gap that ends last, from the start."""
    schedule = wires.schedule
    index, chain = int(end.argmax()), []
    while True:
        chain.append(schedule.op(index))
        need = int(wires.needs[index])
        wait = 0 if clock.delay is None else clock.delay(np.array([index]))[0]
        if need >= 0 and end[need] + wait == begin[index]:
            index = need
        elif index > schedule.first[wires.owners[index]] and begin[index] > 0:
            index -= 1
        else:
            return tuple(chain[::-1])
