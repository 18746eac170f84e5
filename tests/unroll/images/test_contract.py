"""What holds for every network on images, with every operator."""

import copy
import io
import pickle

import pytest
import torch
from torch.autograd import gradcheck

import unroll as u
from tests.unroll.images.cases import (
    DEPTH,
    NETWORKS,
    OPERATORS,
    disturbed,
    draw,
    pair,
    seeded,
)
from unroll import images
from unroll.operators import Blur, Gradient, Mask, Matrix

each = pytest.mark.parametrize("name", NETWORKS)
behind = pytest.mark.parametrize("kind", OPERATORS)


def made(name, kind):
    A = OPERATORS[kind]()
    return disturbed(NETWORKS[name](A)), *pair(A)


@each
@behind
def test_iterates_are_images_and_end_at_the_output(name, kind):
    net, b, x = made(name, kind)
    iterates = net.iterates(b)
    assert iterates.shape == (DEPTH + 1, *x.shape)
    assert iterates.dtype == net.A.adjoint(b).dtype
    for depth in range(DEPTH + 1):
        assert torch.equal(net(b, depth=depth), iterates[depth])


@each
@behind
def test_images_and_channels_do_not_see_each_other(name, kind):
    net, b, _ = made(name, kind)
    whole = net(b)
    close = {"rtol": 0, "atol": 1e-10}  # of the solve inside
    torch.testing.assert_close(net(b[1:])[0], whole[1], **close)
    if kind != "Convolution":  # whose maps are one image together
        torch.testing.assert_close(net(b[:, 1:])[:, 0], whole[:, 1], **close)
        torch.testing.assert_close(net(b[:, 0]), whole[:, 0], **close)


@each
@pytest.mark.parametrize("kind", ["Matrix", "FourierSample", "Ray"])
def test_gradients_are_those_of_the_output(name, kind):
    net, b, _ = made(name, kind)
    held = {key: p.detach() for key, p in net.named_parameters()}
    near = [key for key in held if "layers.0" in key]
    b = b[:1, :1]

    def output(b, *values):
        changed = held | dict(zip(near, values, strict=True))
        return torch.func.functional_call(net, changed, (b, 2))

    inputs = [b, *(held[key] for key in near)]
    inputs = [t.detach().clone().requires_grad_() for t in inputs]
    assert gradcheck(output, inputs, atol=1e-5, rtol=1e-4, fast_mode=True)


@each
@behind
def test_every_parameter_hears_from_the_error(name, kind):
    net, b, x = made(name, kind)
    (net(b) - x).abs().square().sum().backward()
    for key, p in net.named_parameters():
        assert p.grad is not None and p.grad.isfinite().all(), key
        first = "layers.0" in key or f"layers.{DEPTH - 1}" in key
        assert p.grad.any() or first, key


@each
@behind
def test_survives_save_pickle_and_deepcopy(name, kind):
    net, b, _ = made(name, kind)
    expected = net(b)
    assert torch.equal(copy.deepcopy(net)(b), expected)
    assert torch.equal(pickle.loads(pickle.dumps(net))(b), expected)
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    other = NETWORKS[name](OPERATORS[kind]())
    assert not torch.equal(other(b), expected)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(b), expected)


@each
def test_the_state_holds_the_operator_and_the_settings(name):
    """Loaded into a network of another blur, it is the network that was saved."""
    net, b, _ = made(name, "Blur")
    other = NETWORKS[name](Blur(draw(3, 2, seed=5), net.A.size))
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(b), net(b))
    for key in net.settings:
        assert getattr(other, key) == getattr(net, key)


@each
def test_the_operator_is_kept_by_value(name):
    A = OPERATORS["Blur"]()
    net, b = NETWORKS[name](A), pair(A)[0]
    before = net(b)
    A.kernel.zero_()
    assert torch.equal(net(b), before)


@pytest.mark.parametrize("name", ["ISTANet", "ISTANet plus", "LearnedPrimalDual"])
def test_survives_export(name):
    net, b, _ = made(name, "Mask")
    with torch.no_grad():
        program = torch.export.export(net, (b,)).module()
        torch.testing.assert_close(program(b), net(b), rtol=0, atol=1e-12)


@each
def test_the_same_generator_draws_the_same_network(name):
    A = OPERATORS["Mask"]()
    one, other = NETWORKS[name](A), NETWORKS[name](A)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    third = NETWORKS[name](A)
    assert torch.equal(torch.get_rng_state(), before), "the global one is left alone"
    for p, q, r in zip(*(net.parameters() for net in (one, other, third)), strict=True):
        assert torch.equal(p, q) and torch.equal(p, r)


@each
def test_the_dtype_follows_the_operator(name):
    net = NETWORKS[name](OPERATORS["Blur"]().float())
    b = pair(OPERATORS["Blur"]())[0].float()
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    single = net(b)
    assert single.dtype == torch.float32
    found = net.double()(b.double())
    torch.testing.assert_close(found, single.double(), rtol=0, atol=1e-4)


@each
def test_refuses_measurements_by_name(name):
    net, b, _ = made(name, "Blur")
    with pytest.raises(ValueError, match=r"b has shape \(2, 2, 6, 6\): .*6, 7\)"):
        net(b[..., :6])
    with pytest.raises(ValueError, match=r"b has shape \(0, 2, 6, 7\): expected a b"):
        net(b[:0])
    with pytest.raises(ValueError, match=r"b has shape \(6, 7\): expected \(batch"):
        net(b[0, 0])
    with pytest.raises(TypeError, match=r"b has dtype torch.float32 but the network h"):
        net(b.float())
    with pytest.raises(TypeError, match=r"b has dtype torch.uint8 but the network has"):
        net((255 * b).byte())
    with pytest.raises(TypeError, match="b is of type list"):
        net(b.tolist())
    with pytest.raises(ValueError, match=r"b\[0, 0, 0, 2\] is nan"):
        net(b.index_fill(3, torch.tensor([2]), float("nan")))
    with pytest.raises(ValueError, match=f"depth is 4 but the network has {DEPTH}"):
        net.iterates(b, depth=4)


KINDS = {getattr(images, name) for name in images.__all__}
KINDS = sorted(
    (k for k in KINDS if isinstance(k, type) and issubclass(k, u.Unrolled)),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("net", KINDS)
def test_constructors_refuse_by_name(net):
    A = OPERATORS["Blur"]()
    with pytest.raises(TypeError, match="A is of type Tensor: expected an Operator"):
        net(torch.ones(3, 4))
    with pytest.raises(ValueError, match=r"domain \(4,\): expected images"):
        net(Matrix(torch.ones(3, 4)))
    with pytest.raises(ValueError, match=r"domain \(\): expected images"):
        net(Gradient())
    with pytest.raises(ValueError, match="A has norm 0"):
        net(Blur(torch.zeros(3, 3), (5, 5)))
    with pytest.raises(ValueError, match="depth is 0: expected at least 1"):
        net(A, 0)
    with pytest.raises(TypeError, match=r"depth is 2\.5"):
        net(A, 2.5)
    with pytest.raises(ValueError, match=r"channels is 0: expected at least [124]"):
        net(A, 2, channels=0)


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda A: images.ISTANet(A, lam=0.0), "lam is 0.0: expected a positive"),
        (lambda A: images.ADMMNet(A, lam=-1.0), "lam is -1.0: expected a positive"),
        (lambda A: images.ADMMNet(A, rho=0.0), "rho is 0.0: expected a positive"),
        (lambda A: images.ADMMNet(A, tol=0.0), "tol is 0.0: expected a positive"),
        (lambda A: images.MoDL(A, lam=-0.5), "lam is -0.5: expected a positive"),
        (lambda A: images.MoDL(A, iterations=0), "iterations is 0: expected at le"),
        (lambda A: images.LearnedPrimalDual(A, memory=1), "memory is 1: expected at"),
        (lambda A: images.PiecewiseLinear(2, 0.1, nodes=1), "nodes is 1: expected"),
        (lambda A: images.PiecewiseLinear(2, -0.1), "theta is -0.1: expected a pos"),
    ],
)
def test_constructors_refuse_their_numbers(make, shown):
    with pytest.raises(ValueError, match=shown):
        make(OPERATORS["Mask"]())


def test_every_public_network_is_in_the_contract():
    A = OPERATORS["Mask"]()
    assert {type(make(A)) for make in NETWORKS.values()} == set(KINDS)


def test_photographs_of_any_size_and_colour():
    A = Mask.random((9, 5), 0.7, seeded())
    for make in NETWORKS.values():
        assert make(A)(A(torch.rand(1, 3, 9, 5))).shape == (1, 3, 9, 5)
