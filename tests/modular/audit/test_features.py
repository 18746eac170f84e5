"""Features: where gradients point, and what a linear eye sees."""

import pytest
import torch
from torch import Tensor, nn

from modular import (
    DGL,
    Backprop,
    Greedy,
    Interlocking,
    Partition,
    Pred,
    Trainer,
    audit,
)
from tests.modular.nets import batch, partition, sgd, trainer


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


@pytest.mark.parametrize("factor", [1e-9, 1e-150, 1e-300])
def test_tiny_gradients_have_a_direction(factor: float) -> None:
    def loss(scores: Tensor, target: Tensor) -> Tensor:
        return factor * nn.functional.cross_entropy(scores, target)

    exact = audit.alignment(trainer(Backprop(Pred(loss))), batch())
    assert (exact - 1).abs().max() < 1e-12
    plain = audit.alignment(trainer(DGL()), batch())
    tiny = audit.alignment(trainer(DGL(Pred(loss))), batch())
    torch.testing.assert_close(tiny, plain, rtol=1e-9, atol=1e-12)


def test_huge_gradients_have_the_same_direction() -> None:
    def loss(scores: Tensor, target: Tensor) -> Tensor:
        return 1e200 * nn.functional.cross_entropy(scores, target)

    plain = audit.alignment(trainer(DGL()), batch())
    huge = audit.alignment(trainer(DGL(Pred(loss))), batch())
    torch.testing.assert_close(huge, plain, rtol=1e-9, atol=1e-12)


def test_so_do_gradients_that_vanish_layer_by_layer() -> None:
    """Three factors of 1e-60 leave 1e-180 of a gradient, whose square is 0."""

    class Faint(nn.Module):
        def forward(self, h: Tensor) -> Tensor:
            return 1e-60 * h

    torch.manual_seed(0)
    model = [nn.Linear(5, 6), Faint(), nn.Linear(6, 6), Faint(), nn.Linear(6, 6)]
    model += [Faint(), nn.Linear(6, 3)]
    net = Partition(model, 4, sample=batch()[0])
    one = Trainer(net, Interlocking(4), optimizer=sgd)
    assert (audit.alignment(one, batch()) - 1).abs().max() < 1e-12


def test_a_gradient_of_zero_has_none() -> None:
    one = trainer(Backprop())
    nn.init.zeros_(one.partition.blocks[-1].net[0][-1].weight)
    found = audit.alignment(one, batch())
    assert found[:-1].isnan().all()


def test_probes_want_labels() -> None:
    x, _ = batch()
    with pytest.raises(ValueError, match="a linear probe compares classes: expected"):
        audit.probe(partition(), [(x, x)], [(x, x)])


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
