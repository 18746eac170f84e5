"""Weights that are bytes: torch's own integer arithmetic for a rounded network."""

import warnings
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from modular._checks import check_finite, check_kind
from modular.compact.fake_quant import FakeQuant

__all__ = ["export_int8"]


@torch.no_grad()
def export_int8(model: nn.Sequential) -> nn.Sequential:
    r"""Store each rounded weight as one byte, and let torch multiply bytes.

    .. math:: y = \Delta s\, Q\,(q - o) + b, \qquad \hat w = s\, Q, \qquad
              x \approx \Delta\, (q - o)

    with whole numbers ``Q`` from -128 to 127. They are the levels that training used:
    nothing is rounded again. Inputs of each layer are rounded when they come, to
    bytes ``q`` between their least and their largest, so that outputs differ a little
    from the model's. For CPUs; sums are of whole numbers. The kernels are those of
    ``torch.ao.nn.quantized.dynamic``, which PyTorch means to replace one day; the idea
    is that of Jacob et al. 2018 (CVPR), section 2.

    Args:
        model: Linear layers of float32 or float64, rounded by
            :func:`~modular.compact.quantize_weights`, and activations.

    Returns:
        A model for float32 inputs that does not learn.

    Raises:
        TypeError: If it is no nn.Sequential, or has another layer with weights than
            ``nn.Linear``, or none.
        ValueError: If a weight is not rounded, of half precision, or its levels do not
            fit into a byte; if a weight or a bias is not finite.

    Example:
        >>> from modular.compact import STE, quantize_weights
        >>> model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> small = export_int8(quantize_weights(model, STE(bits=4)))
        >>> small(torch.randn(3, 8, dtype=torch.float32)).shape
        torch.Size([3, 2])
        >>> small[0].weight().int_repr().abs().max()
        tensor(7, dtype=torch.int8)
    """
    check_kind("model", model, nn.Sequential)
    layers = [_int8(f"model[{i}]", layer) for i, layer in enumerate(model)]
    if not any(isinstance(layer, nn.Linear) for layer in model):
        raise TypeError("the model has no nn.Linear: expected at least one")
    return nn.Sequential(*layers).eval()


def _int8(name: str, layer: nn.Module) -> nn.Module:
    """The layer that multiplies bytes; a copy of a layer without weights."""
    if not isinstance(layer, nn.Linear):
        if any(True for _ in layer.parameters()) or any(True for _ in layer.buffers()):
            raise TypeError(
                f"{layer} has weights: expected nn.Linear and activations only"
            )
        return deepcopy(layer)
    from torch.ao.nn.quantized.dynamic import Linear  # heavy, and not for long

    codes, unit = _codes(name, layer)
    bias = torch.zeros(layer.out_features) if layer.bias is None else layer.bias
    check_finite(f"{name}.bias", bias)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch means to replace it
        new = Linear(layer.in_features, layer.out_features)
        weight = torch._make_per_tensor_quantized_tensor(codes, unit, 0)
        new.set_weight_bias(weight, bias.detach().float())
    return new


def _codes(name: str, layer: nn.Linear) -> tuple[Tensor, float]:
    """Whole numbers and the unit that makes weights of them."""
    found = rule = None
    if parametrize.is_parametrized(layer, "weight"):
        found = layer.get_submodule("parametrizations.weight")
    if isinstance(found, parametrize.ParametrizationList) and len(found) == 1:
        rule = found[0]
    if not isinstance(rule, FakeQuant) or found is None:
        raise ValueError(
            f"the weight of {layer} is not rounded, or not that alone: expected a "
            "model from quantize_weights"
        )
    original = found.get_parameter("original")
    if original.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"{name}.weight has dtype {original.dtype}: expected float32 or float64, "
            "in which levels are exact"
        )
    check_finite(f"{name}.weight", original)
    unit = rule.unit(original)
    codes = (layer.weight / unit).round()
    if not (codes.min() >= -128 and codes.max() <= 127):
        raise ValueError(
            f"the levels of {rule} go from {codes.min():.0f} to {codes.max():.0f}: "
            "expected -128 to 127"
        )
    return codes.to(torch.int8).contiguous(), unit.item()
