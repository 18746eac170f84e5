"""Where a network is cut, and what must not cross a cut."""

import operator
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from modular._chance import drawing_from, global_chance, set_global_chance
from modular._checks import check_count
from modular._modes import evaluating
from modular.allocation import cut_evenly
from modular.profile import Count


def cuts_of(
    layers: list[nn.Module],
    states: list[Tensor],
    modules: int | None,
    cuts: Sequence[int] | None,
    count: Count,
) -> list[int]:
    """Return checked cuts, or balance them."""
    if (modules is None) == (cuts is None):
        raise ValueError(
            f"modules is {modules} and cuts is {cuts}: expected exactly one of them"
        )
    if modules is not None:
        check_count("modules", modules, least=1)
        if modules > len(layers):
            raise ValueError(
                f"modules is {modules} but the model has {len(layers)} layers: "
                f"expected at most {len(layers)} modules"
            )
        costs = [
            count(layer, h.clone())
            for layer, h in zip(layers, states[:-1], strict=True)
        ]
        return cut_evenly(costs, modules)
    try:
        cuts = [operator.index(cut) for cut in ([] if cuts is None else cuts)]
    except TypeError:
        raise TypeError(f"cuts is {cuts!r}: expected whole numbers") from None
    if sorted(set(cuts)) != cuts or (
        cuts and not 0 < cuts[0] <= cuts[-1] < len(layers)
    ):
        raise ValueError(
            f"cuts is {cuts}: expected increasing numbers from 1 to {len(layers) - 1}"
        )
    return cuts


def refuse_ties(layers: list[nn.Module], cuts: list[int]) -> None:
    """Refuse layers and parameters that two blocks would share."""
    seen: dict[int, tuple[int, str]] = {}
    for index, layer in enumerate(layers):
        block = sum(cut <= index for cut in cuts)
        named: list[tuple[str, nn.Module | Tensor]]
        named = [
            *layer.named_modules(),
            *layer.named_parameters(),
            *layer.named_buffers(),
        ]
        for name, part in named:
            if isinstance(part, nn.Module) and not isinstance(part, _NormBase):
                continue
            name = f"{index}.{name}".rstrip(".")
            first, first_name = seen.setdefault(id(part), (block, name))
            if first != block:
                kind = "parameter" if isinstance(part, nn.Parameter) else "buffer"
                if isinstance(part, nn.Module):
                    kind = f"{type(part).__name__} layer"
                raise ValueError(
                    f"layers {first_name!r} (block {first}) and {name!r} (block "
                    f"{block}) are the same {kind}: it would carry information across "
                    "the cut; use a copy, or cut so that both are in one block"
                )


def refuse_shared_heads(blocks: Iterable[nn.Module]) -> None:
    """Refuse a head that shares parameters with another block, or with its head."""
    seen: dict[int, tuple[int, str]] = {}
    for k, block in enumerate(blocks):
        for name, parameter in block.named_parameters():
            first, first_name = seen.setdefault(id(parameter), (k, name))
            if first != k:
                raise ValueError(
                    f"{first_name!r} of block {first} and {name!r} of block {k} are "
                    "the same parameter: it would carry information across the cut; "
                    "expected a head that makes new layers at every call"
                )


def refuse_inplace(layers: list[nn.Module], cuts: list[int]) -> None:
    """Refuse a block whose first layer would overwrite the block before."""
    for cut in cuts:
        for leaf in (m for m in layers[cut].modules() if not list(m.children())):
            if getattr(leaf, "inplace", False):
                raise ValueError(
                    f"layer {cut} starts a block with {leaf}: it would overwrite what "
                    "the block before returned; use inplace=False, or cut after it"
                )
            if not isinstance(leaf, nn.Identity | nn.Flatten | nn.Unflatten):
                break


def refuse_side_paths(layers: list[nn.Module], cuts: list[int], x: Tensor) -> None:
    """Refuse a block that reads more than its input, as a skip across a cut does.

    Every block runs again on what it was given, after the network has seen other data:
    what comes from elsewhere has changed meanwhile.
    """
    ends = zip([0, *cuts], [*cuts, len(layers)], strict=True)
    blocks = [nn.Sequential(*layers[start:end]) for start, end in ends]
    if len(blocks) == 1:
        return
    x = x[:2]
    other = 0.5 - 2 * x if x.is_floating_point() else torch.zeros_like(x)
    device = x.device
    with torch.no_grad(), evaluating(*blocks):
        before, runs, h = global_chance(device), [], x
        for block in blocks:
            chance = global_chance(device)
            out = block(h.clone())
            runs.append((chance, h, out.clone()))
            h = out
        for block in blocks:
            other = block(other.clone())
        for k in reversed(range(len(blocks))):  # a block that ran again would put back
            block, (chance, h, out) = blocks[k], runs[k]  # what later ones read
            with drawing_from(chance, device):
                again = block(h.clone())
            if _differ(again, out):
                raise ValueError(
                    f"block {k} (from layer {[0, *cuts][k]} on) returns something else "
                    "for the same input after the network has seen other data: it "
                    "reads more than its input, as a skip connection across a cut "
                    "does, or a layer with a memory; choose cuts that leave both ends "
                    "of a connection in one block"
                )
        set_global_chance(before, device)


def _differ(a: Tensor, b: Tensor) -> bool:
    """Return whether two states differ by more than the order of a GPU's sums."""
    slack = min(100 * torch.finfo(b.dtype).eps, 1e-2) if b.is_floating_point() else 0
    a, b = a.double().nan_to_num(), b.double().nan_to_num()
    return bool((a - b).abs().max() > slack * b.abs().max())
