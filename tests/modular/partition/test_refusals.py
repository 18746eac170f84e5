"""Networks that cannot be cut as they are given, and what a cut one can do."""

import pytest
import torch
from torch import Tensor, nn

from modular import (
    DGL,
    Partition,
    Trainer,
)
from tests.modular.nets import batch, distance, layers, sgd, trainer, weights

X, Y = batch()[0].double(), batch()[1]


def made(model: list[nn.Module], method=None, x: Tensor = X, **options) -> Trainer:
    torch.manual_seed(0)
    if "cuts" not in options:
        options.setdefault("modules", 2)
    return Trainer(
        Partition(model, sample=x[:2], **options), method or DGL(), optimizer=sgd
    )


class Size(nn.Module):
    def forward(self, h: Tensor) -> Tensor:
        return h.abs()


class Largest(nn.Module):
    def forward(self, h: Tensor) -> Tensor:
        return h.argmax(dim=1)


def complexes() -> list[nn.Module]:
    torch.manual_seed(0)
    return [nn.Linear(5, 6, dtype=torch.cdouble), nn.Linear(6, 3, dtype=torch.cdouble)]


def test_complex_numbers_are_for_the_inside_of_a_module() -> None:
    x = X.to(torch.cdouble)
    with pytest.raises(
        ValueError, match="the model returns torch.complex128: expected"
    ):
        Partition(complexes(), 2, sample=x)
    model = [*complexes(), Size(), nn.Linear(3, 3)]
    text = "a block ends with states of torch.complex128, from which no head learns"
    with pytest.raises(ValueError, match=text):
        Partition(model, cuts=[1], sample=x)
    one = made(model, x=x, cuts=[3])
    before = weights(one)
    assert one.step((x, Y)).isfinite().all()
    assert distance(before, weights(one)) > 0


def test_a_block_that_ends_with_integers_is_refused() -> None:
    model = [nn.Linear(5, 7), Largest(), nn.Embedding(7, 4), nn.Linear(4, 3)]
    with pytest.raises(ValueError, match="a block ends with states of torch.int64"):
        Partition(model, cuts=[2], sample=X)


@pytest.mark.parametrize("kind", ["one for all", "the model's"])
def test_a_head_that_belongs_to_two_modules_is_refused(kind: str) -> None:
    model = [nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 3)]
    head = nn.Linear(6, 3) if kind == "one for all" else model[2]
    text = r"'head.predict.weight' of block 0 and '.*' of block [12] are the same param"
    with pytest.raises(ValueError, match=text):
        Partition(model, 3, sample=X, head=lambda shape, classes: head)


def test_a_head_is_a_layer() -> None:
    with pytest.raises(TypeError, match="head makes a NoneType: expected a layer"):
        Partition(layers(), 2, sample=X, head=lambda shape, classes: None)


@pytest.mark.parametrize("cuts", [[1.5], ["a"], [None]])
def test_cuts_are_whole_numbers(cuts) -> None:
    with pytest.raises(TypeError, match=r"cuts is \[.*\]: expected whole numbers"):
        Partition(layers(), cuts=cuts, sample=X)
    for given in (torch.tensor([1, 2]), range(1, 3), (1, 2)):
        assert len(Partition(layers(), cuts=given, sample=X)) == 3


def test_a_sample_has_rows_and_layers_take_one_argument() -> None:
    with pytest.raises(ValueError, match="sample has 0 rows: expected one or more"):
        Partition(layers(), 2, sample=X[:0])
    model = [nn.Linear(5, 6), nn.MultiheadAttention(6, 2), nn.Linear(6, 3)]
    text = r"layer 1 \(MultiheadAttention\) does not take shape \(12, 6\).*'key' and"
    with pytest.raises(ValueError, match=text):
        Partition(model, 2, sample=X)


def test_networks_can_be_mapped_and_exported() -> None:
    net = trainer(DGL()).partition.eval()
    with torch.no_grad():
        expected = net(X)
        mapped = torch.func.vmap(lambda row: net(row[None])[0])(X)
        exported = torch.export.export(net, (X,)).module()(X)
    torch.testing.assert_close(mapped, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(exported, expected, rtol=0, atol=1e-12)
