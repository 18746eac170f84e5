import pytest
import torch

import unroll as u
from tests.unroll.networks.cases import DEPTH, disturbed, problem, seeded


def test_parameters_do_not_grow_with_depth():
    A = problem()[0]
    count = [
        sum(p.numel() for p in u.NAALISTA(A, depth, hidden=8).parameters())
        for depth in (2, 20)
    ]
    lstm, mix, read, first = 4 * 8 * (2 + 8 + 2), 8 * 8 + 8, 8 * 2 + 2, 2 * 8
    assert count == [lstm + mix + read + first] * 2


def test_the_same_seed_gives_the_same_network():
    A, b, _ = problem()
    nets = [u.NAALISTA(A, hidden=4, generator=seeded()) for _ in range(2)]
    first, second = (dict(net.named_parameters()) for net in nets)
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = u.NAALISTA(A, hidden=4, generator=seeded().manual_seed(99))
    assert not torch.equal(other.layers[0].mix.weight, first["layers.0.mix.weight"])


def test_each_sample_has_its_own_step_and_threshold():
    """A sample alone and scaled by 3 is not just scaled: the cell sees its size."""
    A, b, _ = problem()
    net = disturbed(u.NAALISTA(A, DEPTH, hidden=4, generator=seeded()), 0.5)
    assert not torch.allclose(net(3 * b), 3 * net(b), atol=1e-2)


def test_refuses_a_cell_without_width():
    with pytest.raises(ValueError, match="hidden is 0: expected at least 1"):
        u.NAALISTA(problem()[0], hidden=0)


def test_the_cell_is_torchs(generator):
    layer = u.NAALISTA(torch.eye(2), 1, hidden=5, generator=generator).layers[0]
    seen, hidden, cell = (
        torch.randn(3, size, generator=generator) for size in (2, 5, 5)
    )
    expected = layer.lstm(seen, (hidden, cell))
    for own, torchs in zip(layer.remember(seen, hidden, cell), expected, strict=True):
        torch.testing.assert_close(own, torchs, rtol=0, atol=1e-14)
