"""Few levels, and the gradients that each rule says, by value."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from modular.compact import (
    LSQ,
    STE,
    BinaryConv2d,
    BinaryLinear,
    DoReFa,
    quantize_weights,
)
from modular.compact.fake_quant import FakeQuant

RULES = [STE, DoReFa, LSQ]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g, dtype=torch.float64)


def gradients(rule: FakeQuant, v: Tensor, weight: Tensor) -> Tensor:
    v = v.clone().requires_grad_()
    (rule(v) * weight).sum().backward()
    return v.grad


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_levels_are_no_more_than_bits_allow(
    rule: type[FakeQuant], signed: bool, bits: int
) -> None:
    levels = rule(bits, signed)(drawn(4000)).unique()
    assert len(levels) <= 2**bits
    used = len(levels) > 2 ** (bits - 1) - 1
    assert used or rule is LSQ  # whose first steps are fine, so that few are reached
    assert signed or levels.min() >= 0


@settings(deadline=None, max_examples=50)
@given(bits=st.integers(2, 8), signed=st.booleans(), seed=st.integers(0, 99))
def test_rounding_twice_is_rounding_once(bits: int, signed: bool, seed: int) -> None:
    v = drawn(50, seed=seed)
    rules: list[FakeQuant] = [STE(bits, signed), LSQ(bits, signed)]
    rules += [] if signed else [DoReFa(bits, signed)]
    for rule in rules:
        once = rule(v).detach()
        assert (rule(once) - once).abs().max() < 1e-12


@pytest.mark.parametrize("rule", [STE, DoReFa])
@pytest.mark.parametrize("signed", [True, False])
def test_many_bits_change_hardly_anything(rule: type[FakeQuant], signed: bool) -> None:
    v = drawn(100).abs() / 5 if not signed else drawn(100)
    exact = v.clamp(0, 1) if rule is DoReFa else v
    if rule is DoReFa and signed:
        exact = v.tanh() / v.tanh().abs().max()
    assert (rule(16, signed)(v) - exact).abs().max() < 2e-4


def test_ste_rounds_to_equal_steps_with_gradient_one() -> None:
    v, weight = drawn(40), drawn(40, seed=1)
    step = v.abs().max() / 3
    assert (STE(3)(v) - step * (v / step).round()).abs().max() < 1e-12
    assert torch.allclose(gradients(STE(3), v, weight), weight, atol=1e-12)
    half = gradients(STE(3, signed=False), v, weight)
    assert torch.allclose(half, weight * (v > 0), atol=1e-12)
    assert torch.equal(STE(3)(torch.zeros(4)), torch.zeros(4))


def test_dorefa_is_its_formula_and_its_gradient_the_tangent_s() -> None:
    v, weight = drawn(40), drawn(40, seed=1)
    most = v.tanh().abs().max()
    r = v.tanh() / (2 * most) + 0.5
    assert (DoReFa(3)(v) - (2 * (7 * r).round() / 7 - 1)).abs().max() < 1e-12
    slope = (1 - v.tanh() ** 2) / most
    assert (gradients(DoReFa(3), v, weight) - weight * slope).abs().max() < 1e-12
    inside = (v > 0) & (v < 1)
    half = gradients(DoReFa(3, signed=False), v, weight)
    assert (half - weight * inside).abs().max() < 1e-12


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", [2, 4])
def test_lsq_equals_torch_s_own_learnable_rounding(bits: int, signed: bool) -> None:
    v, weight = drawn(6, 7).float(), drawn(6, 7, seed=1).float()
    rule = LSQ(bits, signed).float()
    rule(v)
    start = 2 * v.abs().mean() / rule.most**0.5
    assert (rule.step - start).abs() < 1e-6
    scaled = v / rule.step.detach()  # torch cuts half a step later than the paper
    v[(scaled > rule.most) & (scaled < rule.most + 0.5)] = 0.1
    v[(scaled < rule.least) & (scaled > rule.least - 0.5)] = 0.1
    ours = v.clone().requires_grad_()
    (rule(ours) * weight).sum().backward()
    theirs, step = v.clone().requires_grad_(), rule.step.detach().clone()
    step = step.reshape(1).requires_grad_()
    slow = 1 / (v.numel() * rule.most) ** 0.5
    zero = torch.zeros(1, dtype=torch.float32)
    y = torch._fake_quantize_learnable_per_tensor_affine(
        theirs, step, zero, rule.least, rule.most, grad_factor=slow
    )
    (y * weight).sum().backward()
    assert (rule(v) - y).abs().max() < 1e-6
    assert (ours.grad - theirs.grad).abs().max() < 5e-7
    assert (rule.step.grad - step.grad).abs() < 1e-6


def test_lsq_goes_on_from_its_state_and_names_a_step_gone_wrong() -> None:
    rule = LSQ(3)
    rule(drawn(9))
    other = LSQ(3)
    other.load_state_dict(rule.state_dict())
    v = 5 * drawn(9, seed=1)  # it would have started elsewhere
    assert torch.equal(other(v), rule(v))
    rule.step.data.fill_(-0.1)
    with pytest.raises(ValueError, match=r"the step is -0.1.*smaller learning rate"):
        rule(v)


def test_weights_are_rounded_and_trained_in_floats() -> None:
    g = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    plain = copy.deepcopy(model)
    quantize_weights(model, STE(3))
    x = torch.randn(5, 8, generator=g, dtype=torch.float64)
    for layer, before in ((model[0], plain[0]), (model[2], plain[2])):
        assert torch.equal(layer.weight, STE(3)(before.weight))
        before.weight.data = layer.weight.detach().clone()
    model(x).square().sum().backward()
    plain(x).square().sum().backward()
    kept = model[0].parametrizations.weight.original
    assert (kept.grad - plain[0].weight.grad).abs().max() < 1e-12
    lsq = quantize_weights(nn.Sequential(nn.Linear(8, 6), nn.Conv2d(1, 2, 3)), LSQ(3))
    lsq[0](torch.ones(1, 8)), lsq[1](torch.ones(1, 1, 4, 4))
    steps = [m.step for m in lsq.modules() if isinstance(m, LSQ)]
    assert len(steps) == 2 and steps[0] != steps[1]
    with pytest.raises(ValueError, match="is parametrised already"):
        quantize_weights(model, STE(3))
    with pytest.raises(ValueError, match="nothing to round"):
        quantize_weights(nn.Tanh(), STE(3))
    with pytest.raises(TypeError, match="expected a FakeQuant"):
        quantize_weights(nn.Linear(2, 2), nn.Tanh())


@pytest.mark.parametrize("rule", RULES)
def test_bits_that_cannot_be_are_refused(rule: type[FakeQuant]) -> None:
    with pytest.raises(ValueError, match="bits is 1: expected at least 2"):
        rule(1)
    with pytest.raises(ValueError, match="bits is 17: expected at most 16"):
        rule(17)
    with pytest.raises(TypeError, match="bits is 2.0"):
        rule(2.0)


def hand(weight: Tensor, pull: Tensor) -> tuple[Tensor, Tensor]:
    """Binary weights of rows, and the gradient that the docstring says."""
    sign = torch.where(weight >= 0, 1.0, -1.0)
    size = weight.abs().mean(1, keepdim=True)
    through = size * pull * (weight.abs() <= 1)
    mean = (pull * sign).sum(1, keepdim=True) / weight.shape[1] * weight.sign()
    return size * sign, through + mean


def test_binary_layers_are_signs_with_the_best_size_and_its_gradient() -> None:
    layer, x = BinaryLinear(8, 3).double(), drawn(5, 8)
    layer.weight.data = 1.2 * drawn(3, 8, seed=2)
    layer.weight.data[0, 0] = 0.0
    pull = drawn(5, 3, seed=1)
    (layer(x) * pull).sum().backward()
    weight, gradient = hand(layer.weight.detach(), pull.t() @ x)
    assert (layer.rounded() - weight).abs().max() < 1e-12
    assert (layer(x) - (x @ weight.t() + layer.bias)).abs().max() < 1e-12
    assert (layer.weight.grad - gradient).abs().max() < 1e-12
    error = (layer.weight - weight).square().sum()
    for other in (0.9, 1.1):
        assert error < (layer.weight - other * weight).square().sum()


def test_a_binary_convolution_is_one_with_binary_weights() -> None:
    layer = BinaryConv2d(2, 3, kernel_size=3, padding=1).double()
    flat = layer.weight.detach().flatten(1)
    weight = hand(flat, flat)[0].view_as(layer.weight)
    x = drawn(2, 2, 5, 5)
    exact = nn.functional.conv2d(x, weight, layer.bias, padding=1)
    assert (layer(x) - exact).abs().max() < 1e-12
