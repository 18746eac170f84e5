"""What public functions refuse at the door: what came, and what was expected."""

from collections.abc import Collection, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from modular._modes import evaluating


def check_tensor(name: str, value: Tensor) -> None:
    """Refuse anything but a tensor."""
    if not isinstance(value, Tensor):
        kind = type(value).__name__
        raise TypeError(f"{name} is of type {kind}: expected a torch.Tensor")


def check_kind(name: str, value: object, kind: type, such: str = "") -> None:
    """Refuse the wrong kind of object."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {value!r}: expected a {kind.__name__}{such}")


def check_count(name: str, value: int, least: int) -> None:
    """Refuse anything but an integer of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}: expected an int")
    if value < least:
        raise ValueError(f"{name} is {value}: expected at least {least}")


def check_positive(name: str, value: float) -> None:
    """Refuse numbers that are not positive and finite."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} is {value}: expected a positive number")


def check_not_negative(name: str, value: float) -> None:
    """Refuse numbers that are negative, infinite or NaN."""
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name} is {value}: expected a finite number >= 0")


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a name that is not in the list, and list it."""
    choices = list(choices)
    if value not in choices:
        raise ValueError(f"{name} is {value!r}: expected one of {choices}")


def check_finite(name: str, value: Tensor) -> None:
    """Refuse NaN and infinite entries, naming the first one."""
    if not torch.isfinite(value.sum()):  # one pass; the rare rest below
        bad = ~value.isfinite()
        if bad.any():
            index = bad.nonzero()[0].tolist()
            entry = value[tuple(index)].item()
            raise ValueError(f"{name}{index} is {entry}: expected finite entries")


def check_labels(name: str, target: Tensor, scores: torch.Size) -> None:
    """Refuse labels that do not fit ``scores``, and targets that would spread them."""
    check_tensor(name, target)
    classes, shape = scores[-1], tuple(target.shape)
    if target.is_floating_point():
        _check_spread(name, target, (len(target), *scores[1:]))
        return
    if target.dtype != torch.int64 or shape[1:] != tuple(scores[1:-1]):
        expected = ", ".join(["batch", *map(str, scores[1:-1])])
        comma = "," * (len(scores) == 2)
        raise ValueError(
            f"{name} has dtype {target.dtype} and shape {shape}: expected int64 labels "
            f"of shape ({expected}{comma}), or floating numbers for another loss"
        )
    lowest, highest = int(target.min()), int(target.max())
    if lowest < 0 or highest >= classes:
        wrong = lowest if lowest < 0 else highest
        raise ValueError(
            f"{name} contains the label {wrong}: expected 0 to {classes - 1}, because "
            f"the model has {classes} outputs"
        )


def _check_spread(name: str, target: Tensor, scores: tuple[int, ...]) -> None:
    """Refuse targets against which scores would be repeated: every row with every."""
    try:
        both = torch.broadcast_shapes(target.shape, scores)
    except RuntimeError:  # not to be compared number by number: the loss knows how
        return
    if both != scores:
        raise ValueError(
            f"{name} has shape {tuple(target.shape)} but scores have {scores}, and "
            f"together they would spread to {tuple(both)}: expected targets of shape "
            f"{scores}"
        )


def pair_of(batch: Any) -> tuple[Tensor, Tensor]:
    """Return data and targets, or refuse a batch that is no pair."""
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return batch[0], batch[1]
    kind = type(batch).__name__
    size = f" of {len(batch)}" if isinstance(batch, tuple | list) else ""
    raise TypeError(f"a batch is a {kind}{size}: expected a pair, data and targets")


def check_dense(name: str, value: Tensor) -> None:
    """Refuse anything but a tensor, and sparse ones."""
    check_tensor(name, value)
    if value.layout != torch.strided:
        raise ValueError(
            f"{name} is of layout {value.layout}: expected a dense tensor, as "
            f"{name}.to_dense()"
        )


def check_recorded(name: str, value: Tensor) -> None:
    """Refuse tensors that autograd cannot use."""
    if value.is_inference():
        raise ValueError(
            f"{name} was made under torch.inference_mode, where autograd cannot follow:"
            " expected it to be made outside"
        )


def check_batch(x: Tensor, target: Tensor, like: Tensor, scores: torch.Size) -> None:
    """Refuse a batch that does not fit ``like``, one row of the sample."""
    check_dense("x", x)
    check_tensor("target", target)
    if x.ndim == 0 or x.shape[1:] != like.shape[1:]:
        expected = ", ".join(["batch", *map(str, like.shape[1:])])
        raise ValueError(f"x has shape {tuple(x.shape)}: expected ({expected})")
    if len(x) == 0:
        raise ValueError("x has 0 rows: expected a batch of at least one")
    if x.dtype != like.dtype:
        raise TypeError(
            f"x has dtype {x.dtype} but the partition was made for {like.dtype}: "
            f"expected x.to({like.dtype})"
        )
    if x.device != like.device:
        raise ValueError(f"x is on {x.device}: expected {like.device}, as the sample")
    if len(target) != len(x):
        raise ValueError(
            f"target has {len(target)} rows but x has {len(x)}: expected one per row"
        )
    if x.is_floating_point():
        check_finite("x", x)
    check_labels("target", target, scores)


def check_classes(name: str, target: Tensor, who: str) -> None:
    """Refuse targets that are not one label per sample."""
    if target.is_floating_point() or target.ndim != 1:
        raise ValueError(
            f"{name} has dtype {target.dtype} and shape {tuple(target.shape)}, but "
            f"{who} compares classes: expected int64 labels of shape (batch,)"
        )


@torch.no_grad()
def check_batch_norm(
    block: Any, row: Tensor, rests: Collection[nn.Module], name: str
) -> None:
    """Refuse to train BatchNorm layers on one value per channel: no variance."""
    norms: dict[nn.Module, str] = {
        layer: layer_name
        for layer_name, layer in block.named_modules()
        if isinstance(layer, _BatchNorm) and layer not in rests
    }

    def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0].numel() == inputs[0].shape[1]:
            raise ValueError(
                f"the batch has 1 row but {name} holds a {type(layer).__name__} "
                f"({norms[layer]!r}), whose variance needs at least 2 values per "
                "channel: use larger batches, or drop_last=True in the loader"
            )

    if norms:
        handles = [layer.register_forward_pre_hook(look) for layer in norms]
        try:
            with evaluating(block):
                block.head(block(row))
        finally:
            for handle in handles:
                handle.remove()
