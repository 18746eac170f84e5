"""What is frozen stays: weights, statistics and chance; and it can learn again."""

import copy

import pytest
import torch
from torch import nn

from modular import (
    DGL,
    Backprop,
    Greedy,
    Interlocking,
    Partition,
    Processes,
    Trainer,
    audit,
)
from tests.modular.nets import adam, batch, layers

METHODS = [DGL(), Interlocking(2), Backprop(), Greedy()]
methods = pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)


def backbone() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.5))
    return net.requires_grad_(False).eval()


def fine_tuned(method, body: nn.Module, **options) -> Trainer:
    x, _ = batch()
    model = [body, nn.Linear(6, 6), nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, 3)]
    net = Partition(model, cuts=[1], sample=x[:2])
    return Trainer(net, method, optimizer=adam, **options)


def unmoved(before: dict, layer: nn.Module) -> bool:
    after = layer.state_dict()
    return all(torch.equal(value, after[name]) for name, value in before.items())


@methods
def test_a_frozen_backbone_in_evaluation_mode_stays_as_it_is(method) -> None:
    body = backbone()
    before = copy.deepcopy(body.state_dict())
    one = fine_tuned(method, body)
    one.fit([batch(), batch(seed=1)], epochs=3, validation=[batch()])
    one.step(batch(), phase=method.phases(2) - 1)
    assert unmoved(before, body)
    assert not any(layer.training for layer in body.modules())
    assert one.partition.blocks[1].net[2].training, "its dropout is at work"
    found = audit.isolation(one, batch())
    assert found.holds, found.leaks
    assert not found.declared[:, 0].any()


def test_it_does_in_processes_too() -> None:
    body = backbone()
    before = copy.deepcopy(body.state_dict())
    one = fine_tuned(DGL(), body, transport=Processes(2, timeout=40))
    one.fit([batch()], epochs=2)
    assert unmoved(before, one.partition.blocks[0].net[0])


@methods
def test_blocks_can_be_frozen_and_unfrozen_at_any_time(method) -> None:
    x, _ = batch()
    torch.manual_seed(0)
    one = Trainer(Partition(layers(norm=True), 3, sample=x), method, optimizer=adam)
    one.fit([batch()], epochs=1)
    first = one.partition.blocks[0]
    one.partition.freeze(0)
    before = copy.deepcopy(first.net.state_dict())
    one.fit([batch()], epochs=2)
    assert unmoved(before, first.net)
    found = audit.isolation(one, batch())
    assert found.holds, found.leaks
    one.partition.unfreeze(0)
    one.fit([batch()], epochs=1)
    for name, value in first.net.state_dict().items():
        assert not torch.equal(value, before[name]), f"{name} learns again"


def test_layers_that_are_unfrozen_later_move() -> None:
    """An optimiser that was only given what was free at the start would forget them."""
    body = backbone()
    one = fine_tuned(DGL(), body)
    one.fit([batch()], epochs=1)
    before = copy.deepcopy(body.state_dict())
    body.requires_grad_(True)
    one.fit([batch()], epochs=1)
    for name, value in body.state_dict().items():
        assert not torch.equal(value, before[name]), f"{name} stayed"


def test_a_model_in_evaluation_mode_that_is_not_frozen_is_trained_as_ever() -> None:
    body = backbone().requires_grad_(True)
    before = body[1].running_mean.clone()
    fine_tuned(DGL(), body).fit([batch()], epochs=1)
    assert not torch.equal(body[1].running_mean, before)


def test_a_checkpoint_of_a_frozen_run_goes_on(tmp_path) -> None:
    runs = [
        fine_tuned(DGL(), backbone(), generator=torch.Generator()) for _ in range(3)
    ]
    for run in runs[1:]:
        run.partition.load_state_dict(runs[0].partition.state_dict())
    unbroken, stopped, resumed = runs
    unbroken.fit([batch()], epochs=3)
    stopped.fit([batch()], epochs=2, checkpoint=tmp_path / "run.pt")
    resumed.fit([batch()], epochs=3, checkpoint=tmp_path / "run.pt")
    assert unmoved(unbroken.partition.state_dict(), resumed.partition)


@pytest.mark.parametrize(
    ("module", "error", "text"),
    [
        (3, ValueError, "module is 3: expected 0 to 2"),
        (-1, ValueError, "module is -1: expected at least 0"),
        ("0", TypeError, "module is '0': expected an int"),
    ],
)
def test_freezing_refuses(module, error: type, text: str) -> None:
    net = Partition(layers(), 3, sample=batch()[0])
    with pytest.raises(error, match=text):
        net.freeze(module)
