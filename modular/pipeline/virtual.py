"""All ranks in one process: what a schedule computes and holds, without its speed."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from modular.meter import SavedTensors
from modular.pipeline.replay import replay, wire
from modular.pipeline.schedule import Op, as_schedule
from modular.pipeline.worker import Key, Loss, Mail, Worker, check_stages, split

__all__ = ["Step", "Virtual"]


@dataclass(frozen=True)
class Step:
    """What a step of training was.

    Args:
        loss: Mean over all rows. Shape ``()``.
        saved_bytes: Most that autograd held for each rank's backwards at a time,
            parameters left out. Shape ``(ranks,)``.
    """

    loss: Tensor
    saved_bytes: Tensor


class _Pigeonholes(Mail):
    """Mail within a process."""

    def __init__(self) -> None:
        self.held: dict[Key, Tensor] = {}

    def put(self, op: Op, key: Key, h: Tensor) -> None:
        self.held[key] = h

    def take(self, op: Op, key: Key) -> Tensor:
        return self.held.pop(key)


class Virtual(nn.Module):
    r"""Let one process do what a schedule has many ranks do, in an order of the clock.

    Real stages, real autograd, any number of ranks, on a CPU or a GPU. Every pipe has
    its own copy of every stage, as on real ranks, and at the end of a step all copies
    have the sum of their gradients, so that equal optimisers keep them equal. The
    gradient is the whole model's,

    .. math:: \nabla \tfrac 1N \textstyle\sum_m \ell_m,

    for micro-batches of one size and a loss that is a mean over rows. Synchronous as
    GPipe, Huang et al. 2019.

    Args:
        schedule: Lists of operations, one a rank.
        stages: The parts of the model, in order; those of the first pipe are these
            modules, other pipes have copies.
        loss: Of the last stage's output and targets; a mean over rows, shape ``()``.

    Raises:
        ValueError: If the schedule is wrong, see :func:`check`, if there are not as
            many stages, if two share a parameter, or one trains a BatchNorm layer.

    Example:
        >>> from modular.pipeline import Chimera
        >>> stages = [nn.Linear(3, 3) for _ in range(4)]
        >>> virtual = Virtual(Chimera().schedule(4, 8), stages, nn.MSELoss())
        >>> x = torch.randn(16, 3)
        >>> step = virtual.step(x, x)
        >>> whole = nn.MSELoss()(nn.Sequential(*stages)(x), x)
        >>> bool(torch.isclose(step.loss, whole)), step.saved_bytes.shape
        (True, torch.Size([4]))
    """

    def __init__(
        self,
        schedule: Mapping[int, Sequence[Op]],
        stages: Sequence[nn.Module],
        loss: Loss,
    ) -> None:
        super().__init__()
        self.schedule = as_schedule(schedule)
        wires = wire(self.schedule)
        check_stages(self.schedule, stages)
        one = np.dtype(np.int64)
        end = replay(wires, lambda ops: np.ones(len(ops), one), None, one)
        self._order = np.argsort(end, kind="stable").tolist()
        self._owners = wires.owners.tolist()
        self.loss = loss
        pipes = int(self.schedule.pipes.max()) + 1
        copies = [list(stages), *(copy.deepcopy(list(stages)) for _ in range(1, pipes))]
        self.copies = nn.ModuleList(map(nn.ModuleList, copies))

    def step(self, x: Tensor, y: Tensor) -> Step:
        """Compute the gradient of a batch; gradients from before are dropped.

        Args:
            x: Data. Shape ``(batch, ...)``.
            y: Targets. Shape ``(batch, ...)``.

        Returns:
            Loss and what was held, as :class:`Step`.

        Raises:
            ValueError: If the batch does not split into micro-batches of one size.
        """
        micros = split(x, y, self.schedule)
        self.zero_grad(set_to_none=True)
        mail = _Pigeonholes()
        homes = {
            (p, s): stage
            for p, pipe in enumerate(self.copies)
            for s, stage in enumerate(cast(nn.ModuleList, pipe))
        }
        worker = Worker(self.schedule, homes, self.loss, mail)
        worker.begin(*micros)
        with SavedTensors([*self.parameters(), *self.buffers()]) as meter:
            for index in self._order:
                meter.label = self._owners[index]
                worker.do(self.schedule.op(index))
        self._sum_gradients()
        peaks = [meter.peaks.get(rank, 0) for rank in range(len(self.schedule))]
        return Step(torch.stack(worker.losses).sum(), torch.tensor(peaks))

    def _sum_gradients(self) -> None:
        """Give every copy of a parameter the sum of the gradients of all."""
        for copies in zip(*(pipe.parameters() for pipe in self.copies), strict=True):
            given = [p.grad for p in copies if p.grad is not None]
            if given and len(copies) > 1:
                total = torch.stack(given).sum(0)
                for parameter in copies:
                    parameter.grad = total.clone()
