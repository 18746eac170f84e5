"""How large a network is: numbers, bits, bytes and operations."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.utils import parametrize

from modular._checks import check_count
from modular.compact.binary import BinaryConv2d, BinaryLinear
from modular.compact.fake_quant import FakeQuant

__all__ = ["Size", "separable_ratio", "size_report"]


@dataclass(frozen=True)
class Size:
    """What a model takes once it is stored as it computes.

    Args:
        parameters: Numbers, zeros included.
        nonzero: Numbers that are not zero.
        bytes: Of all numbers, each with its bits; the scale of a rounded matrix is a
            number more.
        layers: ``(name, numbers, bits)`` of each tensor.
    """

    parameters: int
    nonzero: int
    bytes: float
    layers: tuple[tuple[str, int, int], ...]


def size_report(model: nn.Module) -> Size:
    """Count a model's numbers, with the bits that they are rounded to.

    What :func:`~modular.compact.quantize_weights` rounds counts with its bits, the
    weights of binary layers with 1, all others with those of their dtype. Where zeros
    stand is not stored: a pruned matrix saves nothing here until it is made smaller.
    Roth et al. 2024 (JMLR), a survey, compares such sizes.

    Args:
        model: Any module.

    Returns:
        Its size.

    Raises:
        ValueError: If two layers share a parameter, which would count twice.

    Example:
        >>> from modular.compact import STE, quantize_weights
        >>> layer = nn.Linear(100, 10, bias=False)
        >>> size_report(layer).bytes, size_report(quantize_weights(layer, STE(4))).bytes
        (4000.0, 504.0)
    """
    rows, total, nonzero, scales = [], 0.0, 0, 0.0
    owners: dict[int, str] = {}
    for name, module in model.named_modules():
        if isinstance(module, FakeQuant) or _rule(module):
            continue
        for key, parameter in module.named_parameters(recurse=False):
            owner = owners.setdefault(id(parameter), name)
            if owner != name:
                raise ValueError(
                    f"{name}.{key} is {owner}'s, too: expected layers that share "
                    "nothing"
                )
        for key, (value, bits, scale) in _tensors(module).items():
            rows.append((f"{name}.{key}".lstrip("."), value.numel(), bits))
            total += value.numel() * bits / 8
            nonzero += int((value != 0).sum())
            scales += scale * value.element_size()
    parameters = sum(count for _, count, _ in rows)
    return Size(parameters, nonzero, total + scales, tuple(rows))


def _tensors(module: nn.Module) -> dict[str, tuple[Tensor, int, int]]:
    """Each parameter of a module itself: value, bits, how many scales."""
    found: dict[str, tuple[Tensor, int, int]] = {
        key.removesuffix("_orig"): (value, 8 * value.element_size(), 0)
        for key, value in module.named_parameters(recurse=False)
    }
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor):
        return found
    if parametrize.is_parametrized(module, "weight"):
        lists = [m for m in module.modules() if (rule := _rule(m))]
        if lists and (rule := _rule(lists[0])):
            found["weight"] = (weight, rule.bits, 1)
    elif isinstance(module, BinaryLinear | BinaryConv2d):
        found["weight"] = (weight, 1, len(weight))
    elif "weight" in found:  # which a mask may have thinned
        found["weight"] = (weight, *found["weight"][1:])
    return found


def _rule(module: nn.Module) -> FakeQuant | None:
    """The rounding in a list of parametrisations, if it is one and has one."""
    if not isinstance(module, parametrize.ParametrizationList):
        return None
    return next((m for m in module if isinstance(m, FakeQuant)), None)


def separable_ratio(channels: int, kernel: int) -> float:
    r"""Compare a depthwise separable convolution with a full one.

    .. math:: \frac{k^2 C_\text{in} + C_\text{in} C_\text{out}}
                   {k^2 C_\text{in} C_\text{out}} =
              \frac{1}{C_\text{out}} + \frac{1}{k^2}

    of the multiplications, and of the weights without biases. Howard et al. 2017
    (arXiv 1704.04861), section 3.1.

    Args:
        channels: ``C_out``.
        kernel: ``k``.

    Returns:
        The ratio.

    Raises:
        TypeError: If one is not an int.
        ValueError: If one is below 1.

    Example:
        >>> separable_ratio(channels=64, kernel=3) < 0.13
        True
    """
    check_count("channels", channels, least=1)
    check_count("kernel", kernel, least=1)
    return 1 / channels + 1 / kernel**2
