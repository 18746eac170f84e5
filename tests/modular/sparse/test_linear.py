"""A sparse layer is the dense one with zeros, in both directions."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from modular.sparse import AllReLU, SparseLinear, erdos_renyi, sparse_layers
from modular.sparse.pattern import draw


def made(
    seed: int = 0, dtype: torch.dtype = torch.float64, epsilon: float = 1.5
) -> SparseLinear:
    g = torch.Generator().manual_seed(seed)
    return SparseLinear(13, 7, epsilon, generator=g).to(dtype)


def twin(layer: SparseLinear) -> nn.Linear:
    """The dense layer with the same matrix."""
    dense = nn.Linear(layer.in_features, layer.out_features, dtype=layer.values.dtype)
    dense.weight.data, dense.bias.data = layer.dense().detach(), layer.bias.data.clone()
    return dense


@pytest.mark.parametrize("epsilon", [1.5, 0.4])  # with 0.4 some rows are empty
@pytest.mark.parametrize("batch", [1, 5, 131])
@pytest.mark.parametrize(
    ("dtype", "tol"), [(torch.float64, 1e-12), (torch.float32, 1e-5)]
)
def test_forward_and_gradients_equal_the_masked_dense_layer(
    dtype: torch.dtype, tol: float, batch: int, epsilon: float
) -> None:
    g = torch.Generator().manual_seed(3)
    layer = made(dtype=dtype, epsilon=epsilon)
    dense = twin(layer)
    x = torch.randn(batch, 13, generator=g, dtype=dtype, requires_grad=True)
    z = x.detach().clone().requires_grad_()
    weight = torch.randn(batch, 7, generator=g, dtype=dtype)
    y, w = layer(x), dense(z)
    assert (y - w).abs().max() < tol
    (y * weight).sum().backward()
    (w * weight).sum().backward()
    assert (x.grad - z.grad).abs().max() < 10 * tol
    there = dense.weight.grad.flatten()[layer.places]
    assert (layer.values.grad - there).abs().max() < 10 * tol
    assert (layer.bias.grad - dense.bias.grad).abs().max() < 10 * tol


def test_gradients_pass_gradcheck() -> None:
    layer = made()
    x = torch.randn(3, 13, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)


def test_second_derivatives_are_refused() -> None:
    x = torch.randn(3, 13, dtype=torch.float64, requires_grad=True)
    (dx,) = torch.autograd.grad(made()(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        dx.sum().backward()


@settings(deadline=None, max_examples=50)
@given(
    rows=st.integers(1, 30),
    columns=st.integers(1, 30),
    epsilon=st.floats(0.6, 40),
    seed=st.integers(0, 99),
)
def test_places_are_increasing_inside_and_as_many_as_said(
    rows: int, columns: int, epsilon: float, seed: int
) -> None:
    g = torch.Generator().manual_seed(seed)
    places = erdos_renyi(epsilon, rows, columns, g)
    assert len(places) == min(round(epsilon * (rows + columns)), rows * columns)
    assert (places[1:] > places[:-1]).all()
    assert places[0] >= 0
    assert places[-1] < rows * columns


@pytest.mark.parametrize(("wanted", "size"), [(2, 9), (5, 6)])
def test_every_place_is_drawn_equally_often(wanted: int, size: int) -> None:
    """Few of many are drawn one after the other, many of few from a list."""
    g = torch.Generator().manual_seed(0)
    counts = torch.zeros(size)
    for _ in range(3000):
        counts[draw(wanted, size, g)] += 1
    share = wanted / size
    spread = (3000 * share * (1 - share)) ** 0.5
    assert (counts - 3000 * share).abs().max() < 4 * spread


def test_a_matrix_too_large_to_be_listed_is_drawn() -> None:
    places = erdos_renyi(0.001, 10**6, 10**6, torch.Generator().manual_seed(0))
    assert len(places) == 2000
    assert places[-1] > 10**11


def test_state_copies_and_pickles() -> None:
    layer, x = made(0), torch.randn(4, 13, dtype=torch.float64)
    y = layer(x)
    other = made(1)
    other(x)  # has products of its own places
    other.load_state_dict(layer.state_dict())
    smaller = SparseLinear(13, 7, epsilon=0.5).double()
    smaller.load_state_dict(layer.state_dict())
    for twin_of in (
        other,
        smaller,
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
    ):
        assert torch.equal(twin_of(x), y)


def test_a_checkpoint_of_other_sizes_is_refused() -> None:
    """Its places would stand elsewhere, without a word."""
    other = SparseLinear(14, 7, epsilon=1.5).double()
    with pytest.raises(ValueError, match=r"size is \[7, 13\]: expected \[7, 14\]"):
        other.load_state_dict(made().state_dict())


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"x has dtype torch.float32: expected torch"):
        made()(torch.ones(4, 13, dtype=torch.float32))
    with pytest.raises(ValueError, match=r"x has shape \(4, 12\).*\(batch, 13\)"):
        made()(torch.ones(4, 12, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"epsilon is 0.01, which gives 0 connections"):
        SparseLinear(13, 7, epsilon=0.01)
    with pytest.raises(TypeError, match=r"in_features is 13.0: expected an int"):
        SparseLinear(13.0, 7)
    with pytest.raises(ValueError, match="has no SparseLinear"):
        sparse_layers(nn.Linear(2, 2))


def test_a_connection_holds_twentyfour_bytes_of_indices() -> None:
    layer = SparseLinear(1000, 500, epsilon=4)
    p = layer.pattern
    held = [p.places, p.row, p.column, p.starts, *p.transposed]
    assert sum(i.nbytes for i in held) == 24 * layer.connections + 4 * (1001 + 501)


def test_only_the_input_and_the_values_are_kept_for_backward() -> None:
    layer, kept = made(), []
    x = torch.randn(5, 13, dtype=torch.float64).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t.numel()) or t, lambda t: t
    ):
        layer(x)
    assert sorted(kept) == sorted([x.numel(), layer.connections])


def test_all_relu_alternates_and_its_gradient_is_its_slope() -> None:
    z = torch.tensor([-2.0, -1e-9, 3.0], dtype=torch.float64, requires_grad=True)
    for layer, slope in [(0, -0.6), (1, 0.6), (2, -0.6)]:
        f = AllReLU(0.6, layer)
        assert torch.equal(f(z), torch.where(z > 0, z, slope * z))
        (gradient,) = torch.autograd.grad(f(z).sum(), z)
        assert gradient.tolist() == [slope, slope, 1.0]
    with pytest.raises(ValueError, match="alpha is -0.6"):
        AllReLU(-0.6, 0)
