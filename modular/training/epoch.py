"""One pass over the data, and what is written down about it."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from modular.meter import SavedTensors
from modular.training.state import Training

__all__ = ["check_layers", "check_rows", "epochs_bar", "train_epoch"]


def check_layers(trainer: Training) -> None:
    """Refuse to train what cannot learn, and layers that no optimiser knows."""
    if not torch.is_grad_enabled():
        raise RuntimeError(
            "gradients are off here, by torch.no_grad or torch.inference_mode: "
            "expected to train outside"
        )
    if not any(p.requires_grad for p in trainer.partition.parameters()):
        raise ValueError(
            "every parameter of the partition is frozen, its heads' too: expected "
            "something to learn"
        )
    for k, worker in trainer.workers.items():
        now = [id(p) for p in worker.block.parameters()]
        if now != [id(p) for p in worker.parameters]:
            raise ValueError(
                f"module {k} has other parameters than when the trainer was made: "
                "expected the same layers, or a new Trainer"
            )


def check_rows(rows: int) -> None:
    """Refuse a loader without data."""
    if rows == 0:
        raise ValueError(
            "the loader has 0 batches: expected at least one, and in every epoch anew "
            "(a generator is used up after the first)"
        )


def train_epoch(
    trainer: Training,
    phase: int,
    loader: Iterable[Any],
    validation: Iterable[Any] | None,
) -> None:
    """Train for one epoch and write a row of history."""
    start, sums, rows = time.perf_counter(), [], 0
    events = list(trainer.method.schedule(len(trainer.partition), phase))
    meter = SavedTensors(
        [*trainer.partition.parameters(), *trainer.partition.buffers()]
    )
    for batch in loader:
        trainer.check_batch(batch)
        size = len(batch[0])
        if rows == 0:
            with meter:
                trainer.play(events, trainer.prepare(batch, meter=meter))
        else:
            trainer.play(events, trainer.prepare(batch))
        trainer.steps += 1
        rows += size
        workers = trainer.workers.items()
        sums.append({k: (w.loss * size, w.metric) for k, w in workers})
    check_rows(rows)
    for worker in trainer.workers.values():
        worker.end_epoch()
    seconds = time.perf_counter() - start
    nothing = torch.full((len(trainer.partition),), float("nan"))
    scores = nothing if validation is None else trainer.evaluate(validation)
    mine = {
        k: (sum(s[k][0] for s in sums), sum(s[k][1] for s in sums), meter.peak)
        for k in trainer.workers
    }
    told = trainer.transport.gather(mine)
    table = torch.tensor([told[k] for k in sorted(told)], dtype=torch.float64)
    trainer.history = trainer.history.add(
        phase=phase,
        loss=table[:, 0] / rows,
        accuracy=table[:, 1] / rows,
        validation=scores,
        seconds=seconds,
        saved_bytes=int(table[:, 2].max()),
    )


def epochs_bar(phases: Sequence[int], progress: bool) -> Iterable[int]:
    """Return the phases, behind a progress bar if wanted."""
    if not progress:
        return phases
    from tqdm.auto import tqdm  # needed only here

    return tqdm(phases, unit="epoch")
