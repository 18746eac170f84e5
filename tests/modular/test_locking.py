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
    plot,
)
from modular.audit.locking import needs
from modular.method import Event, Method
from tests.modular.cases import METHODS
from tests.modular.nets import batch, layers, partition, sgd, trainer


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


def test_alignment_is_one_for_backpropagation_and_below_for_others() -> None:
    exact = audit.alignment(trainer(Backprop()), batch())
    assert (exact - 1).abs().max() < 1e-12
    local = audit.alignment(trainer(DGL()), batch())
    assert abs(local[-1] - 1) < 1e-12, "the last module has the true loss in any case"
    assert (local[:-1] < 0.999).all()
    far = audit.alignment(trainer(Interlocking(4)), batch())
    assert (far - 1).abs().max() < 1e-12
    frozen = audit.alignment(trainer(Greedy()), batch(), phase=2)
    assert frozen.isnan().tolist() == [True, True, False, True]


def test_probes_see_what_features_hold() -> None:
    net = partition()
    x, y = batch(rows=200)
    x[:, :3] = 0
    x[range(200), y] = 1.0  # the label is in the input
    found = audit.probe(net, [(x, y)], [(x, y)])
    assert found.shape == (4,)
    assert found[0] > 0.95
    with pytest.raises(ValueError, match="the loader has 0 batches"):
        audit.probe(net, [], [(x, y)])


def test_a_report_has_everything() -> None:
    text = audit.report(trainer(Interlocking(2)), batch())
    for part in ("as declared: True", "saved for backward", "cosine", "x x . ."):
        assert part in text


def test_plots_have_labels() -> None:
    import matplotlib.pyplot as plt
    import torch

    one = trainer(Interlocking(2))
    figure, axes = plt.subplots(1, 4)
    plot.accuracy(axes[0], {"a": torch.rand(3, 4), "b": torch.rand(4)})
    plot.gantt(axes[1], audit.timeline(one, Calibrated(1.0, 2.0), steps=2))
    plot.isolation(axes[2], audit.isolation(one, batch()))
    costs = {"a": 1.0, "b": 2.0, "c": 3.0}
    scores = {"a": torch.rand(3), "b": torch.rand(1), "c": torch.rand(2)}
    chain = {"a": "n = 1", "b": "n = 2"}
    plot.frontier(axes[3], costs, scores, chain=chain, line="n", others={"c": "DGL"})
    assert [text.get_text() for text in axes[3].texts] == ["n = 1", "n = 2", ""]
    assert axes[3].get_legend_handles_labels()[1] == ["n", "DGL"]
    for ax in axes:
        assert ax.get_xlabel()
        assert ax.get_ylabel()
    assert len(axes[0].lines) == 2
    assert len(axes[1].patches) == 2 * len(list(one.method.schedule(4)))
    plt.close(figure)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_every_method_has_a_gantt_chart(method: Method) -> None:
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    plot.gantt(ax, audit.timeline(trainer(method), Calibrated(1.0, 2.0)))
    assert len(ax.patches) == len(list(method.schedule(4)))
    plt.close(figure)


def test_costs_are_of_events() -> None:
    costs = Calibrated(1.0, 3.0)
    kinds = {k: costs.seconds(Event(k, 0, 0)) for k in ("forward", "pass", "take")}
    assert kinds == {"forward": 1.0, "pass": 1.5, "take": 1.5}
    with pytest.raises(ValueError, match="backward is -1: expected a finite number"):
        Calibrated(1.0, -1)
