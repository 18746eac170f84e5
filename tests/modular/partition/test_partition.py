"""Cutting: balanced, the same network, and nothing shared across a cut."""

import re

import pytest
import torch
from torch import nn

from modular import Partition
from tests.modular.nets import layers


def test_the_whole_is_the_model_and_shares_its_weights() -> None:
    model = nn.Sequential(*layers())
    x = torch.randn(4, 5)
    partition = Partition(model, 3, sample=x)
    assert partition.whole() is model
    assert torch.equal(partition(x), model(x))
    *_, (block, last) = partition.states(x)
    assert torch.equal(last, model(x))
    assert block is partition.blocks[-1]
    with torch.no_grad():
        partition.blocks[0].net[0][0].weight.zero_()
    assert not model[0][0].weight.any()


def test_a_list_of_stages_will_do() -> None:
    stages = layers()
    partition = Partition(stages, cuts=[1, 3], sample=torch.randn(2, 5))
    assert [len(block.net) for block in partition.blocks] == [1, 2, 1]
    assert list(partition.whole()) == stages
    assert len(partition) == 3


@pytest.mark.parametrize(
    ("balance", "sizes"), [("parameters", [5, 1]), ("flops", [4, 2]), ("bytes", [3, 3])]
)
def test_what_is_balanced(balance: str, sizes: list[int]) -> None:
    model = nn.Sequential(  # parameters, FLOPs, saved bytes of float64
        nn.Conv2d(1, 2, 3, padding=1),  # 20, 2304, 512
        nn.Flatten(),
        nn.ReLU(),  # 0, 0, 1024
        nn.ReLU(),  # 0, 0, 1024
        nn.Linear(128, 6),  # 774, 1536, 1024
        nn.Linear(6, 64),  # 448, 768, 48
    )
    partition = Partition(model, 2, sample=torch.zeros(2, 1, 8, 8), balance=balance)
    assert [len(block.net) for block in partition.blocks] == sizes


def test_costs_are_counted() -> None:
    x = torch.zeros(2, 5)
    cost = Partition(layers(2), 2, sample=x, head="mlp").cost()
    assert cost.parameters.tolist() == [5 * 6 + 6, 6 * 6 + 6 + 6 * 3 + 3]
    assert cost.flops.tolist() == [2 * 5 * 6, 2 * 6 * 6 + 2 * 6 * 3]
    assert cost.head_parameters.tolist() == [6 * 6 + 6 + 6 * 3 + 3, 0]
    assert cost.head_flops.tolist() == [2 * 6 * 6 + 2 * 6 * 3, 0]


def test_making_a_partition_leaves_statistics_and_modes_alone() -> None:
    stages = layers(norm=True)
    stages[1].eval()
    before = stages[0][1].running_mean.clone()
    Partition(stages, 2, sample=torch.randn(8, 5), balance="bytes")
    assert torch.equal(stages[0][1].running_mean, before)
    assert stages[0].training
    assert not stages[1].training


def test_a_partition_keeps_one_row_of_the_sample_not_all() -> None:
    for block in Partition(layers(), 2, sample=torch.randn(100, 5)).blocks:
        for row in (block.like, block.out):
            assert row.untyped_storage().nbytes() == row.nbytes


def test_state_dicts_are_ordinary(tmp_path) -> None:
    one, other = (Partition(layers(), 2, sample=torch.zeros(1, 5)) for _ in range(2))
    torch.save(one.state_dict(), tmp_path / "net.pt")
    other.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    x = torch.randn(3, 5)
    assert torch.equal(
        one.blocks[0].head(one.blocks[0](x)), other.blocks[0].head(other.blocks[0](x))
    )
    assert not any(name.startswith("_model") for name in one.state_dict())
    weights = {name for name, _ in one.named_parameters()}
    assert set(one.state_dict()) == weights, "the sample is not saved with the weights"


shared = nn.Linear(6, 6)
norm = nn.BatchNorm1d(6, affine=False)
tied = nn.Linear(6, 6)
tied.weight = shared.weight


@pytest.mark.parametrize(
    ("model", "options", "error", "text"),
    [
        (
            layers(),
            {"modules": 5},
            ValueError,
            "modules is 5 but the model has 4 layers",
        ),
        (layers(), {"modules": 0}, ValueError, "modules is 0: expected at least 1"),
        (layers(), {"modules": "2"}, TypeError, "modules is '2': expected an int"),
        (
            layers(),
            {},
            ValueError,
            "modules is None and cuts is None: expected exactly",
        ),
        (
            layers(),
            {"cuts": [2, 2]},
            ValueError,
            r"cuts is \[2, 2\]: expected increasing",
        ),
        (layers(), {"cuts": [4]}, ValueError, r"cuts is \[4\]: .* from 1 to 3"),
        (
            nn.Linear(5, 3),
            {"modules": 1},
            TypeError,
            "model is a Linear: expected an nn",
        ),
        (
            layers(),
            {"modules": 2, "head": "big"},
            ValueError,
            "head is 'big': .*linear",
        ),
        (
            layers(),
            {"modules": 2, "balance": "x"},
            ValueError,
            "balance is 'x': .*flops",
        ),
        (
            [nn.Linear(5, 6), shared, nn.ReLU(), shared],
            {"cuts": [2]},
            ValueError,
            "layers '1.weight' .block 0. and '3.weight' .block 1. are the same param",
        ),
        (
            [nn.Linear(5, 6), shared, tied],
            {"cuts": [2]},
            ValueError,
            "'2.weight' .block 1. are the same parameter",
        ),
        (
            [nn.Linear(5, 6), norm, nn.Linear(6, 6), norm],
            {"cuts": [2]},
            ValueError,
            "layers '1' .block 0. and '3' .block 1. are the same BatchNorm1d layer",
        ),
        (
            [nn.Linear(5, 6), nn.Identity(), nn.ReLU(inplace=True)],
            {"cuts": [2]},
            ValueError,
            r"layer 2 starts a block with ReLU\(inplace=True\): it would overwrite",
        ),
        (
            [nn.Unflatten(1, (5, 1, 1))],
            {"modules": 1},
            ValueError,
            r"returns shape \(2, 5, 1, 1\) for 2 rows: expected scores",
        ),
        (
            [nn.Unflatten(1, (5, 1)), nn.Flatten(0)],
            {"modules": 1},
            ValueError,
            r"returns shape \(10,\)",
        ),
    ],
)
def test_partitions_refuse(model, options: dict, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        Partition(model, sample=torch.zeros(2, 5).float(), **options)


def test_ties_inside_a_block_are_fine() -> None:
    model = [nn.Linear(5, 6), shared, nn.ReLU(inplace=True), shared, nn.Linear(6, 3)]
    model = [layer.float() for layer in model]
    assert len(Partition(model, cuts=[1], sample=torch.zeros(2, 5).float())) == 2


@pytest.mark.parametrize(
    ("x", "y", "error", "text"),
    [
        (
            torch.zeros(2, 4),
            [0, 1],
            ValueError,
            "x has shape (2, 4): expected (batch, 5)",
        ),
        (
            torch.zeros(0, 5),
            [],
            ValueError,
            "x has 0 rows: expected a batch of at least",
        ),
        (
            torch.zeros(2, 5),
            [0, 3],
            ValueError,
            "contains the label 3: expected 0 to 2",
        ),
        (
            torch.zeros(2, 5),
            [-1, 0],
            ValueError,
            "contains the label -1: expected",
        ),
        (torch.zeros(2, 5), [0], ValueError, "target has 1 rows but x has 2"),
        (torch.zeros(2, 5).half(), [0, 1], TypeError, "x has dtype torch.float16 but"),
        (
            torch.full((2, 5), float("nan")),
            [0, 1],
            ValueError,
            "x[0, 0] is nan: expected",
        ),
        ([[0.0]], [0], TypeError, "x is of type list: expected a torch.Tensor"),
    ],
)
def test_batches_are_refused_at_the_door(x, y, error: type, text: str) -> None:
    partition = Partition(layers(), 2, sample=torch.zeros(1, 5)).float()
    with pytest.raises(error, match=re.escape(text)):
        partition.check_batch(x, torch.tensor(y, dtype=torch.int64))


def test_labels_must_be_int64() -> None:
    partition = Partition(layers(), 2, sample=torch.zeros(1, 5))
    with pytest.raises(ValueError, match="target has dtype torch.int32 and shape"):
        partition.check_batch(torch.zeros(2, 5), torch.zeros(2, dtype=torch.int32))
