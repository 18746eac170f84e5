"""Credit methods: equal to backpropagation at one end, to local losses at the other."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from modular import (
    DGL,
    Backprop,
    Greedy,
    Interlocking,
    Partition,
    Pred,
    Trainer,
)
from modular.methods import Credit
from modular.training import Locks
from tests.modular.nets import adam, batch, distance, partition, sgd, trainer, weights


def plain(model: nn.Module, data: list, optimizer=adam) -> nn.Module:
    """Train as everyone does."""
    steps = optimizer(model.parameters())
    for x, y in data:
        steps.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        steps.step()
    return model


@pytest.mark.parametrize("method", [Interlocking(4), Backprop()])
@pytest.mark.parametrize("norm", [False, True])
def test_the_full_horizon_is_backpropagation(method: Credit, norm: bool) -> None:
    one = trainer(method, norm=norm)
    model = copy.deepcopy(one.partition.whole())
    data = [batch(seed=s) for s in range(10)]
    one.fit(data, epochs=1)
    assert distance(weights(one), list(plain(model, data).parameters())) <= 1e-12


@pytest.mark.parametrize("method", [Backprop(), DGL(), Interlocking(1), Greedy()])
def test_one_module_is_ordinary_training_bit_for_bit(method: Credit) -> None:
    one = trainer(method, modules=1, norm=True)
    model = copy.deepcopy(one.partition.whole())
    data = [batch(seed=s) for s in range(10)]
    one.fit(data, epochs=1)
    assert distance(weights(one), list(plain(model, data).parameters())) == 0


def test_horizon_one_is_dgl() -> None:
    one, other = trainer(Interlocking(1)), trainer(DGL())
    for run in (one, other):
        run.fit([batch(seed=s) for s in range(10)], epochs=1)
    assert Interlocking(1) == DGL()
    assert distance(weights(one), weights(other)) == 0


def test_dgl_is_each_module_trained_by_hand() -> None:
    one = trainer(DGL())
    blocks = copy.deepcopy(one.partition.blocks)
    data = [batch(seed=s) for s in range(5)]
    one.fit(data, epochs=1)
    steps = [adam(block.parameters()) for block in blocks]
    for x, y in data:
        for block, step in zip(blocks, steps, strict=True):
            step.zero_grad()
            h = block.net(x)
            functional.cross_entropy(block.head(h), y).backward()
            step.step()
            x = h.detach()
    expected = [p for block in blocks for p in block.net.parameters()]
    assert distance(weights(one), expected) == 0


def test_greedy_freezes_the_modules_before() -> None:
    one = trainer(Greedy(), norm=True)
    data = [batch(seed=s) for s in range(4)]
    one.fit(data, epochs=2, phases=[0])
    first = copy.deepcopy(one.partition.blocks[0].state_dict())
    later = copy.deepcopy(one.partition.blocks[2].state_dict())
    one.fit(data, epochs=2, phases=[1])
    for name, value in one.partition.blocks[0].state_dict().items():
        assert torch.equal(value, first[name]), f"{name}: statistics are frozen as well"
    for name, value in one.partition.blocks[2].state_dict().items():
        assert torch.equal(value, later[name])
    assert (
        one.history.loss[:, :3].isnan().tolist()
        == [[False, True, True]] * 2 + [[True, False, True]] * 2
    )


def scalar_net(values: list[float]) -> Partition:
    """h_k = w_k h_{k-1}, heads a_k h_k; every weight is a number."""
    layers = [nn.Linear(1, 1, bias=False) for _ in values]
    for layer, value in zip(layers, values, strict=True):
        nn.init.constant_(layer.weight, value)

    def head(shape: torch.Size, classes: int) -> nn.Module:
        made = nn.Linear(1, 1, bias=False)
        nn.init.constant_(made.weight, 10.0)
        return made

    return Partition(layers, len(values), head=head, sample=torch.ones(1, 1))


def total(scores: Tensor, target: Tensor) -> Tensor:
    """A fake loss whose gradient is 1."""
    return scores.sum()


@pytest.mark.parametrize(
    ("n", "gradients"),
    [
        # x = 1, w = 2, 3, 5, 7, heads 10: h = 2, 6, 30, 210
        (1, [10.0, 20.0, 60.0, 30.0]),
        # loss 1 = 10 w1 w0, loss 2 = 10 w2 w1 w0, loss 3 = w3 w2 w1 w0
        (2, [30.0, 100.0, 42.0, 30.0]),
        (3, [150.0, 70.0, 42.0, 30.0]),
        (4, [105.0, 70.0, 42.0, 30.0]),
    ],
)
def test_gradients_computed_by_hand(n: int, gradients: list[float]) -> None:
    net = scalar_net([2.0, 3.0, 5.0, 7.0])
    method = Interlocking(n, Pred(total))
    one = Trainer(net, method, optimizer=lambda p: torch.optim.SGD(p, lr=1.0))
    before = [block.net[0].weight.item() for block in net.blocks]
    heads = [block.head.predict.weight.item() for block in net.blocks[:-1]]
    one.step((torch.ones(1, 1), torch.zeros(1)))
    after = [block.net[0].weight.item() for block in net.blocks]
    assert [a - b for a, b in zip(before, after, strict=True)] == gradients
    moved = [block.head.predict.weight.item() for block in net.blocks[:-1]]
    by_own_loss = [2.0, 6.0, 30.0]  # each head: its own h
    assert [a - b for a, b in zip(heads, moved, strict=True)] == by_own_loss


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_parameters_take_the_gradient_of_one_loss(n: int) -> None:
    one = trainer(Interlocking(n), optimizer=sgd)
    net = copy.deepcopy(one.partition)
    x, y = batch()
    losses, h = [], x
    for block in net.blocks:
        h = block.net(h)
        losses.append(functional.cross_entropy(block.head(h), y))
    before = weights(one)
    one.step((x, y))
    moved = [(b - a) / 0.1 for b, a in zip(before, weights(one), strict=True)]
    expected = []
    for i, block in enumerate(net.blocks):
        loss = losses[min(i + n - 1, 3)]
        own = list(block.net.parameters())
        expected += torch.autograd.grad(loss, own, retain_graph=True)
    assert distance(moved, expected) <= 1e-12


@given(modules=st.integers(1, 7), n=st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_what_a_method_declares_follows_from_its_schedule(modules: int, n: int) -> None:
    n = min(n, modules)
    method = Interlocking(n)
    events = list(method.schedule(modules))
    takes = torch.zeros(modules, modules, dtype=torch.bool)
    crossing = torch.zeros(modules, dtype=torch.int64)
    for event in events:
        if event.kind in ("take", "backward"):
            assert not takes[:, event.module].any(), "one loss, one update"
            takes[event.loss, event.module] = True
        if event.kind in ("pass", "backward"):
            crossing[event.module] += 1
    assert torch.equal(takes, method.takes(modules))
    assert crossing[1:].tolist() == method.messages(modules).tolist()
    assert (method.messages(modules) <= n - 1).all()
    assert (method.takes(modules) <= method.mask(modules)).all()
    assert method.mask(modules).sum() == sum(min(n, j + 1) for j in range(modules))
    assert method.locks(modules) == Locks(modules > 1, n - 1, n - 1)


def test_a_shared_optimiser_would_move_modules_without_gradient() -> None:
    """Why there is one optimiser per module: momentum outlives the gradient."""
    heavy = lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)  # noqa: E731
    one = trainer(Greedy(), optimizer=heavy)
    one.step(batch(), phase=0)
    before = [p.clone() for p in one.partition.blocks[0].parameters()]
    one.step(batch(seed=1), phase=1)
    assert distance(before, list(one.partition.blocks[0].parameters())) == 0
    owners = [
        {id(p) for group in w.optimizer.param_groups for p in group["params"]}
        for w in one.workers.values()
    ]
    assert sum(map(len, owners)) == len(set.union(*owners))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Interlocking(0), ValueError, "n is 0: expected at least 1"),
        (lambda: Interlocking(2.0), TypeError, "n is 2.0: expected an int"),
        (lambda: trainer(Interlocking(5)), ValueError, "horizon is 5 but there are 4"),
        (lambda: Credit(order="random"), ValueError, "order is 'random': expected one"),
        (lambda: Credit(horizon=2, order="sequential"), ValueError, "horizon is 2 in"),
        (lambda: DGL("pred"), TypeError, "objective is 'pred': expected an Objective"),
        (
            lambda: Trainer(partition(), "dgl", optimizer=adam),
            TypeError,
            r"method is 'dgl': expected a Method, as DGL\(\)",
        ),
        (
            lambda: Trainer(partition(), DGL(), optimizer="adam"),
            TypeError,
            "optimizer is 'adam': expected a function",
        ),
    ],
)
def test_methods_refuse(make, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        make()
