"""All certificates on one page."""

from torch import Tensor

from modular.audit.features import alignment
from modular.audit.isolation import isolation
from modular.audit.locking import locking
from modular.audit.memory import memory
from modular.training import Trainer

__all__ = ["report"]


def report(trainer: Trainer, batch: tuple[Tensor, Tensor]) -> str:
    """Return isolation, memory, locks and alignment of a trainer as text.

    The page is ours; each certificate names its own source.

    Args:
        trainer: Of any method, with all modules in this process. Nothing of it changes.
        batch: Data, shape ``(batch, ...)``, and labels, shape ``(batch,)``.

    Returns:
        A page to print.

    Raises:
        TypeError: If modules live in other processes.
        ValueError: If the batch does not fit.

    Example:
        >>> import torch
        >>> from functools import partial
        >>> from modular import DGL, Partition, Trainer
        >>> layers = [torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)]
        >>> batch = torch.randn(16, 4), torch.arange(16) % 3
        >>> sgd = partial(torch.optim.SGD, lr=0.1)
        >>> partition = Partition(layers, 2, sample=batch[0])
        >>> page = report(Trainer(partition, DGL(), optimizer=sgd), batch)
        >>> print(page)
        Credit(objective=Pred(), horizon=1, ... name='DGL')
        loss j (row) reaches module i:
          x .
          . x
        as declared: True
        ...
    """
    found, locks = isolation(trainer, batch), locking(trainer)
    last = trainer.method.phases(len(trainer.partition)) - 1
    saved = memory(trainer, batch, phase=last)
    cosines = alignment(trainer, batch, phase=last)
    cost = trainer.partition.cost()
    rows = ["\n".join(_matrix(found.reaches)), f"as declared: {found.holds}"]
    rows += [f"  leak: {leak}" for leak in found.leaks]
    rows += [
        f"saved for backward: {saved.peak} bytes at most",
        f"  by layers {saved.nets.tolist()}",
        f"  by heads  {saved.heads.tolist()}",
        f"waits for later modules: {locks.update.tolist()} forward, "
        f"{locks.backward.tolist()} backward; forward lock: "
        f"{bool(locks.forward.any())}; as declared: {locks.holds}",
        f"cosine to the end-to-end gradient: {[round(c, 3) for c in cosines.tolist()]}",
        f"parameters {cost.parameters.tolist()}, heads {cost.head_parameters.tolist()}",
    ]
    return "\n".join([f"{trainer.method!r}", "loss j (row) reaches module i:", *rows])


def _matrix(mask: Tensor) -> list[str]:
    return ["  " + " ".join(".x"[int(entry)] for entry in row) for row in mask]
