"""One loop for every method: the schedule says what happens, and it happens here."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from modular._checks import check_batch_norm, check_count, check_kind, pair_of
from modular.event import Event
from modular.partition import Partition
from modular.training.checkpoint import resume, save
from modular.training.epoch import check_layers, check_rows, epochs_bar, train_epoch
from modular.training.history import History
from modular.training.method import Method
from modular.training.options import Options
from modular.training.state import Batch
from modular.training.step import OptimizerMaker, Step
from modular.training.worker import Worker
from modular.transport import InProcess, Transport

__all__ = ["Trainer"]


class Trainer:
    """Train the modules of a partition by any method.

    Every module follows the method's schedule with its own optimiser, as the components
    of Gomez et al. 2022 do; what differs between methods is data. ``history`` tells
    what happened so far (:class:`modular.training.History`), ``workers`` are the
    modules that live in this process, by index.

    Args:
        partition: The cut network. It is trained in place.
        method: How losses become updates: ``DGL()``, ``Interlocking(2)``, ...
        optimizer: Makes an optimiser from parameters, for example
            ``functools.partial(torch.optim.Adam, lr=2e-3)``. Every module gets its
            own: with momentum, a shared one would move modules without a gradient.
        transport: Where modules live; None is :class:`InProcess`.
        generator: Seeds the modules' private randomness; None is torch's global one.
        options: Schedules, clipping, mixed precision and a metric, as
            :class:`modular.Options`.

    Raises:
        TypeError: If ``partition``, ``method``, ``optimizer``, ``transport`` or
            ``options`` is not one.
        ValueError: If the method does not fit the number of modules, or the loss does
            not fit the number of classes.

    Example:
        >>> from functools import partial
        >>> from modular import DGL
        >>> layers = [torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)]
        >>> x, y = torch.randn(16, 4), torch.arange(16) % 3
        >>> partition = Partition(layers, 2, sample=x)
        >>> adam = partial(torch.optim.Adam, lr=1e-2)
        >>> trainer = Trainer(partition, DGL(), optimizer=adam)
        >>> history = trainer.fit([(x, y)], epochs=50)
        >>> history.loss[-1] < history.loss[0]  # one loss per module
        tensor([True, True])
    """

    def __init__(
        self,
        partition: Partition,
        method: Method,
        *,
        optimizer: OptimizerMaker,
        transport: Transport | None = None,
        generator: torch.Generator | None = None,
        options: Options | None = None,
    ) -> None:
        options = Options() if options is None else options
        transport = InProcess() if transport is None else transport
        check_kind("partition", partition, Partition)
        check_kind("method", method, Method, ", as DGL() or Interlocking(2)")
        check_kind("transport", transport, Transport)
        check_kind("options", options, Options, ", as Options(clip=1.0)")
        if not callable(optimizer):
            raise TypeError(
                f"optimizer is {optimizer!r}: expected a function of parameters, as "
                "functools.partial(torch.optim.Adam, lr=2e-3), one optimiser per module"
            )
        method.check(len(partition))
        self.partition, self.method, self.transport = partition, method, transport
        self.optimizer, self.options = optimizer, options
        self.steps, modules = 0, len(partition)
        self.history = History.empty(modules)
        seeds = torch.randint(2**62, (modules + 1,), generator=generator).tolist()
        self.generator = torch.Generator().manual_seed(seeds.pop())
        self.workers: dict[int, Worker] = {}
        local = transport.start(modules)
        for k, block in enumerate(partition.blocks):
            objective = method.objective.at(k, modules)
            objective.check(partition.classes)
            more = {"transport": transport, "seed": seeds[k], "options": options}
            worker = Worker(k, modules, block, objective, **more)
            method.attach(worker)
            worker.make_optimizer(optimizer)
            if k in local:
                self.workers[k] = worker

    # --- one step -----------------------------------------------------------------

    def step(self, batch: Batch, *, phase: int = 0) -> Tensor:
        """Let every module learn from one batch.

        Args:
            batch: Data and labels, one row per sample.
            phase: Which module learns, in a sequential method.

        Returns:
            The local losses before the update, NaN where there are none. Shape
            ``(modules,)``.

        Raises:
            TypeError: If dtypes differ from the partition's sample, or it is no pair.
            ValueError: If the batch does not fit, is empty, has labels out of range,
                NaN, or a single row with BatchNorm; if layers have been replaced.
            RuntimeError: If gradients are off.
            FloatingPointError: If a loss is NaN or infinite; it names module and step.
        """
        self.check_batch(batch)
        self._check_phase(phase)
        check_layers(self)
        self.play(self.method.schedule(len(self.partition), phase), self.prepare(batch))
        self.steps += 1
        losses = torch.full((len(self.partition),), float("nan"), dtype=torch.float64)
        for k, worker in self.workers.items():
            losses[k] = worker.loss
        return losses

    def check_batch(self, batch: Batch) -> None:
        """Refuse a batch that cannot be trained on, with the errors of ``step``.

        Args:
            batch: Data and labels.
        """
        x, target, _ = self.method.read(batch)
        self.partition.check_batch(x, target)
        self.method.check_target(target)
        rows = len(x) * self.method.objective.rows
        for k, worker in self.workers.items():
            worker.objective.check_target(target)
            if rows == 1:
                block, rests = worker.block, worker.rests()
                check_batch_norm(block, block.like, rests, f"block {k}")

    def _check_phase(self, phase: int) -> None:
        phases = self.method.phases(len(self.partition))
        if not 0 <= phase < phases:
            raise ValueError(f"phase is {phase}: expected 0 to {phases - 1}")

    def prepare(self, batch: Batch, **options: Any) -> Step:
        """Return a batch as a step: the data as they enter the network.

        Args:
            batch: Data and labels.
            options: Further fields of the step.

        Returns:
            The step.
        """
        x, y, index = self.method.read(batch)
        x = self.method.objective.enter(x, y, self.partition.classes, self.generator)
        return Step(self.steps, x, y, index, **options)

    def play(
        self,
        events: Iterable[Event],
        step: Step,
        run: Callable[[Worker, Event], None] | None = None,
    ) -> None:
        """Let the modules that live here do their part of a schedule.

        Args:
            events: The schedule.
            step: The batch they see.
            run: How events run; None is the method's way.
        """
        self.transport.begin(step.number)
        for worker in self.workers.values():
            worker.begin(step)
        run = run or self.transport.run or self.method.run
        for event in events:
            if event.module in self.workers:
                run(self.workers[event.module], event)

    # --- many steps ---------------------------------------------------------------

    def fit(
        self,
        loader: Iterable[Batch],
        epochs: int,
        *,
        validation: Iterable[Batch] | None = None,
        phases: Sequence[int] | None = None,
        progress: bool = False,
        checkpoint: str | os.PathLike | None = None,
    ) -> History:
        """Train for some epochs.

        Ctrl-C (or a kernel interrupt) ends it and returns what there is so far, without
        the unfinished epoch.

        Args:
            loader: Batches of data and labels: a ``DataLoader`` or a list.
            epochs: Passes over the data; in a sequential method, for each module.
                Called again, it trains for as many more.
            validation: Data on which every module's predictions are tried after an
                epoch.
            phases: Which modules to train, in a sequential method; None is all in turn.
            progress: Whether to show a bar.
            checkpoint: A file that is written after every epoch. If it exists when a
                new trainer is given the same calls, training goes on from there,
                as if it had never stopped: shuffling, what layers draw from torch (as
                dropout does), optimisers and schedules included.

        Returns:
            The history, also of earlier calls.

        Raises:
            TypeError: If ``epochs`` is not an int; and as ``step``.
            ValueError: If ``epochs`` is negative, a phase unknown, the loader empty,
                or the checkpoint cannot be read, is of an earlier version, or belongs
                to another partition, optimiser, plan or run; and as ``step``.
            FloatingPointError: If a loss is NaN or infinite.
        """
        check_count("epochs", epochs, least=0)
        check_layers(self)
        for phase in phases or ():
            self._check_phase(phase)
        plan = self.method.plan(len(self.partition), epochs, phases)
        return self.transport.fit(
            self, plan, loader, validation, progress=progress, checkpoint=checkpoint
        )

    def follow(
        self,
        plan: Sequence[int],
        loader: Iterable[Batch],
        validation: Iterable[Batch] | None,
        *,
        progress: bool = False,
        checkpoint: str | os.PathLike | None = None,
    ) -> History:
        """Train one epoch for each phase in ``plan``, in this process.

        Args:
            plan: Which phase each epoch is of.
            loader: As in ``fit``.
            validation: As in ``fit``.
            progress: As in ``fit``.
            checkpoint: As in ``fit``.

        Returns:
            The history.
        """
        plan = [*self.history.phase.tolist(), *plan]
        resume(self, plan, loader, checkpoint)
        bar = epochs_bar(plan[len(self.history) :], progress)
        try:
            for phase in bar:
                train_epoch(self, phase, loader, validation)
                if checkpoint is not None:
                    save(self, checkpoint, loader=loader)
        except KeyboardInterrupt:
            pass
        return self.history

    def evaluate(self, loader: Iterable[Batch]) -> Tensor:
        """Return how well each module's head predicts, in evaluation mode.

        Args:
            loader: Batches of data and labels.

        Returns:
            The metric, a mean over samples: the share of right predictions, unless
            ``options`` have another; NaN for modules whose head the method does not
            train, and for targets that are no labels. Shape ``(modules,)``.

        Raises:
            ValueError: If the loader is empty, or a batch does not fit.
        """
        sums, rows = dict.fromkeys(self.workers, 0.0), 0
        for x, target in map(pair_of, loader):
            self.partition.check_batch(x, target)
            rows += len(x)
            x = self.method.objective.neutral(x, self.partition.classes)
            self.transport.begin(self.steps)
            for k, worker in self.workers.items():
                sums[k] += worker.evaluate(x, target)
        check_rows(rows)
        told = self.transport.gather(sums)
        shares = torch.tensor([told[k] / rows for k in sorted(told)])
        return shares.where(self.method.predicts(len(self.partition)), float("nan"))
