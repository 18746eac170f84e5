"""Save all that a run of :func:`pinn.solve` depends on, and go on from there."""

import os
import pickle
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

__all__ = ["load", "put_back", "read", "save", "write"]

_PARTS = (
    "run",
    "net",
    "optimizer",
    "step",
    "arrays",
    "num_bcs",
    "point_weights",
    "loss_weights",
    "random",
    "generators",
)
_ARRAYS = ("train_x_all", "train_x_bc", "train_x", "train_y", "anchors")


def _random_states() -> dict:
    """Read the global generators, in types that need no pickle."""
    name, keys, *rest = cast(tuple, np.random.get_state(legacy=True))
    return {
        "torch": torch.get_rng_state(),
        "numpy": [name, torch.as_tensor(keys.astype(np.int64)), *rest],
        "python": random.getstate(),
    }


def _set_random_states(states: dict) -> None:
    """Put the global generators back."""
    torch.set_rng_state(states["torch"])
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    random.setstate(states["python"])


def _generators(callbacks: Sequence[object]) -> list[torch.Generator]:
    """Return the callbacks' own generators."""
    found = (getattr(callback, "generator", None) for callback in callbacks)
    return [g for g in found if isinstance(g, torch.Generator)]


def save(path: Path, model: Any, run: dict) -> None:
    """Write a checkpoint; the file is whole at any time.

    Args:
        path: The file.
        model: The ``deepxde.Model``.
        run: What else to keep, plain values and tensors.
    """
    data = model.data
    arrays = {name: getattr(data, name) for name in _ARRAYS}
    state = {
        "run": run,
        "net": model.net.state_dict(),
        "optimizer": model.opt.state_dict(),
        "step": model.train_state.step,
        "arrays": {
            name: None if array is None else torch.as_tensor(array, device="cpu")
            for name, array in arrays.items()
        },
        "num_bcs": [int(count) for count in data.num_bcs],
        "point_weights": data.point_weights,
        "loss_weights": model.loss_weights,
        "random": _random_states(),
        "generators": [g.get_state() for g in _generators(model.callbacks.callbacks)],
    }
    write(path, state)


def load(path: Path, model: Any, expected: dict) -> dict:
    """Read a checkpoint: the network, the optimiser, the points.

    Args:
        path: The file.
        model: The ``deepxde.Model``, compiled as it was then.
        expected: What the checkpoint must say of its run.

    Returns:
        The rest, for :func:`put_back`, with the ``run`` of :func:`save`.

    Raises:
        ValueError: If the checkpoint is of another run, or none at all.
    """
    state = read(path, "checkpoint", _PARTS, "solve(checkpoint=...)")
    for name, value in expected.items():
        kept = state["run"].get(name)
        if not _same(kept, value):
            raise ValueError(
                f"checkpoint {path} has {name} = {kept!r}, this run "
                f"{value!r}: expected the same run, or another file"
            )
    model.net.load_state_dict(state["net"])
    model.opt.load_state_dict(state["optimizer"])
    model.train_state.step = model.train_state.iteration = state["step"]
    for name, array in state["arrays"].items():
        setattr(model.data, name, None if array is None else array.numpy())
    model.data.num_bcs = state["num_bcs"]
    return state


def put_back(state: dict, model: Any) -> None:
    """Put back what the start of a training changes: weights and generators.

    Args:
        state: What :func:`load` returned.
        model: The model, training.
    """
    weights = state["point_weights"]
    like = next(model.net.parameters())
    model.data.point_weights = None if weights is None else weights.to(like)
    model.loss_weights = state["loss_weights"]
    generators = _generators(model.callbacks.callbacks)
    for generator, kept in zip(generators, state["generators"], strict=True):
        generator.set_state(kept)
    _set_random_states(state["random"])


def write(path: Path, state: dict) -> None:
    """Write a file that is whole at any time.

    Args:
        path: The file.
        state: Plain values and tensors.

    Raises:
        ValueError: If the folder does not exist.
    """
    if not path.parent.is_dir():
        raise ValueError(f"path is {path}: expected a file in an existing folder")
    partly = path.with_name(path.name + ".part")
    torch.save(state, partly)
    os.replace(partly, path)


def read(path: Path, kind: str, parts: Sequence[str], writer: str) -> dict:
    """Read a file, or say that it is none of ours.

    Args:
        path: The file.
        kind: What it should be.
        parts: What it must hold; the first names the kind.
        writer: What writes such files.

    Returns:
        What it holds.

    Raises:
        ValueError: If it cannot be read, is of something else, or lacks a part.
    """
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"{kind} {path} cannot be read ({type(error).__name__}): expected a "
            f"file that {writer} has written, or a new name"
        ) from error
    if not isinstance(state, dict) or parts[0] not in state:
        raise ValueError(
            f"{kind} {path} is of something else: expected a file that "
            f"{writer} has written, or a new name"
        )
    missing = [part for part in parts if part not in state]
    if missing:
        raise ValueError(
            f"{kind} {path} lacks {', '.join(missing)}, as one of another version "
            "does: expected a file that this version has written, or a new name"
        )
    return state


def _same(kept: object, value: object) -> bool:
    """Compare; numbers up to round-off, which differs from processor to processor."""
    if not isinstance(value, list) or not isinstance(kept, list):
        return kept == value
    return len(kept) == len(value) and np.allclose(kept, value, rtol=1e-7, atol=1e-9)
