"""Checkpoints: everything that decides how training goes on, in one file."""

import os
from collections.abc import Iterable
from pathlib import Path

import torch

from modular._chance import loader_chance, set_loader_chance
from modular.training.history import History
from modular.training.state import Training

__all__ = ["resume", "save"]


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
    if path is None or not Path(path).exists():
        return
    state = torch.load(path, weights_only=True)
    modules, name = len(trainer.partition), f"checkpoint {os.fspath(path)!r}"
    if state["method"] != repr(trainer.method) or len(state["modules"]) != modules:
        raise ValueError(
            f"{name} belongs to {state['method']} on {len(state['modules'])} modules, "
            f"but this is {trainer.method!r} on {modules}: expected the same, or "
            "another file"
        )
    history, mine = History(**state["history"]), trainer.history
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
    if len(history) == both:
        return
    for k, worker in trainer.workers.items():
        worker.load_state_dict(state["modules"][k])
    trainer.steps, trainer.history = state["steps"], history
    trainer.generator.set_state(state["generator"])
    set_loader_chance(loader, state["loader"])
