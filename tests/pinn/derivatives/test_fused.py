"""The layers with a backward pass by hand equal autograd."""

from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pinn import (
    JetFNN,
    Wanted,
    sin,
    swish,
    tanh,
    zoo,
)
from pinn.derivatives import compiled as compiled_module
from pinn.derivatives import fused as fused_module
from pinn.derivatives.compiled import CompiledPass
from pinn.derivatives.fused import Pass, can_fuse, fused
from pinn.networks.jet_fnn import propagate, seed_stack
from tests.pinn.cases import rough, seeded

WANTED = [Wanted(), Wanted((1,)), Wanted((0, 1), ((0, 0),)), Wanted.all(2)]
BURGERS = zoo.burgers()


@pytest.mark.parametrize("activation", [tanh, sin, swish])
@pytest.mark.parametrize("wanted", WANTED, ids=str)
@pytest.mark.parametrize("lead", [(), (3,)], ids=["one", "three"])
@pytest.mark.parametrize("kind", [Pass, CompiledPass])
def test_layers_by_hand_equal_autograd(
    activation: object, wanted: Wanted, lead: tuple, kind: type, monkeypatch
) -> None:
    monkeypatch.setattr(fused_module, "_BLOCK", 7)  # several blocks
    monkeypatch.setattr(compiled_module, "_LARGE", 0)
    monkeypatch.setattr(compiled_module, "_compiled", lambda f: f)  # compilers are slow
    generator, sizes = seeded(), [2, 5, 6, 4, 3]

    def draw(*shape: int) -> Tensor:
        return torch.randn(*lead, *shape, generator=generator, dtype=torch.float64)

    weights = [draw(a, b) for a, b in zip(sizes[:-1], sizes[1:], strict=True)]
    params = [*weights, *(draw(b) for b in sizes[1:])]
    params = [p.requires_grad_() for p in params]
    channels = 1 + len(wanted.first) + len(wanted.second)
    stack, bar = draw(channels, 17, 2).requires_grad_(), draw(channels, 17, 3)
    given = stack, params[:4], params[4:], [activation] * 3, wanted
    a, b = propagate(*given), fused(*given, eager=propagate, kind=kind)
    assert torch.allclose(a, b, rtol=1e-12, atol=1e-13)
    by_autograd = torch.autograd.grad((a * bar).sum(), [stack, *params])
    by_hand = torch.autograd.grad((b * bar).sum(), [stack, *params])
    for g, h in zip(by_autograd, by_hand, strict=True):
        assert torch.allclose(g, h, rtol=1e-10, atol=1e-11)


def test_only_large_blocks_with_derivatives_are_compiled(monkeypatch) -> None:
    net, sizes = JetFNN([2, 10, 1], compiled=True), []

    def spy(z: Tensor, *rest: object) -> Tensor:
        sizes.append(z.numel())
        return compiled_module.activate(z, *rest)

    monkeypatch.setattr(compiled_module, "_compiled", lambda f: spy)
    for count in (100, 1000):
        x = torch.rand(count, 2, generator=seeded(), dtype=torch.float64)
        for wanted in (Wanted(), Wanted.all(2)):
            net.jet(x, wanted)
    assert sizes == [6 * 10 * 1000]


@settings(max_examples=25, deadline=None)
@given(
    nets=st.integers(1, 4),
    points=st.integers(0, 23),
    block=st.integers(1, 30),
    widths=st.lists(st.integers(1, 5), min_size=0, max_size=3),
)
def test_blocks_of_any_size_give_the_same(
    nets: int, points: int, block: int, widths: list[int]
) -> None:
    generator, wanted = seeded(), Wanted.all(2)
    sizes = [2, *widths, 2]

    def draw(*shape: int) -> Tensor:
        return torch.randn(nets, *shape, generator=generator, dtype=torch.float64)

    weights = [draw(a, b) for a, b in zip(sizes[:-1], sizes[1:], strict=True)]
    biases = [draw(b) for b in sizes[1:]]
    params = [p.requires_grad_() for p in (*weights, *biases)]
    given_ = draw(6, points, 2), weights, biases, [tanh] * len(widths), wanted
    with mock.patch.object(fused_module, "_BLOCK", block):
        a, b = propagate(*given_), fused(*given_, eager=propagate)
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-12)
        slopes = [torch.autograd.grad(y.square().sum(), params) for y in (a, b)]
    for g, h in zip(*slopes, strict=True):
        assert torch.allclose(g, h, rtol=1e-10, atol=1e-10 * (1 + g.abs().max()))


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_first_and_second_derivatives_pass_gradcheck(wanted: Wanted) -> None:
    generator, sizes = seeded(), [2, 3, 2, 1]

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    weights = [draw(a, b) for a, b in zip(sizes[:-1], sizes[1:], strict=True)]
    params = [p.requires_grad_() for p in (*weights, *map(draw, sizes[1:]))]
    stack = draw(1 + len(wanted.first) + len(wanted.second), 3, 2).requires_grad_()

    def layers(stack: Tensor, *params: Tensor) -> Tensor:
        given_ = stack, params[:3], params[3:], [tanh, sin], wanted
        return fused(*given_, eager=propagate)

    assert torch.autograd.gradcheck(layers, (stack, *params))
    assert torch.autograd.gradgradcheck(layers, (stack, *params))


def test_what_is_frozen_gets_no_derivative() -> None:
    net = rough(JetFNN([2, 5, 1], generator=seeded()))
    net.linears[0].requires_grad_(False)
    x = BURGERS.probes()[0].requires_grad_()
    (slope,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    by_jet = net.jet(x.detach(), Wanted((0, 1))).p[:, 0]
    assert torch.allclose(slope, by_jet, rtol=1e-12, atol=1e-13)
    slope.square().sum().backward()
    assert net.linears[0].weight.grad is None and x.grad is not None


def test_second_derivatives_by_the_parameters_exist_too() -> None:
    net, x = rough(JetFNN([2, 6, 1], generator=seeded())), BURGERS.probes()[0]
    params = list(net.parameters())

    def curvature(value: Tensor) -> Tensor:
        slopes = torch.autograd.grad(value, params, create_graph=True)
        size = sum(s.square().sum() for s in slopes)
        return torch.cat([g.flatten() for g in torch.autograd.grad(size, params)])

    by_hand = curvature(net.jet(x, Wanted.all(2)).H.square().sum())
    stack = seed_stack(x, None, Wanted.all(2), 2)
    weights = [linear.weight.T for linear in net.linears]
    biases = [linear.bias for linear in net.linears]
    out = propagate(stack, weights, biases, net.activations, Wanted.all(2))
    entries = (out[3:] ** 2).sum((1, 2)) @ torch.tensor([1.0, 2.0, 1.0]).double()
    assert torch.allclose(by_hand, curvature(entries), rtol=1e-10, atol=1e-10)


def test_batched_gradients_and_torch_func_work() -> None:
    net, x = rough(JetFNN([2, 6, 1], generator=seeded())), BURGERS.probes()[0]
    params = dict(net.named_parameters())
    r = BURGERS.strong_residual(x, net.jet(x, BURGERS.wanted))[:, 0]
    rows = torch.autograd.grad(
        r, list(params.values()), torch.eye(len(r)).double(), is_grads_batched=True
    )

    def residuals(values: dict) -> Tensor:
        with torch.nn.utils.stateless._reparametrize_module(net, values):
            return BURGERS.strong_residual(x, net.jet(x, BURGERS.wanted))[:, 0]

    by_func = torch.func.jacrev(residuals)(params)
    for row, name in zip(rows, params, strict=True):
        assert torch.allclose(row, by_func[name], rtol=1e-10, atol=1e-11)


def test_learned_slopes_go_through_autograd() -> None:
    net = JetFNN([2, 6, 1], adaptive=5.0, generator=seeded())
    assert can_fuse([tanh]) and not can_fuse(net.activations)
    net(torch.ones(3, 2).double()).sum().backward()
    assert net.activations[0].a.grad is not None
