"""Synthetic gradients: messages that are guesses."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from modular import DifferenceTargets, SyntheticGradients
from tests.modular.nets import adam, batch, sgd, trainer


def test_a_perfect_synthesiser_is_backpropagation() -> None:
    """With S_k set to the true gradient, a step is the ordinary one."""
    one = trainer(SyntheticGradients(), modules=2, optimizer=sgd)
    x, y = batch()
    net = one.partition
    h = net.blocks[0].net(x)
    loss = functional.cross_entropy(net.blocks[1].net(h), y)
    own = list(net.blocks[0].net.parameters())
    gradients = torch.autograd.grad(loss, [h, *own])
    before = [p.detach().clone() for p in own]

    def perfect(rows: Tensor) -> Tensor:
        return len(x) * gradients[0] + 0 * nn.Linear.forward(synthesiser, rows)

    synthesiser = net.blocks[0].head.parts["synthesiser"]
    synthesiser.forward = perfect
    one.step((x, y))
    for p, b, g in zip(own, before, gradients[1:], strict=True):
        torch.testing.assert_close(p.detach(), b - 0.1 * g, rtol=0, atol=1e-12)


def test_hidden_modules_rest_until_the_synthesiser_has_learned() -> None:
    one = trainer(SyntheticGradients(), optimizer=sgd)
    before = [p.detach().clone() for p in one.partition.blocks[0].net.parameters()]
    one.step(batch())
    after = list(one.partition.blocks[0].net.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    for _ in range(5):
        one.step(batch())
    assert not torch.equal(before[0], after[0])


def test_a_module_is_updated_before_the_next_has_run() -> None:
    """That is what guessing is for: only the synthesiser waits for an answer."""
    one = trainer(SyntheticGradients(), optimizer=sgd)
    for _ in range(5):
        one.step(batch())
    events = list(one.method.schedule(4))
    own = list(one.partition.blocks[0].net.parameters())
    synthesiser = one.partition.blocks[0].head.parts["synthesiser"]
    before = [p.detach().clone() for p in (*own, *synthesiser.parameters())]
    alone = [event for event in events if event.module == 0][:2]
    assert [event.kind for event in alone] == ["forward", "take"]
    one.play(alone, one.prepare(batch()))
    now = [*own, *synthesiser.parameters()]
    moved = [not torch.equal(a, b) for a, b in zip(before, now, strict=True)]
    assert moved == [True] * len(own) + [False, False]


def test_the_synthesiser_comes_to_know_the_gradient() -> None:
    one = trainer(SyntheticGradients(), modules=2, optimizer=adam)
    x, y = batch()
    for w in one.workers.values():  # only the synthesiser learns
        w.block.net.requires_grad_(True)
        parts = list(w.block.head.parts.parameters())
        w.optimizer = adam(parts) if parts else None
    for _ in range(500):
        one.step((x, y))
    h = one.partition.blocks[0].net(x).detach().requires_grad_()
    functional.cross_entropy(one.partition.blocks[1].net(h), y).backward()
    rows = torch.cat([h.detach(), functional.one_hot(y, 3).to(h.dtype)], dim=1)
    guess = one.partition.blocks[0].head.parts["synthesiser"](rows) / len(x)
    cosine = functional.cosine_similarity(guess.flatten(), h.grad.flatten(), dim=0)
    assert cosine > 0.95


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: DifferenceTargets(eta=0), "eta is 0: expected a positive number"),
        (lambda: DifferenceTargets(noise=-1), "noise is -1: expected a finite number"),
        (lambda: SyntheticGradients(weight=0), "weight is 0: expected a positive"),
    ],
)
def test_they_refuse(make, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()
