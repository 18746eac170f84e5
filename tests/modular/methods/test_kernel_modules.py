"""Kernel modules: the claims on digits."""

import re

import pytest
import torch
from torch import nn

from modular import (
    KernelModules,
    LengthNorm,
    Partition,
    Trainer,
    digits,
    few_labels,
)
from modular import transferability as value_of
from modular.tasks import binary_tasks
from tests.modular.nets import adam


def trained(task, generator: torch.Generator) -> Trainer:
    torch.manual_seed(0)
    hidden = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU())
    output = nn.Sequential(LengthNorm(), nn.Linear(64, 10))
    net = Partition([hidden, output], 2, sample=task.x[:1])
    one = Trainer(net, KernelModules(), optimizer=adam, generator=generator)
    one.fit(task.batches(128, generator), epochs=6, phases=[0])
    return one


def test_ten_labels_do_for_the_output_module() -> None:
    generator = torch.Generator().manual_seed(1)
    task = digits(generator)
    one = trained(task, generator)
    before = one.partition.blocks[0].state_dict()
    before = {name: value.clone() for name, value in before.items()}
    ten = few_labels(task.y, 1, generator)
    assert sorted(task.y[ten].tolist()) == list(range(10))
    one.fit([(task.x[ten], task.y[ten])], epochs=100, phases=[1])
    assert one.evaluate(task.test())[-1] > 0.93
    after = one.partition.blocks[0].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_transferability_ranks_a_trained_module_above_an_untrained_one() -> None:
    generator = torch.Generator().manual_seed(1)
    task = digits(generator)
    some = binary_tasks(task, every=9)
    tests = [(t.x_test, t.y_test) for t in some]
    good = trained(task, generator).partition.blocks[0].net
    torch.manual_seed(9)
    poor = nn.Sequential(nn.Linear(64, 64), nn.ReLU())
    assert (value_of(good, tests) > value_of(poor, tests)).all()
    assert good.training, "left as it was"


@pytest.mark.parametrize(
    ("per_class", "error", "text"),
    [
        (3, ValueError, "per_class is 3 but class 1 has 2 samples"),
        (0, ValueError, "per_class is 0: expected at least 1"),
        (1.0, TypeError, "per_class is 1.0: expected an int"),
    ],
)
def test_few_labels_refuses(per_class, error: type, text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        few_labels(torch.tensor([0, 0, 0, 1, 1]), per_class)
