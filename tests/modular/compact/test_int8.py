"""What is exported holds the levels of training, and multiplies bytes."""

import copy

import pytest
import torch
from torch import nn

from modular.compact import (
    LSQ,
    STE,
    BinaryLinear,
    DoReFa,
    export_int8,
    quantize_weights,
)
from modular.compact.fake_quant import FakeQuant

pytestmark = pytest.mark.skipif(
    torch.backends.quantized.engine == "none", reason="torch without int8 kernels"
)


def rounded(rule: FakeQuant, *sizes: int) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for a, b in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return quantize_weights(nn.Sequential(*layers[:-1]).float(), rule)


def drawn(*shape: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(1)
    return torch.randn(*shape, generator=g, dtype=torch.float32)


@pytest.mark.parametrize("rule", [STE(8), STE(2), LSQ(8), LSQ(3), DoReFa(7)])
def test_bytes_are_the_levels_of_training(rule: FakeQuant) -> None:
    model = rounded(rule, 9, 7, 4)
    model(drawn(2, 9)).sum().backward()
    for layer in model[::2]:
        learned = [p for p in layer.parameters() if p.ndim == 0]
        for step in learned:  # LSQ's, which has moved
            step.data.mul_(1.3)
    small = export_int8(model)
    for layer, byte in zip(model[::2], small[::2], strict=True):
        levels = len(layer.weight.unique())
        assert byte.weight().int_repr().dtype == torch.int8
        assert len(byte.weight().int_repr().unique()) == levels <= 2**rule.bits
        assert (byte.weight().dequantize() - layer.weight).abs().max() < 1e-6
        assert torch.equal(byte.bias(), layer.bias)


def test_outputs_differ_by_the_rounding_of_inputs_and_no_more() -> None:
    model, x = rounded(STE(4), 20, 6), drawn(50, 20)
    range_ = x.max().clamp(min=0) - x.min().clamp(max=0)
    bound = (range_ / 127 / 2 * 1.02) * model[0].weight.abs().sum(1)
    apart = (export_int8(model)(x) - model(x)).abs()
    assert (apart <= bound).all() and apart.max() > 1e-5
    deep = rounded(LSQ(8), 20, 32, 5)
    apart = (export_int8(deep)(x) - deep(x)).norm() / deep(x).norm()
    assert apart < 0.05


@pytest.mark.parametrize("rule", [STE(8), LSQ(8), DoReFa(7)])
def test_a_model_of_double_precision_has_the_same_bytes(rule: FakeQuant) -> None:
    model = rounded(rule, 9, 7, 4).double()
    model(drawn(2, 9).double())
    x, small = drawn(6, 9), export_int8(model)
    for layer, byte in zip(model[::2], small[::2], strict=True):
        apart = byte.weight().dequantize() - layer.weight
        assert apart.abs().max() < 1e-6 * layer.weight.abs().max()
        assert byte.bias().dtype == torch.float32
    assert (small(x) - model(x.double())).norm() < 0.1 * model(x.double()).norm()


def test_weights_may_lie_in_memory_in_any_order() -> None:
    weight, model = drawn(5, 7).t(), rounded(STE(8), 5, 7)
    model[0].parametrizations.weight.original.data = weight
    small = export_int8(model)[0].weight()
    assert not model[0].parametrizations.weight.original.is_contiguous()
    assert (small.dequantize() - model[0].weight).abs().max() < 1e-6
    assert (small.dequantize() - weight).abs().max() <= weight.abs().max() / 254 + 1e-6


def test_the_model_stays_as_it_was_and_a_missing_bias_is_zero() -> None:
    model = quantize_weights(nn.Sequential(nn.Linear(4, 3, bias=False)), STE(4))
    before = copy.deepcopy(model.state_dict())
    assert not export_int8(model)[0].bias().any()
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    model = rounded(STE(4), 4, 3).append(nn.Dropout())
    assert not export_int8(model).training and model[-1].training


def test_what_does_not_fit_into_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="is not rounded, or not that alone"):
        export_int8(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(ValueError, match="is not rounded"):
        export_int8(nn.Sequential(BinaryLinear(2, 2)))
    twice = nn.Sequential(nn.Linear(2, 2))
    quantize_weights(twice, STE(4))
    nn.utils.parametrize.register_parametrization(twice[0], "weight", nn.Tanh())
    with pytest.raises(ValueError, match="not that alone"):
        export_int8(twice)
    lost = quantize_weights(nn.Sequential(nn.Linear(2, 2)), STE(4))
    lost[0].parametrizations.weight.original.data[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"model\[0\].weight\[0, 0\] is nan: expected"):
        export_int8(lost)
    for bad in (torch.nan, torch.inf):
        lost = quantize_weights(nn.Sequential(nn.Linear(2, 2)), STE(4))
        lost[0].bias.data[1] = bad
        with pytest.raises(
            ValueError, match=rf"model\[0\].bias\[1\] is {bad}: expected"
        ):
            export_int8(lost)
    for dtype in (torch.float16, torch.bfloat16):
        with pytest.raises(ValueError, match=f"has dtype {dtype}: expected float32 or"):
            export_int8(rounded(STE(4), 3, 2).to(dtype))
    lost = rounded(LSQ(4), 3, 2)
    lost(drawn(1, 3))
    lost[0].parametrizations.weight[0].step.data.fill_(torch.inf)
    with pytest.raises(ValueError, match="go from nan to nan"):
        export_int8(lost)
    with pytest.raises(TypeError, match="(?s)model is .*expected a Sequential"):
        export_int8(quantize_weights(nn.Linear(2, 2), STE(4)))
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="is not rounded"):
        export_int8(nn.Sequential(normed))
    with pytest.raises(ValueError, match=r"DoReFa\(bits=8.* expected -128 to 127"):
        export_int8(rounded(DoReFa(8), 9, 9))
    with pytest.raises(ValueError, match=r"STE\(bits=9.* go from -?\d+ to -?\d+"):
        export_int8(rounded(STE(9), 9, 9))
    with pytest.raises(TypeError, match="Conv2d.* has weights"):
        export_int8(nn.Sequential(nn.Conv2d(1, 1, 3)))
    with pytest.raises(TypeError, match="has no nn.Linear"):
        export_int8(nn.Sequential(nn.ReLU()))
