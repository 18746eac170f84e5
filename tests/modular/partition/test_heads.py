"""Heads: for features of any shape, drawn from the generator."""

import pytest
import torch

from modular import Partition
from modular.partition import linear_head, mlp_head
from tests.modular.nets import layers


@pytest.mark.parametrize("make", [linear_head, mlp_head])
@pytest.mark.parametrize("shape", [(7,), (4, 6, 6), (4, 9)])
def test_heads_take_flat_features_images_and_sequences(make, shape) -> None:
    scores = make(torch.Size(shape), 3)(torch.randn(5, *shape))
    assert scores.shape == (5, 3)


def test_heads_are_drawn_from_the_generator() -> None:
    x = torch.zeros(2, 5)
    stages = layers()
    made = [
        Partition(stages, 2, sample=x, generator=torch.Generator().manual_seed(s))
        for s in (0, 0, 1)
    ]
    heads = [p.blocks[0].head.predict[0].weight for p in made]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    bound = 1 / 6**0.5
    assert heads[0].abs().max() <= bound
