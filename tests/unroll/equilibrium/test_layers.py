"""Layers that promise one fixed point keep the promise, in float64."""

import pytest
import torch

from unroll.equilibrium import Anderson, ContractiveLayer, MonotoneLayer

n, d = 6, 3


def layers(kind, seed: int, **options):
    """Return a layer whose parameters have wandered far, in float64."""
    generator = torch.Generator().manual_seed(seed)
    layer = kind(n, d, generator=generator, **options).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(4)
    return layer, generator


@pytest.mark.parametrize("seed", range(5))
def test_the_contractive_layer_contracts(seed: int) -> None:
    layer, generator = layers(ContractiveLayer, seed, bound=0.8)
    assert torch.linalg.matrix_norm(layer.V, ord=2) > 1
    z, y = torch.randn(2, 100, n, generator=generator, dtype=torch.float64)
    x = torch.randn(100, d, generator=generator, dtype=torch.float64)
    ratio = (layer(z, x) - layer(y, x)).norm(dim=1) / (z - y).norm(dim=1)
    assert ratio.max() <= 0.8 + 1e-12
    norm = torch.linalg.matrix_norm(layer.W, ord=2).item()
    assert norm == pytest.approx(0.8, abs=1e-12)


def test_a_small_matrix_is_left_alone() -> None:
    layer = ContractiveLayer(n, d)
    with torch.no_grad():
        layer.V.mul_(0.1 / torch.linalg.matrix_norm(layer.V, ord=2))
    assert torch.equal(layer.W, layer.V)


@pytest.mark.parametrize("seed", range(5))
def test_the_monotone_layer_is_monotone_and_contracts(seed: int) -> None:
    layer, generator = layers(MonotoneLayer, seed, margin=0.3)
    gap = torch.eye(n, dtype=torch.float64) - layer.W
    least = torch.linalg.eigvalsh((gap + gap.T) / 2)[0]
    assert least >= 0.3 - 1e-12
    z, y = torch.randn(2, 200, n, generator=generator, dtype=torch.float64)
    x = torch.randn(200, d, generator=generator, dtype=torch.float64)
    ratio = (layer(z, x) - layer(y, x)).norm(dim=1) / (z - y).norm(dim=1)
    factor = (1 - (0.3 / torch.linalg.matrix_norm(gap, ord=2)) ** 2).sqrt()
    assert ratio.max() <= factor + 1e-12


def test_its_fixed_point_solves_the_equation_without_the_step() -> None:
    layer, generator = layers(MonotoneLayer, 0, margin=2.0)
    x = torch.randn(5, d, generator=generator, dtype=torch.float64)
    solver = Anderson(10, tol=1e-14)
    found = solver(lambda z: layer(z, x), torch.zeros(5, n, dtype=torch.float64))
    z = found.z
    expected = torch.relu(z @ layer.W.T + x @ layer.U.T + layer.c)
    torch.testing.assert_close(z, expected, rtol=0, atol=1e-9)
    assert torch.linalg.matrix_norm(layer.W, ord=2) > 1  # no contraction by itself


def test_refuses_by_name() -> None:
    with pytest.raises(ValueError, match="bound is 1: expected 0 < bound < 1"):
        ContractiveLayer(2, 2, bound=1)
    with pytest.raises(ValueError, match="states is 0"):
        ContractiveLayer(0, 2)
    with pytest.raises(TypeError, match=r"inputs is 2\.0"):
        MonotoneLayer(2, 2.0)
    with pytest.raises(ValueError, match="margin is 0"):
        MonotoneLayer(2, 2, margin=0)
