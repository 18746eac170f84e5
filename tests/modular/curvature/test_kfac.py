"""K-FAC: the factors are the Fisher block where they must be, the step is its solve."""

import copy

import pytest
import torch
from torch import nn

from modular.curvature import KFAC, Eigen, PiSplit
from modular.curvature.layers import factor_of_gradients, factor_of_inputs


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def sgd(model: nn.Module, lr: float = 0.1) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr)


def backward(model: nn.Module, x: torch.Tensor, c: torch.Tensor) -> None:
    """Give sample ``n`` the gradient ``c[n]`` by the output, of a mean loss."""
    model.zero_grad()
    (model(x) * c).flatten(1).sum(dim=1).mean().backward()


def vector(layer: nn.Module) -> torch.Tensor:
    columns = [layer.weight.grad.flatten(1), layer.bias.grad[:, None]]
    return torch.cat(columns, dim=1).flatten()


def test_factors_are_the_fisher_block_where_inputs_and_gradients_are_independent():
    a, c = draw(6, 3), draw(5, 2, seed=1)
    pairs = torch.cartesian_prod(torch.arange(6), torch.arange(5))  # every with every
    layer = nn.Linear(3, 2).double()
    kfac = KFAC(layer, sgd(layer), clip=None)
    backward(layer, a[pairs[:, 0]], c[pairs[:, 1]])
    kfac.step()
    A, G = kfac.factors[""]
    rows = []
    for i, j in pairs:
        backward(layer, a[i][None], c[j][None])
        rows.append(vector(layer))
        kfac._inputs.clear()
    fisher = torch.stack(rows).T @ torch.stack(rows) / len(rows)
    torch.testing.assert_close(torch.kron(G, A), fisher, rtol=0, atol=1e-12)


@pytest.mark.parametrize("damping", [1e-3, 1.0])
def test_eigen_divides_by_the_damped_product(damping: float) -> None:
    layer = nn.Linear(4, 3).double()
    kfac = KFAC(layer, sgd(layer), clip=None, solve=Eigen(damping))
    backward(layer, draw(20, 4), draw(20, 3, seed=1))
    before = vector(layer)
    kfac.step()
    A, G = kfac.factors[""]
    dense = torch.kron(G, A) + damping * torch.eye(15).double()
    expected = torch.linalg.solve(dense, before)
    torch.testing.assert_close(vector(layer), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("damping", [1e-3, 1.0])
def test_pi_split_divides_by_the_product_of_damped_factors(damping: float) -> None:
    layer = nn.Linear(4, 3).double()
    kfac = KFAC(layer, sgd(layer), clip=None, solve=PiSplit(damping))
    backward(layer, draw(20, 4), draw(20, 3, seed=1))
    before = vector(layer)
    kfac.step()
    A, G = kfac.factors[""]
    pi = ((A.trace() / 5) / (G.trace() / 3)).sqrt()
    A = A + pi * damping**0.5 * torch.eye(5).double()
    G = G + damping**0.5 / pi * torch.eye(3).double()
    expected = torch.linalg.solve(torch.kron(G, A), before)
    torch.testing.assert_close(vector(layer), expected, rtol=1e-10, atol=1e-12)


def test_the_two_solves_are_not_the_same_and_meet_without_damping() -> None:
    A, G = (M @ M.T + torch.eye(len(M)) for M in (draw(4, 4), draw(3, 3, seed=1)))
    W = draw(3, 4, seed=2)

    def apart(damping: float) -> float:
        one, two = (
            kind(damping).divide(W, kind(damping).prepare(A, G))
            for kind in (Eigen, PiSplit)
        )
        return ((one - two).norm() / one.norm()).item()

    assert apart(1.0) > 1e-2
    assert apart(1e-14) < 1e-6


def test_a_convolution_is_a_linear_layer_on_its_patches() -> None:
    conv = nn.Conv2d(2, 3, 3, stride=2, padding=1, dilation=1).double()
    x = draw(4, 2, 7, 6)
    c = draw(*conv(x).shape, seed=1)
    g = c / len(x)  # of a mean loss
    A, G = factor_of_inputs(conv, x), factor_of_gradients(conv, g)
    padded = nn.functional.pad(x, (1, 1, 1, 1))
    inputs, gradients = [], []
    for n in range(4):
        for i in range(c.shape[2]):
            for j in range(c.shape[3]):
                cut = padded[n, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
                inputs.append(torch.cat([cut.flatten(), torch.ones(1)]))
                gradients.append(c[n, :, i, j])
    a, d = torch.stack(inputs), torch.stack(gradients)
    torch.testing.assert_close(A, a.T @ a / len(a), rtol=0, atol=1e-12)
    torch.testing.assert_close(G, d.T @ d / 4, rtol=0, atol=1e-12)


def test_a_convolution_of_one_pixel_is_a_linear_layer() -> None:
    linear, conv = nn.Linear(3, 2).double(), nn.Conv2d(3, 2, 1).double()
    conv.weight.data = linear.weight.data[:, :, None, None].clone()
    conv.bias.data = linear.bias.data.clone()
    x, c = draw(8, 3), draw(8, 2, seed=1)
    for layer, shape in ((linear, ()), (conv, (1, 1))):
        kfac = KFAC(layer, sgd(layer))
        backward(layer, x.view(8, 3, *shape), c.view(8, 2, *shape))
        kfac.step()
    torch.testing.assert_close(vector(conv), vector(linear), rtol=0, atol=1e-13)


def test_sequences_are_samples_with_places() -> None:
    layer = nn.Linear(3, 2).double()
    x, g = draw(4, 5, 3), draw(4, 5, 2, seed=1)
    a = torch.cat([x.flatten(0, 1), torch.ones(20, 1)], dim=1).double()
    torch.testing.assert_close(factor_of_inputs(layer, x), a.T @ a / 20)
    d = 4 * g.flatten(0, 1)
    torch.testing.assert_close(factor_of_gradients(layer, g), d.T @ d / 4)


@pytest.mark.parametrize("solve", [Eigen(0.1), PiSplit(0.1)])
@pytest.mark.parametrize("padding", [None, 2])
@pytest.mark.parametrize("shape", [(9,), (3, 4)])
def test_an_embedding_is_a_linear_layer_on_unit_vectors(shape, padding, solve) -> None:
    table = nn.Embedding(5, 3, padding_idx=padding).double()
    linear = nn.Linear(5, 3, bias=False).double()
    linear.weight.data = table.weight.data.T.clone()
    generator = torch.Generator().manual_seed(3)
    x = torch.randint(5, shape, generator=generator)
    units = nn.functional.one_hot(x, 5).double()
    if padding is not None:
        units[x == padding] = 0.0
    c = draw(*shape, 3, seed=1)
    kfacs = []
    for layer, inputs in ((table, x), (linear, units)):
        kfacs.append(KFAC(layer, sgd(layer), clip=None, solve=solve))
        backward(layer, inputs, c)
        kfacs[-1].step()
    (d, G), (A, G_linear) = (kfac.factors[""] for kfac in kfacs)
    torch.testing.assert_close(d.diag(), A, rtol=0, atol=1e-14)
    torch.testing.assert_close(G, G_linear, rtol=0, atol=1e-14)
    expected = linear.weight.grad.T
    torch.testing.assert_close(table.weight.grad, expected, rtol=0, atol=1e-12)


def test_factors_of_a_random_net_are_those_of_gradients_taken_one_by_one() -> None:
    """An independent Fisher: autograd sample by sample, no hook."""
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(32, 4)
    ).double()
    x, y = draw(6, 1, 4, 4), torch.arange(6) % 4
    kfac = KFAC(model, sgd(model), clip=None)
    model.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    kfac.step()
    model.eval()  # K-FAC looks away
    a, g, places = [], [], []
    for row, label in zip(x, y, strict=True):
        hidden = model[:3](row[None])
        out = model[3](hidden)
        loss = nn.functional.cross_entropy(out, label[None])
        maps = model[0](row[None]).detach().requires_grad_()
        through = nn.functional.cross_entropy(model[1:](maps), label[None])
        places.append(torch.autograd.grad(through, maps)[0][0].flatten(1))
        g.append(torch.autograd.grad(loss, out)[0][0])
        a.append(torch.cat([hidden[0], torch.ones(1)]))
    A, G = kfac.factors["3"]
    a, g = torch.stack(a).detach(), torch.stack(g)
    torch.testing.assert_close(A, a.T @ a / 6, rtol=0, atol=1e-12)
    torch.testing.assert_close(G, g.T @ g / 6, rtol=0, atol=1e-12)
    mean = sum(p @ p.T for p in places) / 6
    torch.testing.assert_close(kfac.factors["0"][1], mean, rtol=0, atol=1e-12)


def net() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Linear(3, 5), nn.ReLU(inplace=True), nn.Linear(5, 2, bias=False)
    return nn.Sequential(*layers).double()


def test_averages_start_at_the_first_and_hold_no_damping() -> None:
    model = net()
    kfac = KFAC(model, sgd(model), decay=0.9, solve=Eigen(10.0))
    x, c = draw(8, 3), draw(8, 2, seed=1)
    seen = []
    for _ in range(3):  # the weights do not move: the same factors come again
        backward(model, x, c)
        kfac.step()
        seen.append(copy.deepcopy(kfac.factors))
    for name in kfac.layers:
        for first, last in zip(seen[0][name], seen[2][name], strict=True):
            torch.testing.assert_close(first, last, rtol=0, atol=1e-14)
    backward(model, 2 * x, c)
    kfac.step()
    A, _ = seen[0]["0"]
    new = factor_of_inputs(model[0], 2 * x)
    torch.testing.assert_close(kfac.factors["0"][0], 0.9 * A + 0.1 * new)


def test_the_step_is_shortened_to_its_length_in_the_curvature() -> None:
    moves = {}
    for clip in (None, 1e-3):
        model = net()
        kfac = KFAC(model, sgd(model, 0.5), clip=clip)
        backward(model, draw(8, 3), draw(8, 2, seed=1))
        W = [p.grad.clone() for p in model.parameters()]
        kfac.step()
        moves[clip] = [p.grad for p in model.parameters()]
    total = sum(0.25 * (w * p).sum() for w, p in zip(W, moves[None], strict=True))
    nu = (1e-3 / total) ** 0.5
    assert nu < 1
    for free, short in zip(moves[None], moves[1e-3], strict=True):
        torch.testing.assert_close(short, nu * free, rtol=1e-12, atol=0)


def test_inverses_are_kept_for_a_period() -> None:
    model = net()
    kfac = KFAC(model, sgd(model), period=2)
    kept = []
    for step in range(3):
        backward(model, draw(8, 3, seed=step), draw(8, 2, seed=step + 9))
        kfac.step()
        kept.append(kfac.prepared["0"][0])
    assert kept[1] is kept[0] and not torch.equal(kept[2], kept[0])


def run(model: nn.Module, kfac: KFAC, optimizer, steps: range) -> None:
    for step in steps:
        x = draw(8, 3, seed=step)
        model.zero_grad()
        (model(x) - x[:, :2].sin()).square().mean().backward()
        kfac.step()
        optimizer.step()


def test_it_goes_on_exactly() -> None:
    whole = net()
    optimizer = sgd(whole)
    kfac = KFAC(whole, optimizer, period=3)
    run(whole, kfac, optimizer, range(4))
    state = copy.deepcopy((whole.state_dict(), kfac.state_dict()))
    run(whole, kfac, optimizer, range(4, 8))
    again = net()
    again.load_state_dict(state[0])
    optimizer = sgd(again)
    kfac = KFAC(again, optimizer, period=3)
    kfac.load_state_dict(state[1])
    run(again, kfac, optimizer, range(4, 8))
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_it_is_newtons_method_on_a_linear_layer_with_whitened_outputs() -> None:
    """With ``G`` the identity and no damping, one step solves least squares."""
    layer = nn.Linear(3, 1).double()
    x = draw(50, 3)
    y = x @ draw(3, 1, seed=1) + 0.5
    kfac = KFAC(layer, sgd(layer, 1.0), clip=None, solve=Eigen(1e-13))
    layer.zero_grad()
    (layer(x) - y).square().mean().div(2).backward()
    kfac._fresh[""] = kfac._fresh[""][0], torch.eye(1).double()
    kfac.step()
    sgd(layer, 1.0).step()
    torch.testing.assert_close(layer(x), y, rtol=0, atol=1e-9)


def test_evaluation_and_other_layers_are_left_alone() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2)).double()
    kfac = KFAC(model, sgd(model))
    assert list(kfac.layers) == ["0", "2"]
    with torch.no_grad():
        model(draw(5, 3))
    model.eval()
    model(draw(5, 3))
    model.train()
    backward(model, draw(8, 3), draw(8, 2, seed=1))
    before = model[1].weight.grad.clone()
    kfac.step()
    assert torch.equal(model[1].weight.grad, before)


def test_factors_of_drawn_labels_stand_under_the_gradient_of_the_loss() -> None:
    model = net()
    kfac = KFAC(model, sgd(model), clip=None, solve=Eigen(0.1))
    x, drawn, true = draw(8, 3), draw(8, 2, seed=1), draw(8, 2, seed=2)
    backward(model, x, drawn)
    model.eval()
    backward(model, x, true)  # sets gradients to None first
    W = model[2].weight.grad.clone()
    kfac.step()
    A, G = kfac.factors["2"]
    torch.testing.assert_close(G, drawn.T @ drawn / 8, rtol=0, atol=1e-12)
    dense = torch.kron(G, A) + 0.1 * torch.eye(10).double()
    expected = torch.linalg.solve(dense, W.flatten()).view(2, 5)
    torch.testing.assert_close(model[2].weight.grad, expected, rtol=1e-10, atol=0)


def test_what_it_cannot_do_is_refused() -> None:
    layer = nn.Linear(3, 2).double()
    kfac = KFAC(layer, sgd(layer))
    with pytest.raises(RuntimeError, match="layer '' has seen no backward pass"):
        kfac.step()
    layer(draw(4, 3))
    with pytest.raises(RuntimeError, match="the layer ran twice since the last step"):
        layer(draw(4, 3))
    wild = nn.Linear(3, 2).double()
    kfac = KFAC(wild, sgd(wild))
    backward(wild, draw(4, 3) * float("inf"), draw(4, 2))
    with pytest.raises(FloatingPointError, match="layer '' is not finite at step 0"):
        kfac.step()
    with pytest.raises(ValueError, match="0 has groups=2"):
        convs = nn.Sequential(nn.Conv2d(2, 2, 3, groups=2))
        KFAC(convs, sgd(convs))
    with pytest.raises(ValueError, match="0 has sparse=True, max_norm=None"):
        tables = nn.Sequential(nn.Embedding(4, 2, sparse=True))
        KFAC(tables, sgd(tables))
    with pytest.raises(ValueError, match="no Linear, Conv2d or Embedding that trains"):
        KFAC(nn.LayerNorm(3), sgd(nn.LayerNorm(3)))
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    with pytest.raises(ValueError, match="layers '0' and '1' share a parameter"):
        KFAC(tied, sgd(tied))
    half = nn.Linear(3, 2)
    half.bias.requires_grad_(False)
    with pytest.raises(ValueError, match="trains its weights or its bias only"):
        KFAC(half, sgd(half))
    with pytest.raises(TypeError, match=r"optimizer is 0\.1: expected a Optimizer"):
        KFAC(layer, 0.1)
    with pytest.raises(TypeError, match="solve is 'eigen': expected a Solve"):
        KFAC(layer, sgd(layer), solve="eigen")
    for kind in (Eigen, PiSplit):
        with pytest.raises(ValueError, match="damping is 0: expected a positive"):
            kind(0)
    for name, wrong in {"clip": -1.0, "period": 0, "decay": 1.0}.items():
        with pytest.raises(ValueError, match=f"{name} is {wrong}: expected"):
            KFAC(layer, sgd(layer), **{name: wrong})


def test_states_of_others_are_refused() -> None:
    model, layer = net(), nn.Linear(3, 2).double()
    kfac = KFAC(model, sgd(model))
    backward(model, draw(8, 3), draw(8, 2, seed=1))
    kfac.step()
    state = kfac.state_dict()
    with pytest.raises(ValueError, match="state is of other layers, as ''"):
        KFAC(layer, sgd(layer)).load_state_dict(state)
    wide = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2)).double()
    with pytest.raises(ValueError, match=r"factors of '0' have shapes .*\(5, 5\)"):
        KFAC(wide, sgd(wide)).load_state_dict(state)
