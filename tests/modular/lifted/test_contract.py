"""What every method promises, tried on the lifted ones."""

import copy
import pickle

import pytest
import torch

from modular import Calibrated, Partition, Processes, Trainer, audit
from modular.lifted import Lifted
from tests.modular.lifted.nets import METHODS, ROWS, copies, data
from tests.modular.nets import adam, batch, distance, layers, trainer, weights

EACH = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def filled(method: Lifted, **options) -> Trainer:
    one = trainer(method, **options)
    one.step(data(method), phase=1)
    return one


@EACH
def test_isolation_is_measured_as_declared(method: Lifted) -> None:
    found = audit.isolation(filled(method, norm=True), data(method))
    assert found.holds, found.leaks
    assert torch.equal(found.takes, method.takes(4))


@EACH
def test_locks_are_derived_as_declared(method: Lifted) -> None:
    found = audit.locking(trainer(method))
    assert found.holds, found
    assert bool(found.forward.any()) == method.states.sweeps


@EACH
def test_messages_are_counted_as_declared(method: Lifted) -> None:
    one = trainer(method)
    for phase in (1, 0):
        one.step(data(method), phase=phase)
    sent = [one.transport.sent["credit", k] for k in range(3)]
    assert sent == method.messages(4).tolist()
    forward = [one.transport.sent["state", k] for k in (1, 2, 3)]
    assert forward == [1 if method.states.sweeps else 2] * 3


def test_the_clock_of_unlocked_modules_does_not_grow_with_them() -> None:
    """Every module works from the first moment on; one exchange ends a step."""
    spans = []
    for modules in (2, 4):
        net = Partition(layers(4), modules, sample=batch()[0])
        one = Trainer(net, METHODS["penalty"], optimizer=adam)
        clock = audit.timeline(one, Calibrated(1.0, 2.0, 0.5), steps=10)
        spans.append(clock.makespan)
    assert spans[0] == spans[1] == 10 * 3.5


@EACH
def test_both_copies_of_a_state_stay_equal(method: Lifted) -> None:
    one = trainer(method)
    one.fit([data(method, seed=s) for s in range(2)], epochs=3)
    for left, right in copies(one):
        pairs = zip(
            left.state_dict().values(), right.state_dict().values(), strict=True
        )
        assert all(torch.equal(a, b) for a, b in pairs)


@EACH
def test_training_lowers_the_loss_of_the_network(method: Lifted) -> None:
    one, rows = trainer(method), data(method)
    score = torch.nn.CrossEntropyLoss()
    before = score(one.partition.whole()(rows[0]), rows[1])
    one.fit([rows], epochs=60)
    assert score(one.partition.whole()(rows[0]), rows[1]) < 0.7 * before


@EACH
def test_measuring_does_not_train(method: Lifted) -> None:
    one, other = filled(method, norm=True), filled(method, norm=True)
    audit.isolation(one, data(method))
    audit.memory(one, data(method))
    before, after = other.partition.state_dict(), one.partition.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@EACH
def test_resuming_is_as_if_it_had_never_stopped(method: Lifted, tmp_path) -> None:
    unbroken, stopped, resumed = (trainer(method, norm=True) for _ in range(3))
    rows, path = [data(method)], tmp_path / "run.pt"
    unbroken.fit(rows, epochs=4)
    plan = method.plan(4, 4)
    stopped.follow(plan[:-2], rows, None, checkpoint=path)
    resumed.fit(rows, epochs=4, checkpoint=path)
    assert distance(weights(unbroken), weights(resumed)) == 0
    assert len(resumed.history) == len(plan)


@pytest.mark.parametrize("name", METHODS)
def test_processes_give_bitwise_the_weights_of_one(name: str) -> None:
    method = METHODS[name]
    here, there = trainer(method, norm=True), trainer(method, norm=True)
    there.transport = Processes(4 if name == "multipliers" else 2, timeout=60)
    rows = [data(method)] * 2
    for one in (here, there):
        one.fit(rows, epochs=2, validation=[batch(seed=5)])
    assert distance(weights(here), weights(there)) == 0
    for mine, theirs in zip(copies(here), copies(there), strict=True):
        pairs = zip(
            mine[0].state_dict().values(), theirs[1].state_dict().values(), strict=True
        )
        assert all(torch.equal(a, b) for a, b in pairs)


def test_stand_ins_exchange_as_well() -> None:
    one = trainer(METHODS["penalty"])
    one.transport = Processes(4, timeout=60, stand_in=Calibrated(0.01, 0.01, 0.01))
    one.fit([data(METHODS["penalty"])] * 3, epochs=1)
    measured = audit.Timeline.traced(one)
    kinds = [event.kind for event in measured.events]
    assert kinds.count("exchange") == 3 * 4


@EACH
def test_a_method_and_its_network_survive_copies(method: Lifted) -> None:
    assert repr(pickle.loads(pickle.dumps(method))) == repr(method)
    one = filled(method)
    one.step(data(method))
    again = copy.deepcopy(one.partition)
    again = pickle.loads(pickle.dumps(again))
    x, _ = batch(rows=ROWS)
    assert torch.equal(again(x), one.partition(x))
