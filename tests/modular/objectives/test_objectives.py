"""What all objectives take, and what they refuse."""

import re

import pytest
import torch
from torch import nn

from modular import (
    DGL,
    HSIC,
    Backprop,
    Goodness,
    InfoPro,
    Kernel,
    Partition,
    Pred,
    PredSim,
    Sim,
    SyntheticGradients,
    Trainer,
)
from modular.partition import Head
from tests.modular.nets import draw, layers, sgd


@pytest.mark.parametrize("objective", [InfoPro(), Sim(), HSIC(), PredSim()])
def test_images_will_do(objective) -> None:
    x, h = draw(4, 2, 6, 6), draw(4, 3, 3, 3).requires_grad_()
    g = Head(nn.Sequential(nn.Flatten(), nn.Linear(27, 3)), 3)
    objective.attach(g, x[:1], h[:1])
    objective(x, h, g, torch.arange(4) % 3).backward()
    assert h.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (
            lambda: PredSim(1.5),
            ValueError,
            "beta is 1.5: expected a number from 0 to 1",
        ),
        (
            lambda: HSIC(beta=-1),
            ValueError,
            "beta is -1: expected a finite number >= 0",
        ),
        (lambda: HSIC(width=0), ValueError, "width is 0: expected a positive number"),
        (lambda: HSIC(ridge=0), ValueError, "ridge is 0: expected a positive"),
        (lambda: Goodness(-2), ValueError, "theta is -2: expected a positive number"),
        (lambda: InfoPro(last=(1, -1)), ValueError, "last[1] is -1: expected a finite"),
        (lambda: Pred() + 3, TypeError, "cannot add 3: expected an Objective"),
        (lambda: -1 * Pred(), ValueError, "factor is -1: expected a number >= 0"),
        (lambda: Pred() + Goodness(), TypeError, "the network 1 and 3 rows per sample"),
        (lambda: 2 * Goodness(), TypeError, "cannot scale Goodness(theta=2.0)"),
        (
            lambda: Goodness().enter(torch.zeros(2, 3), torch.zeros(2), 3),
            ValueError,
            "x has shape (2, 3) and there are 3 classes: expected (batch, n) with n >",
        ),
    ],
)
def test_objectives_refuse(make, error: type, text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        make()


@pytest.mark.parametrize("method", [DGL(), Backprop(), DGL(Sim()), DGL(InfoPro())])
def test_cross_entropy_over_one_class_is_refused(method) -> None:
    """Its loss is 0 for ever, so that nothing would learn and nobody would know."""
    net = Partition(layers(classes=1), 2, sample=draw(2, 5))
    with pytest.raises(ValueError, match="is cross-entropy and there is 1 score: its"):
        Trainer(net, method, optimizer=sgd)
    with pytest.raises(ValueError, match="is cross-entropy and there is 1 score"):
        Trainer(net, DGL(Pred(nn.CrossEntropyLoss())), optimizer=sgd)


NEED_LABELS = [
    DGL(Sim()),
    DGL(HSIC()),
    DGL(0.5 * PredSim()),
    DGL(Kernel()),
    SyntheticGradients(),
]


@pytest.mark.parametrize("method", NEED_LABELS, ids=lambda m: repr(m)[:60])
def test_what_compares_classes_wants_labels(method) -> None:
    net = Partition(layers(), 2, sample=draw(2, 5))
    one = Trainer(net, method, optimizer=sgd)
    text = "target has dtype torch.float64 and shape .6, 3., but .* compares classes"
    with pytest.raises(ValueError, match=text):
        one.step((draw(6, 5), torch.eye(3)[[0, 1, 2, 0, 1, 2]]))
    assert one.step((draw(6, 5), torch.arange(6) % 3))[-1] > 0


def test_probabilities_are_targets_of_cross_entropy() -> None:
    losses = []
    for target in (torch.arange(6) % 3, torch.eye(3)[[0, 1, 2, 0, 1, 2]]):
        heads = torch.Generator().manual_seed(0)
        net = Partition(layers(), 2, sample=draw(2, 5), generator=heads)
        losses.append(Trainer(net, DGL(), optimizer=sgd).step((draw(6, 5), target)))
    torch.testing.assert_close(*losses, rtol=1e-12, atol=0)
