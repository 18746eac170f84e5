"""Checkpoints: what a training needs to go on, and proof that it is the same one."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unroll.networks._state import KEY, unpacked
from unroll.networks.base import Unrolled
from unroll.training.recipe import Recipe
from unroll.training.sources import Batch, Source

__all__ = [
    "checked_path",
    "read",
    "refuse_another_network",
    "refuse_other_samples",
    "settled",
    "write",
]

_SHOWN = 8  # validation samples kept in a checkpoint, to be recognised by


def checked_path(checkpoint: str | os.PathLike, source: Source) -> Path:
    """Return the checkpoint's path, or refuse what could not be resumed."""
    path = Path(checkpoint)
    if not path.parent.is_dir():
        raise ValueError(
            f"checkpoint is {str(checkpoint)!r} but there is no folder "
            f"{path.parent.name!r}: expected a file in a folder that exists"
        )
    if not source.resumable:
        raise ValueError(
            "checkpoint cannot be kept with a DataLoader, whose order is its own: "
            "expected tensors (b, x), or no checkpoint"
        )
    return path


def settled(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as plain values; an objective as what it prints."""
    return asdict(recipe) | {"objective": repr(recipe.goal)}


def write(path: Path, state: Mapping[str, Any], held_out: Batch) -> None:
    """Write a state; a half-written file never takes the place of a whole one."""
    b, x = held_out
    shown = {"b": b[:_SHOWN], "x": None if x is None else x[:_SHOWN]}
    part = path.with_name(path.name + ".part")
    torch.save(dict(state) | {"held_out": shown}, part)
    os.replace(part, path)


def read(
    path: Path, recipe: Recipe, device: torch.device, wanted: Iterable[str]
) -> dict[str, Any]:
    """Return what :func:`write` wrote, or refuse another file or recipe."""
    try:
        state = torch.load(path, weights_only=True, map_location=device)
    except Exception as error:  # torch raises many kinds
        reason = str(error).split("\n")[0].split(". ")[0][:100]
        raise ValueError(
            f"checkpoint {path.name} cannot be read ({type(error).__name__}: {reason}):"
            " expected a file that train wrote"
        ) from None
    held = state if isinstance(state, Mapping) else {}
    missing = [repr(key) for key in ("recipe", "held_out", *wanted) if key not in held]
    if missing:
        raise ValueError(
            f"checkpoint {path.name} lacks {', '.join(missing)}: another program or an "
            "earlier version wrote it; expected another name, to train from the start"
        )
    saved = state["recipe"]
    for name, value in settled(recipe).items():
        if saved.get(name) != value:
            raise ValueError(
                f"checkpoint has {name} = {saved.get(name)!r} but the recipe {value!r}:"
                " expected the same recipe, or another file"
            )
    return state


def refuse_another_network(net: Unrolled, saved: Mapping[str, Any]) -> None:
    """Refuse the weights of another dictionary, or of other settings."""
    settings, own = unpacked(saved.get(KEY)), net.described()
    for name, value in own.items():
        if settings.get(name) != value:
            raise ValueError(
                f"checkpoint has {name} = {settings.get(name)!r} but net {value!r}: "
                "expected the same network, or another file"
            )
    for name, buffer in net.named_buffers():
        if not _same(saved.get(name), buffer):
            raise ValueError(
                f"checkpoint was written for another {name}: expected the dictionary "
                "and weight it was trained with, or another file"
            )


def refuse_other_samples(shown: Mapping[str, Tensor | None], held_out: Batch) -> None:
    """Refuse samples of another problem: other codes, or other measurements of them."""
    for name, own, why in (
        ("x", held_out[1], "density, data or seed"),
        ("b", held_out[0], "SNR, dictionary or data"),
    ):
        if not _same(shown[name], None if own is None else own[:_SHOWN]):
            raise ValueError(
                f"checkpoint was trained on other samples, the {name} to validate with "
                f"differ: expected the same {why}, or another file"
            )


def _same(saved: Tensor | None, own: Tensor | None) -> bool:
    """Whether two tensors agree, but for the rounding of another processor."""
    if saved is None or own is None:
        return saved is own
    if saved.shape != own.shape or saved.dtype != own.dtype:
        return False
    if not (own.is_floating_point() or own.is_complex()):
        return torch.equal(saved, own)
    close = torch.finfo(own.dtype).eps ** 0.5
    return bool(torch.allclose(saved, own, rtol=close, atol=close * own.abs().max()))
