"""What a trainer may be told beside its optimiser: schedules, clipping, precision."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from modular._checks import check_positive

__all__ = ["Metric", "Options", "SchedulerMaker", "accuracy"]

Metric = Callable[..., Any]  # (scores, target) -> (batch,) or ()
SchedulerMaker = Callable[[Optimizer], LRScheduler]


@dataclass(frozen=True)
class Options:
    """How modules step, beside their optimiser, and how predictions are judged.

    Args:
        scheduler: Makes a learning-rate schedule from a module's optimiser, for example
            ``functools.partial(torch.optim.lr_scheduler.StepLR, step_size=5)``. Every
            module has its own, which moves on after each epoch in which the module has
            learned; checkpoints keep it.
        per_batch: Whether schedules move on after every batch instead.
        clip: Largest norm of a module's gradient, its layers, head and parts together;
            longer ones are shortened to it. A module knows no gradient but its own, so
            that this is not the norm of the whole network, under Backprop neither.
        autocast: ``torch.bfloat16`` runs layers, heads and losses in mixed precision
            (:class:`torch.autocast`); what modules send to each other keeps its dtype.
        metric: Judges predictions, ``metric(scores, target)``: one number per sample,
            as a tensor of size ``(batch,)``, or their mean, of size ``()``. None is
            :func:`accuracy` where targets are labels, and NaN where they are not.

    Raises:
        TypeError: If ``scheduler`` or ``metric`` is no function.
        ValueError: If ``clip`` is not positive, or ``autocast`` another dtype.
    """

    scheduler: SchedulerMaker | None = None
    per_batch: bool = False
    clip: float | None = None
    autocast: torch.dtype | None = None
    metric: Metric | None = None

    def __post_init__(self) -> None:
        for name in ("scheduler", "metric"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise TypeError(f"{name} is {value!r}: expected a function")
        if self.clip is not None:
            check_positive("clip", self.clip)
        if self.autocast not in (None, torch.bfloat16):
            raise ValueError(
                f"autocast is {self.autocast!r}: expected torch.bfloat16 (gradients in "
                "float16 vanish without loss scaling, which is not here)"
            )


def accuracy(scores: Tensor, target: Tensor) -> Tensor:
    """Return where the largest score is that of the label, a mean over positions.

    Args:
        scores: Scores. Shape ``(batch, ..., classes)``.
        target: Labels. Shape ``(batch, ...)``.

    Returns:
        Share of right predictions per sample. Shape ``(batch,)``.
    """
    right = (scores.argmax(dim=-1) == target).double()
    return right.flatten(1).mean(dim=1) if right.ndim > 1 else right


def judged(metric: Metric | None, scores: Tensor, target: Tensor) -> float:
    """Return the sum of a metric over the samples, NaN where none applies."""
    if metric is None:
        if target.is_floating_point() or scores.shape[:-1] != target.shape:
            return float("nan")
        metric = accuracy
    with torch.no_grad():
        values = torch.as_tensor(metric(scores.detach(), target))
    if values.shape == (len(target),):
        return values.double().sum().item()
    if values.ndim == 0:
        return values.item() * len(target)
    raise ValueError(
        f"metric {metric!r} returned shape {tuple(values.shape)}: expected "
        f"({len(target)},), one number per sample, or (), the mean of the batch"
    )


def schedule_of(options: Options, optimizer: Optimizer) -> LRScheduler | None:
    """Return the schedule of an optimiser, or None."""
    if options.scheduler is None:
        return None
    made = options.scheduler(optimizer)
    if isinstance(made, ReduceLROnPlateau) or not isinstance(made, LRScheduler):
        raise TypeError(
            f"scheduler makes a {type(made).__name__}: expected a schedule that "
            "follows the clock, as torch.optim.lr_scheduler.StepLR"
        )
    return made


def told(
    options: Options, optimizer: Optimizer | None, scheduler: LRScheduler | None
) -> dict[str, str]:
    """Return what decides how a module steps, in words, so that it can be compared."""
    rates = {} if optimizer is None else optimizer.defaults
    return {
        "optimizer": type(optimizer).__name__,
        **{f"optimizer's {key}": repr(value) for key, value in rates.items()},
        "scheduler": type(scheduler).__name__,
        "per_batch": repr(options.per_batch),
        "clip": repr(options.clip),
        "autocast": repr(options.autocast),
    }


def clip(parameters: list[nn.Parameter], most: float | None, where: str) -> None:
    """Shorten gradients in place to a norm of at most ``most``; None leaves them."""
    if most is None:
        return
    norm = nn.utils.clip_grad_norm_(parameters, most)
    if not norm.isfinite():
        raise FloatingPointError(
            f"the gradient of {where} has the norm {norm.item()}: try a smaller "
            "learning rate, or look for extreme values in the data"
        )


@contextmanager
def precision(options: Options, device: torch.device) -> Iterator[None]:
    """Run layers in mixed precision if that is wanted."""
    if options.autocast is None:
        yield
        return
    with torch.autocast(device.type, dtype=options.autocast):
        yield
