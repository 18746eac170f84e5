"""Checkpoints: everything that decides how training goes on, in one file."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from modular._chance import loader_chance, set_loader_chance
from modular.training.history import History
from modular.training.state import Training

__all__ = ["resume", "save"]


def save(
    trainer: Training,
    path: str | os.PathLike,
    *,
    plan: list[int],
    done: int,
    loader: Iterable,
) -> None:
    """Write a trainer's state after ``done`` epochs of a plan.

    The file is either the old one or the new one, never half of it. Where modules live
    in several processes, all of them call this and one writes.
    """
    parts = {k: worker.state_dict() for k, worker in trainer.workers.items()}
    state = {
        "method": repr(trainer.method),
        "plan": plan,
        "done": done,
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
    plan: Sequence[int],
    loader: Iterable,
    path: str | os.PathLike | None,
) -> int:
    """Go on from a checkpoint, if there is one; return the epochs it has done."""
    if path is None or not Path(path).exists():
        return 0
    state = torch.load(path, weights_only=True)
    done, modules = state["done"], len(trainer.partition)
    if state["method"] != repr(trainer.method) or len(state["modules"]) != modules:
        raise ValueError(
            f"checkpoint {os.fspath(path)!r} belongs to {state['method']} on "
            f"{len(state['modules'])} modules, but this is {trainer.method!r} on "
            f"{modules}: expected the same, or another file"
        )
    if list(plan[:done]) != state["plan"][:done]:
        raise ValueError(
            f"checkpoint {os.fspath(path)!r} has trained phases "
            f"{state['plan'][:done]}, but the plan is {list(plan)}: expected the "
            "same epochs and phases"
        )
    for k, worker in trainer.workers.items():
        worker.load_state_dict(state["modules"][k])
    trainer.steps, trainer.history = state["steps"], History(**state["history"])
    trainer.generator.set_state(state["generator"])
    set_loader_chance(loader, state["loader"])
    return done
