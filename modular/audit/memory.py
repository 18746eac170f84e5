"""What local learning saves: the bytes that autograd holds for the backward pass."""

from dataclasses import dataclass

import torch
from torch import Tensor

from modular.audit._dry import untouched
from modular.meter import SavedTensors
from modular.training import Trainer

__all__ = ["Memory", "memory"]


@dataclass(frozen=True)
class Memory:
    """Bytes saved for backward in one step, parameters and buffers left out.

    Args:
        peak: Most bytes held at one moment, over all modules together.
        nets: Most bytes held for each module's layers. Shape ``(modules,)``.
        heads: Most bytes held for its head and loss. Shape ``(modules,)``.
        allocated: On a GPU, the allocator's own peak above the start; None on a CPU.
    """

    peak: int
    nets: Tensor
    heads: Tensor
    allocated: int | None = None


def memory(trainer: Trainer, batch: tuple[Tensor, Tensor], *, phase: int = 0) -> Memory:
    """Measure how much one step of training saves for its backward pass.

    Counted by hooks on every saved tensor, each storage once: exact, and the same on
    every run. Local losses hold one module's graph at a time, about 1/K of what
    end-to-end training holds, because each module runs backward before the next runs
    forward; to cut the graph without that (one backward at the end) would save nothing.
    Wang et al. 2021, Table 3, have it for InfoPro on GPUs.

    Args:
        trainer: Of any method, with all modules in this process. Nothing of it changes.
        batch: Data, shape ``(batch, ...)``, and labels, shape ``(batch,)``.
        phase: Which module learns, in a sequential method.

    Returns:
        Peaks, as :class:`Memory`.

    Raises:
        TypeError: If modules live in other processes.
        ValueError: If the batch does not fit.

    Example:
        >>> from functools import partial
        >>> from modular import DGL, Backprop, Partition, Trainer, audit
        >>> layers = [torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU())
        ...           for _ in range(32)]
        >>> batch = torch.randn(16, 64), torch.arange(16)
        >>> sgd = partial(torch.optim.SGD, lr=0.1)
        >>> peaks = []
        >>> for method in (Backprop(), DGL()):
        ...     partition = Partition(layers, 4, sample=batch[0])
        ...     trainer = Trainer(partition, method, optimizer=sgd)
        ...     peaks.append(audit.memory(trainer, batch).peak)
        >>> 0.2 < peaks[1] / peaks[0] < 0.35
        True
    """
    trainer.check_batch(batch)
    modules = len(trainer.partition)
    parts = [*trainer.partition.parameters(), *trainer.partition.buffers()]
    device = batch[0].device
    start = 0
    with untouched(trainer), SavedTensors(exclude=parts) as meter:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            start = torch.cuda.memory_allocated(device)
        step = trainer.prepare(batch, meter=meter)
        saved = {k: worker.optimizer for k, worker in trainer.workers.items()}
        try:
            for worker in trainer.workers.values():
                worker.optimizer = (
                    None  # graphs are freed as in training, nothing moves
                )
            trainer.play(trainer.method.schedule(modules, phase), step)
        finally:
            for k, worker in trainer.workers.items():
                worker.optimizer = saved[k]
    allocated = None
    if device.type == "cuda":
        allocated = torch.cuda.max_memory_allocated(device) - start
    nets, heads = (
        torch.tensor([meter.peaks.get((k, part), 0) for k in range(modules)])
        for part in ("net", "head")
    )
    return Memory(meter.peak, nets, heads, allocated)
