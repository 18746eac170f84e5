"""Difference target propagation: messages that are targets."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from modular import DifferenceTargets, Partition, Trainer
from tests.modular.nets import adam, batch, sgd, trainer


def test_targets_with_an_exact_inverse_are_gauss_newton_targets(monkeypatch) -> None:
    torch.manual_seed(0)
    chain = [nn.Linear(4, 4, bias=False) for _ in range(4)]
    net = Partition([*chain, nn.Linear(4, 3)], 5, sample=torch.zeros(1, 4))
    one = Trainer(net, DifferenceTargets(eta=0.5), optimizer=sgd)
    for k in (1, 2, 3):
        inverse = net.blocks[k].head.parts["inverse"][1]
        with torch.no_grad():
            inverse.weight.copy_(torch.linalg.inv(chain[k].weight))
    x, y = batch(inputs=4)
    h, states = x, []
    for block in net.blocks[:-1]:
        h = block.net(h)
        states.append(h)
    loss = functional.cross_entropy(net.blocks[-1].net(h), y)
    (top,) = torch.autograd.grad(loss, h)
    sent: dict[int, Tensor] = {}
    send = one.transport.send_credit

    def watch(module: int, loss: int, g: Tensor) -> None:
        sent[module] = g.detach().clone()
        send(module, loss, g)

    monkeypatch.setattr(one.transport, "send_credit", watch)
    above = torch.eye(4)  # Jacobian of h_3 with respect to h_i
    change = -0.5 * len(x) * top
    weights = [layer.weight.detach().clone() for layer in chain]
    one.step((x, y))
    for i in (3, 2, 1, 0):
        # Gauss-Newton: the least change of h_i whose effect on h_3 is `change`
        expected = states[i] + change @ torch.linalg.pinv(above).T
        torch.testing.assert_close(sent[i], expected, rtol=0, atol=1e-9)
        above = above @ weights[i]


def test_the_last_hidden_module_moves_as_under_backpropagation() -> None:
    one = trainer(DifferenceTargets(), modules=2, optimizer=sgd)
    x, y = batch()
    net = one.partition
    own = list(net.blocks[0].net.parameters())
    loss = functional.cross_entropy(net.whole()(x), y)
    gradients = torch.autograd.grad(loss, own)
    before = [p.detach().clone() for p in own]
    one.step((x, y))
    for p, b, g in zip(own, before, gradients, strict=True):
        torch.testing.assert_close(p.detach(), b - 0.1 * g, rtol=0, atol=1e-12)


def test_inverses_learn_to_invert() -> None:
    one = trainer(DifferenceTargets(noise=0.05))
    x, y = batch(rows=60)
    block = one.partition.blocks[1]

    def error() -> float:
        with torch.no_grad():
            h = one.partition.blocks[0].net(x)
            back = block.head.parts["inverse"](block.net(h))
        return float(functional.mse_loss(back, h))

    start = error()
    for w in one.workers.values():  # only the inverses learn
        parts = list(w.block.head.parts.parameters())
        w.optimizer = adam(parts) if parts else None
    for _ in range(150):
        one.step((x, y))
    assert error() < 0.3 * start
