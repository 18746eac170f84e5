"""Checkpoints: everything that decides how training goes on, in one file."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from modular._chance import loader_chance, set_loader_chance
from modular.training.history import History
from modular.training.state import Training

__all__ = ["resume", "save"]

_KEYS = ("method", "steps", "history", "modules", "generator", "loader")
_ROWS = [field.name for field in fields(History)]


def save(trainer: Training, path: str | os.PathLike, *, loader: Iterable) -> None:
    """Write a trainer's state after an epoch.

    The file is either the old one or the new one, never half of it. Where modules live
    in several processes, all of them call this and one writes.
    """
    parts = {k: worker.state_dict() for k, worker in trainer.workers.items()}
    state = {
        "method": repr(trainer.method),
        "steps": trainer.steps,
        "history": trainer.history.state_dict(),
        "modules": trainer.transport.gather(parts),
        "generator": trainer.generator.get_state(),
        "loader": loader_chance(loader),
    }
    if trainer.transport.leads:
        path = Path(path)
        draft = path.with_name(path.name + ".part")
        torch.save(state, draft)
        os.replace(draft, path)


def resume(
    trainer: Training,
    plan: list[int],
    loader: Iterable,
    path: str | os.PathLike | None,
) -> None:
    """Go on from a checkpoint, if there is one that knows more than the trainer.

    ``plan`` has the phase of every epoch from the first on, those done included.
    """
    if path is None:
        return
    if not Path(path).parent.is_dir():
        raise ValueError(
            f"checkpoint is {os.fspath(path)!r} but there is no folder "
            f"{Path(path).parent.name!r}: expected a file in a folder that exists"
        )
    if not Path(path).exists():
        return
    name = f"checkpoint {os.fspath(path)!r}"
    state = _read(path, name)
    history = History(**state["history"])
    _refuse_another_run(trainer, plan, state, history, name)
    if len(history) <= len(trainer.history):
        return
    for k, worker in trainer.workers.items():
        own, saved = worker.state_dict(), state["modules"].get(k)
        _refuse_missing(name, saved, own, f"modules[{k}]")
        _refuse_other_settings(f"{name}, module {k},", saved, own)
    set_loader_chance(loader, state["loader"])
    for k, worker in trainer.workers.items():
        worker.load_state_dict(state["modules"][k])
    trainer.steps, trainer.history = state["steps"], history
    trainer.generator.set_state(state["generator"])


def _read(path: str | os.PathLike, name: str) -> dict[str, Any]:
    """Return what :func:`save` wrote, or refuse another, a broken or an older file."""
    try:
        state = torch.load(path, weights_only=True)
    except Exception as error:  # torch raises many kinds
        reason = str(error).split("\n")[0].split(". ")[0][:100]
        raise ValueError(
            f"{name} cannot be read ({type(error).__name__}: {reason}): expected a "
            "file that fit wrote, or another name to train from the start"
        ) from None
    _refuse_missing(name, state, _KEYS)
    _refuse_missing(name, state["history"], _ROWS, "history")
    _refuse_missing(name, state["modules"], [0], "modules")
    return state


def _refuse_missing(
    name: str, found: object, wanted: Iterable[object], part: str = ""
) -> None:
    """Refuse a file without some of what an earlier or another program left out."""
    held = found if isinstance(found, Mapping) else {}
    missing = [
        f"{part}[{key!r}]" if part else repr(key) for key in wanted if key not in held
    ]
    if missing:
        raise ValueError(
            f"{name} lacks {', '.join(missing)}: another program or an earlier version "
            "wrote it; expected another name, to train from the start"
        )


def _refuse_another_run(
    trainer: Training,
    plan: list[int],
    state: dict[str, Any],
    history: History,
    name: str,
) -> None:
    """Refuse another method, another plan, and epochs that were not this trainer's."""
    modules, mine = len(trainer.partition), trainer.history
    if state["method"] != repr(trainer.method) or len(state["modules"]) != modules:
        raise ValueError(
            f"{name} belongs to {state['method']} on {len(state['modules'])} modules, "
            f"but this is {trainer.method!r} on {modules}: expected the same, or "
            "another file"
        )
    done = history.phase.tolist()
    if plan[: len(done)] != done:
        raise ValueError(
            f"{name} has trained phases {done}, but the plan is {plan}: expected the "
            "same epochs and phases in one call of fit, or another file"
        )
    both = min(len(history), len(mine))
    losses = history.loss[:both], mine.loss[:both]
    if not torch.equal(*(loss.nan_to_num(-1.0) for loss in losses)):
        raise ValueError(
            f"{name} holds another run: its losses are {losses[0].tolist()}, but this "
            f"trainer has seen {losses[1].tolist()}: expected another file, or a new "
            "trainer to go on from this one"
        )


def _refuse_other_settings(
    name: str, saved: dict[str, Any], mine: dict[str, Any]
) -> None:
    """Refuse the weights of other layers, and other optimisers and schedules."""
    theirs, own = (
        {f"{key} of shape": tuple(value.shape) for key, value in part["block"].items()}
        for part in (saved, mine)
    )
    told, wanted = saved["settings"], mine["settings"]  # torch adds settings: skip new
    theirs |= {key: told[key] for key in told if key in wanted}
    own |= {key: wanted[key] for key in wanted if key in told}
    for key in own | theirs:
        if theirs.get(key) != own.get(key):
            raise ValueError(
                f"{name} has {key} {theirs.get(key)} but this trainer {own.get(key)}: "
                "expected the same, or another file"
            )
