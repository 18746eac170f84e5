"""Connections move: their number stays, and what stays is not touched."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from modular.sparse import (
    SET,
    MomentumGrowth,
    RigL,
    SparseLinear,
    importance,
    importance_prune,
    rewire,
    sparse_average,
    sparse_layers,
)
from modular.sparse.topology import Topology

KINDS = [SET, RigL, MomentumGrowth]


def trained(
    kind: type[Topology], share: float, rule: type = torch.optim.Adam
) -> tuple[nn.Module, torch.optim.Optimizer, Topology]:
    """A network after some steps, its optimiser and its topology."""
    g = torch.Generator().manual_seed(0)
    model = nn.Sequential(
        SparseLinear(12, 9, 1.5, g), nn.Tanh(), SparseLinear(9, 4, 1.5, g)
    ).double()
    optimizer = rule(model.parameters(), lr=0.01)
    topology = kind(sparse_layers(model)[:1], share, optimizer)
    x = torch.randn(20, 12, generator=g, dtype=torch.float64)
    for _ in range(3):
        optimizer.zero_grad()
        mse_loss(model(x), x[:, :4]).backward()
        optimizer.step()
    return model, optimizer, topology


def kept_state(
    layer: SparseLinear, optimizer: torch.optim.Optimizer
) -> dict[str, dict[int, float]]:
    """What each connection has, by its place."""
    state = {"values": layer.values, **optimizer.state[layer.values]}
    return {
        name: dict(zip(layer.places.tolist(), value.tolist(), strict=True))
        for name, value in state.items()
        if isinstance(value, Tensor) and value.ndim == 1
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_numbers_stay_and_kept_entries_keep_all_bitwise(
    kind: type[Topology], share: float
) -> None:
    model, optimizer, topology = trained(kind, share)
    layer, last = sparse_layers(model)
    before, count, values = (
        kept_state(layer, optimizer),
        layer.connections,
        layer.values,
    )
    untouched = last.places.clone()
    moved = topology.step()
    after = kept_state(layer, optimizer)
    assert layer.connections == count
    assert layer.values is values
    assert layer.values.grad is None
    assert (layer.places[1:] > layer.places[:-1]).all()
    assert torch.equal(last.places, untouched)
    assert set(before) == {"values", "exp_avg", "exp_avg_sq"}
    stayed = set(before["values"]) & set(after["values"])
    assert len(stayed) == count - moved
    assert 0 < moved <= share * count
    for name in before:
        assert all(before[name][place] == after[name][place] for place in stayed)
        if name != "values" or kind is not SET:
            new = set(after[name]) - stayed
            assert all(after[name][place] == 0 for place in new)
    optimizer.step()  # the state has the shape that the parameter has


@pytest.mark.parametrize("kind", KINDS)
def test_a_share_of_zero_changes_nothing(kind: type[Topology]) -> None:
    model, optimizer, topology = trained(kind, 0.0)
    layer = sparse_layers(model)[0]
    before = kept_state(layer, optimizer)
    assert topology.step() == 0
    assert kept_state(layer, optimizer) == before


def test_set_drops_the_weakest_of_either_sign() -> None:
    layer = SparseLinear(10, 10, epsilon=0.4)
    layer.values.data = torch.tensor([-4.0, 0.1, 3.0, -0.2, 2.0, -3.0, 0.3, -1.0])
    places = layer.places.clone()
    SET([layer], share=0.5).step()
    stayed = torch.isin(places, layer.places)
    assert stayed.tolist() == [True, False, True, False, True, True, False, False]


def test_set_grows_everywhere_alike_but_not_where_something_was() -> None:
    counts = torch.zeros(24)
    g = torch.Generator().manual_seed(0)
    start = SparseLinear(6, 4, epsilon=0.8, generator=g)
    for _ in range(2000):
        layer = SparseLinear(6, 4, epsilon=0.8)
        layer.load_state_dict(start.state_dict())
        SET([layer], share=0.5, generator=g).step()
        counts[layer.places] += 1
    counts[start.places] = torch.nan
    free = counts[~counts.isnan()]
    share = free.sum() / 2000 / len(free)
    spread = (2000 * share * (1 - share)) ** 0.5
    assert (free - 2000 * share).abs().max() < 4 * spread


@pytest.mark.parametrize("rows", [1, 3, 256])
def test_rigl_grows_where_the_dense_gradient_is_largest(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the dense matrix is cut into blocks of rows."""
    monkeypatch.setattr(RigL, "ROWS", rows)
    g = torch.Generator().manual_seed(1)
    layer = SparseLinear(12, 9, 1.5, g).double()
    topology = RigL([layer], share=0.3)
    x = torch.randn(20, 12, generator=g, dtype=torch.float64)
    weight = layer.dense().detach().requires_grad_()
    (x @ weight.t() + layer.bias.detach()).square().sum().backward()
    layer(x).square().sum().backward()
    size = weight.grad.abs().flatten()
    size[layer.places] = -1
    before = set(layer.places.tolist())
    moved = topology.step()
    grown = set(layer.places.tolist()) - before
    assert grown == set(size.topk(moved).indices.tolist())


def test_momentum_growth_follows_the_running_mean() -> None:
    g = torch.Generator().manual_seed(1)
    layer = SparseLinear(12, 9, 1.5, g).double()
    topology = MomentumGrowth([layer], share=0.3, beta=0.6)
    mean = torch.zeros(9, 12, dtype=torch.float64)
    for _ in range(4):
        x = torch.randn(20, 12, generator=g, dtype=torch.float64)
        weight = layer.dense().detach().requires_grad_()
        (x @ weight.t()).sin().sum().backward()
        layer(x).sin().sum().backward()
        mean = 0.6 * mean + 0.4 * weight.grad
    size = mean.abs().flatten()
    size[layer.places] = -1
    before = set(layer.places.tolist())
    moved = topology.step()
    grown = set(layer.places.tolist()) - before
    assert grown == set(size.topk(moved).indices.tolist())
    topology.remove()
    layer(x).sum().backward()
    assert (topology._mean[layer] - mean).abs().max() < 1e-12


@pytest.mark.parametrize("kind", [RigL, MomentumGrowth])
def test_growth_by_gradient_needs_a_gradient(kind: type[Topology]) -> None:
    with pytest.raises(RuntimeError, match=r"loss.backward\(\) before"):
        kind([SparseLinear(9, 9, 2)], share=0.3).step()


def test_a_nearly_dense_layer_moves_what_it_can() -> None:
    layer = SparseLinear(4, 4, epsilon=1.75)  # 14 of 16
    assert SET([layer], share=0.9).step() == 2
    assert layer.connections == 14
    full = SparseLinear(4, 4, epsilon=2)
    assert SET([full], share=0.9).step() == 0


def test_what_topologies_refuse() -> None:
    layer = SparseLinear(9, 9, 2)
    with pytest.raises(ValueError, match="share is 1"):
        SET([layer], share=1)
    with pytest.raises(ValueError, match="layers is empty"):
        SET([], share=0.3)
    with pytest.raises(TypeError, match="a layer is Linear"):
        SET([nn.Linear(2, 2)], share=0.3)
    with pytest.raises(ValueError, match="beta is 1"):
        MomentumGrowth([layer], share=0.3, beta=1)
    stranger = torch.optim.SGD(SparseLinear(9, 9, 2).parameters(), lr=0.1)
    with pytest.raises(ValueError, match="optimizer does not hold the values"):
        SET([layer], 0.3, stranger)
    frozen = SparseLinear(9, 9, 2).requires_grad_(False)
    with pytest.raises(ValueError, match="SparseLinear.* is frozen"):
        SET([frozen], 0.3).step()
    lbfgs = torch.optim.LBFGS([layer.values])
    lbfgs.state[layer.values]["old_dirs"] = [torch.zeros(layer.connections)]
    with pytest.raises(ValueError, match="keeps 'old_dirs' of type list"):
        SET([layer], 0.3, lbfgs).step()
    everything = torch.ones(layer.connections, dtype=torch.bool)
    with pytest.raises(ValueError, match="place 81 is outside: expected 0 to 80"):
        rewire(layer, everything, torch.tensor([81]))
    with pytest.raises(ValueError, match=r"place \d+ is there twice"):
        rewire(layer, everything, layer.places[:1])
    with pytest.raises(ValueError, match=r"kept has shape \(3,\)"):
        rewire(layer, everything[:3], layer.places[:0])
    with pytest.raises(ValueError, match="expected at least one connection"):
        rewire(layer, ~everything, layer.places[:0])


def test_importance_sums_what_comes_in() -> None:
    layer = SparseLinear(12, 9, 1.5).double()
    assert (importance(layer) - layer.dense().abs().sum(1)).abs().max() < 1e-12


def test_pruned_neurons_are_the_least_and_leave_the_others_alone() -> None:
    model, optimizer, _ = trained(SET, 0.3)
    first, last = sparse_layers(model)
    weight = importance(first)
    before = {id(f): kept_state(f, optimizer) for f in (first, last)}
    dense = first.dense().detach(), last.dense().detach()
    gone = weight.argsort()[:3]
    assert importance_prune([first, last], 0.34, optimizer) == [3]
    expected = dense[0].clone(), dense[1].clone()
    expected[0][gone], expected[1][:, gone] = 0, 0
    assert torch.equal(first.dense(), expected[0])
    assert torch.equal(last.dense(), expected[1])
    assert not first.bias[gone].any()
    for f in (first, last):
        after = kept_state(f, optimizer)
        for name in after:
            old = before[id(f)][name]
            assert all(old[place] == v for place, v in after[name].items())
    x = torch.randn(4, 12, dtype=torch.float64)
    mse_loss(model(x), x[:, :4]).backward()
    optimizer.step()
    assert importance_prune([first, last], 0.34, optimizer) == [2]  # of six


def test_pruning_refuses_what_is_no_chain() -> None:
    with pytest.raises(ValueError, match="layer 0 has 9 outputs and layer 1 takes 8"):
        importance_prune([SparseLinear(9, 9, 2), SparseLinear(8, 3, 2)], 0.2)
    with pytest.raises(ValueError, match="share is 1.0"):
        importance_prune([SparseLinear(9, 9, 2)], 1.0)


def test_the_mean_is_of_the_union_and_keeps_the_largest() -> None:
    g = torch.Generator().manual_seed(0)
    layers = [SparseLinear(12, 9, 1.5, g).double() for _ in range(4)]
    mean = sparse_average(layers)
    exact = torch.stack([layer.dense() for layer in layers]).mean(0)
    assert mean.connections == layers[0].connections
    size = exact.abs().flatten()
    largest = size.topk(mean.connections).values.min()
    assert (size[mean.places] >= largest).all()
    assert (mean.values - exact.flatten()[mean.places]).abs().max() < 1e-15
    same = sparse_average([layers[0]] * 4)
    assert torch.equal(same.dense(), layers[0].dense())
    assert torch.equal(same.bias, layers[0].bias)
    with pytest.raises(ValueError, match="a layer has 8 inputs and 9 outputs"):
        sparse_average([layers[0], SparseLinear(8, 9, 2)])
    with pytest.raises(ValueError, match="layers is empty"):
        sparse_average([])
