"""Jets are derivatives: exact against nested autograd for everything on offer."""

import copy
from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import Tensor

from pinn import (
    FourierFeatures,
    HardConstraint,
    JetFNN,
    LocallyAdaptive,
    PeriodicFeatures,
    Wanted,
    jet_of,
    sin,
    swish,
    tanh,
    zoo,
)
from pinn._backend import dde
from pinn.derivatives.jets import autograd_jet

ACTIVATIONS = [tanh, sin, swish]
EVERYTHING = Wanted.all(2)


def points(count: int = 30, dim: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.rand(count, dim, generator=generator, dtype=torch.float64)


def make(sizes: list[int], *args: object, **options: object) -> JetFNN:
    return JetFNN(sizes, *args, generator=torch.Generator().manual_seed(1), **options)


def assert_jets_agree(net: torch.nn.Module, x: Tensor, wanted: Wanted) -> None:
    ours, by_autograd = jet_of(net, x, wanted), autograd_jet(net, x, wanted)
    for name in ("u", "p", "H"):
        a, b = getattr(ours, name), getattr(by_autograd, name)
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-12, equal_nan=True), name


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivatives_of_activations_agree_with_autograd(activation: object) -> None:
    z = torch.linspace(-4, 4, 41, dtype=torch.float64, requires_grad=True)
    value, slope, bend = activation(z)
    (first,) = torch.autograd.grad(value.sum(), z, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), z)
    assert torch.allclose(slope, first, atol=1e-14)
    assert torch.allclose(bend, second, atol=1e-14)


@pytest.mark.parametrize("adaptive", [None, 5.0])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [[2, 1], [2, 7, 3], [2, 9, 9, 1]])
def test_jets_equal_autograd(sizes: list, activation: object, adaptive: object) -> None:
    net = make(sizes, activation, adaptive=adaptive)
    if adaptive:
        with torch.no_grad():
            for layer in net.activations:
                layer.a.mul_(1.3)
    assert_jets_agree(net, points(), EVERYTHING)


@pytest.mark.parametrize(
    "wanted",
    [Wanted(), Wanted((1,)), Wanted((0, 1), ((0, 0),)), Wanted((), ((0, 1),))],
    ids=str,
)
def test_a_part_of_the_derivatives_is_the_same_part(wanted: Wanted) -> None:
    net, x = make([2, 8, 1]), points()
    part, whole = net.jet(x, wanted), net.jet(x, EVERYTHING)
    for i in wanted.first:
        assert torch.equal(part.p[..., i], whole.p[..., i])
    for i, j in wanted.second:
        assert torch.allclose(part.H[..., i, j], whole.H[..., i, j], atol=1e-15)
    left_out = {0, 1} - set(wanted.first) - {k for pair in wanted.second for k in pair}
    for i in left_out:
        assert part.p[..., i].isnan().all(), "misuse shows"


def feature_transforms() -> list:
    generator = torch.Generator().manual_seed(2)
    return [
        (None, 2),
        (FourierFeatures(2, 4, scale=2.0, generator=generator), 8),
        (PeriodicFeatures(0, period=2.0, count=2), 5),
        (lambda x: torch.cat([x.prod(1, True), x.exp()], dim=1), 3),
    ]


@pytest.mark.parametrize(
    "output", [None, zoo.burgers().hard, lambda x, y: y * y + x[:, :1]]
)
@pytest.mark.parametrize("features, inputs", feature_transforms())
def test_jets_pass_through_transforms(features, inputs: int, output) -> None:
    net = make([inputs, 8, 1])
    if features is not None:
        net.apply_feature_transform(features)
    if output is not None:
        net.apply_output_transform(output)
    x = points()
    assert_jets_agree(net, x, EVERYTHING)
    assert_jets_agree(net, x, EVERYTHING)  # and again, from memory
    x += 0.25  # in place: what was remembered is stale
    assert_jets_agree(net, x, EVERYTHING)


def test_gradients_flow_to_the_parameters() -> None:
    net, x = make([2, 4, 1], adaptive=2.0), points(5)
    net.apply_output_transform(zoo.heat().hard)
    names = [name for name, _ in net.named_parameters()]

    def residual(*values: Tensor) -> Tensor:
        parameters = dict(zip(names, values, strict=True))

        def jet(x: Tensor) -> Tensor:
            return torch.func.functional_call(net, parameters, (x,))

        u = jet(x)
        return u

    assert torch.autograd.gradcheck(residual, tuple(net.parameters()))
    # And through the derivatives: directional, against a difference quotient.
    problem = zoo.heat()

    def loss() -> Tensor:
        return problem.strong_residual(x, net.jet(x, problem.wanted)).square().sum()

    gradients = torch.autograd.grad(loss(), list(net.parameters()))
    step = 1e-6
    for p, g in zip(net.parameters(), gradients, strict=True):
        direction = torch.randn(p.shape, dtype=p.dtype, generator=torch.Generator()
                                .manual_seed(3))  # fmt: skip
        with torch.no_grad():
            p += step * direction
            up = loss().item()
            p -= 2 * step * direction
            down = loss().item()
            p += step * direction
        slope = (up - down) / (2 * step)
        assert slope == pytest.approx((g * direction).sum().item(), rel=1e-5, abs=1e-6)


def test_a_hard_constraint_is_exact_on_the_boundary() -> None:
    net = make([2, 8, 1])
    net.apply_output_transform(zoo.burgers().hard)
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    for side in (-1.0, 1.0):
        x = torch.stack([torch.full_like(t, side), t], dim=1)
        assert net(x).abs().max() < 1e-15


def test_an_adaptive_layer_starts_as_its_activation_and_learns() -> None:
    z = points()
    layer = LocallyAdaptive(tanh, n=10)
    assert torch.allclose(layer(z)[0], torch.tanh(z))
    layer(z)[2].sum().backward()
    assert layer.a.grad.abs() > 0


def test_the_same_seed_gives_the_same_network() -> None:
    a, b = make([2, 5, 1]), make([2, 5, 1])
    assert torch.equal(a(points()), b(points()))
    assert all(p.dtype == torch.float64 for p in a.parameters())


def test_networks_are_saved_and_copied(tmp_path) -> None:
    net = make([2, 5, 1], adaptive=3.0)
    net.jet(points(), EVERYTHING)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    other = JetFNN([2, 5, 1], adaptive=3.0)
    other.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    assert torch.equal(net(points()), other(points()))
    assert torch.equal(copy.deepcopy(net)(points()), net(points()))


def test_a_compiled_network_gives_the_same_jet() -> None:
    x, found = points(1000), []
    for flag in (False, True):
        net = make([2, 8, 8, 1], compiled=flag)
        for linear in net.linears:
            torch.nn.init.ones_(linear.bias)
        try:
            jet = net.jet(x, Wanted((0, 1), ((0, 0),)))
        except torch._dynamo.exc.BackendCompilerFailed:
            pytest.skip("no C++ compiler")
        value = jet.H[..., 0, 0].square().sum() + jet.p.sum()
        found.append([value, *torch.autograd.grad(value, list(net.parameters())[:-1])])
    for plain, compiled in zip(*found, strict=True):
        assert torch.allclose(plain, compiled, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: JetFNN([2]), ValueError, r"layer_sizes is \[2\]"),
        (lambda: JetFNN([2, 0, 1]), ValueError, r"layer_sizes\[1\] is 0"),
        (lambda: JetFNN([2, 2.5, 1]), TypeError, r"layer_sizes\[1\] is 2.5"),
        (lambda: JetFNN([2, 3, 1], "tanh"), TypeError, "activation is 'tanh'"),
        (lambda: JetFNN([2, 3, 1], adaptive=-1.0), ValueError, "n is -1.0"),
        (
            lambda: JetFNN([2, 3, 1], adaptive=1.0, compiled=True),
            ValueError,
            "compiled is True but the activation is learned",
        ),
        (lambda: make([3, 4, 1])(points()), ValueError, "gets 2 inputs but has 3"),
        (lambda: FourierFeatures(2, 0), ValueError, "count is 0"),
        (lambda: FourierFeatures(2, 3, scale=0.0), ValueError, "scale is 0.0"),
        (lambda: PeriodicFeatures(0, -1.0), ValueError, "period is -1.0"),
        (
            lambda: PeriodicFeatures(2, 1.0)(points()),
            ValueError,
            "x has 2 columns: expected more than axis = 2",
        ),
        (lambda: HardConstraint(1, abs), TypeError, "lift is 1: expected a function"),
    ],
)
def test_bad_input_is_refused(call, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_a_network_of_deepxde_has_jets_too() -> None:
    torch.manual_seed(0)
    net = dde.nn.FNN([2, 6, 2], "tanh", "Glorot normal")
    jet = jet_of(net, points(), EVERYTHING)
    assert jet.u.shape == (30, 2) and jet.H.isfinite().all()


def test_no_derivative_is_wanted_unless_asked_for() -> None:
    assert Wanted.all(2, order=0) == Wanted()
    assert Wanted.all(2, order=1) == Wanted((0, 1))


def test_a_jet_is_not_changed_by_accident() -> None:
    jet = make([2, 5, 1]).jet(points(), EVERYTHING)
    with pytest.raises(FrozenInstanceError):
        jet.u = jet.p


def test_a_lift_that_learns_is_not_frozen() -> None:
    """What depends on the points only is remembered; an unknown in it must not be."""
    slope = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    net = make([1, 4, 1])
    net.apply_output_transform(HardConstraint(lambda x: slope * x, lambda x: x**2))
    x = torch.linspace(0.1, 1, 5, dtype=torch.float64)[:, None]
    for value in (0.5, 2.0):
        with torch.no_grad():
            slope.fill_(value)
            net.jet(x, Wanted.all(1))  # nor frozen by a look
        jet = net.jet(x, Wanted.all(1))
        inner = (jet.u - slope * x) / x**2
        (by_value,) = torch.autograd.grad(jet.u.sum(), slope, retain_graph=True)
        (by_slope,) = torch.autograd.grad(jet.p.sum(), slope)
        assert by_value.item() == pytest.approx(x.sum().item(), rel=1e-12)
        assert by_slope.item() == pytest.approx(len(x), rel=1e-12)
        assert inner.isfinite().all()
