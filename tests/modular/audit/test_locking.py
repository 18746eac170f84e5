"""Locks and clocks: derived from schedules, equal to closed forms."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modular import (
    DGL,
    Backprop,
    Calibrated,
    Greedy,
    Interlocking,
    Partition,
    Trainer,
    audit,
)
from modular.audit.locking import needs
from modular.training import Method
from tests.modular.cases import METHODS
from tests.modular.nets import batch, layers, sgd, trainer


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_locks_are_derived_as_declared(method: Method) -> None:
    found = audit.locking(trainer(method))
    assert found.holds, found


def test_locks_of_each_module() -> None:
    assert audit.locking(trainer(Backprop())).update.tolist() == [3, 2, 1, 0]
    assert audit.locking(trainer(Interlocking(2))).backward.tolist() == [1, 1, 1, 0]
    assert audit.locking(trainer(DGL())).update.tolist() == [0] * 4
    assert audit.locking(trainer(DGL())).forward.tolist() == [False, True, True, True]
    assert not audit.locking(trainer(Greedy())).forward.any()


def makespan(method: Method, modules: int, steps: int, f: float, b: float) -> float:
    stages = layers(modules)
    one = Trainer(Partition(stages, modules, sample=batch()[0]), method, optimizer=sgd)
    return audit.timeline(one, Calibrated(f, b), steps=steps).makespan


def critical_path(n: int, modules: int, steps: int, f: float, b: float) -> float:
    """Closed forms. Module 0 needs no gradient of its input: half a sweep."""
    if n == 1:  # the pipeline fills, then every module works all the time
        return (modules - 1) * f + steps * (f + b / 2)
    if n == modules:  # one after another, forwards and backwards
        return steps * (modules * f + (modules - 0.5) * b)
    if n == 2:  # module k waits for the forward pass and the pass-on of module k + 1
        return (modules - 2) * f + steps * (2 * f + b)
    raise NotImplementedError


@given(
    modules=st.integers(3, 6),
    steps=st.integers(1, 6),
    f=st.floats(0.1, 2.0),
    b=st.floats(0.1, 4.0),
)
@settings(max_examples=25, deadline=None)
def test_the_clock_agrees_with_closed_forms(modules, steps, f, b) -> None:
    methods = {1: DGL(), 2: Interlocking(2), modules: Backprop()}
    for n, method in methods.items():
        found = makespan(method, modules, steps, f, b)
        expected = critical_path(n, modules, steps, f, b)
        assert math.isclose(found, expected, rel_tol=1e-9), (n, found, expected)


def test_shorter_horizons_unlock_more() -> None:
    times = [makespan(Interlocking(n), 4, 20, 1.0, 2.0) for n in (1, 2, 3, 4)]
    assert times == sorted(times)
    assert times[-1] / times[0] > 3.4
    assert makespan(Backprop(), 4, 20, 1.0, 2.0) / times[1] > 2.5


def test_events_wait_for_their_own_module_and_for_messages() -> None:
    events = list(Backprop().schedule(2))
    assert [(e.kind, e.module) for e in events] == [
        ("forward", 0),
        ("forward", 1),
        ("backward", 1),
        ("take", 0),
    ]
    assert needs(events) == [[], [0], [1], [0, 2]]


def test_spans_of_a_module_do_not_overlap() -> None:
    one = trainer(Interlocking(3))
    course = audit.timeline(one, Calibrated(1.0, 2.0), steps=5)
    for k in range(4):
        mine = [i for i, e in enumerate(course.events) if e.module == k]
        for a, b in zip(mine, mine[1:], strict=False):
            assert course.end[a] <= course.start[b]
