"""Real ranks: processes that send each other states and gradients."""

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from modular._checks import check_positive
from modular.pipeline.replay import check
from modular.pipeline.schedule import Op, Schedule, as_schedule
from modular.pipeline.worker import Key, Loss, Mail, Worker, check_stages, split
from modular.profile import states_of

__all__ = ["Ranks"]


class _Post(Mail):
    """Mail between processes; a message's tag is what it is and who takes it."""

    def __init__(
        self, schedule: Schedule, like: Sequence[Tensor], timeout: float
    ) -> None:
        self.rank, self.timeout, self.like = dist.get_rank(), timeout, like
        self.homes = schedule.homes()
        self.micros = int((schedule.micros + schedule.counts).max())
        self._local: dict[Key, Tensor] = {}
        self._sent: list[tuple[dist.Work | None, Tensor, str]] = []

    def begin(self, rows: int) -> None:
        """Begin a step with so many rows in a micro-batch."""
        self.rows = rows

    def put(self, op: Op, key: Key, h: Tensor) -> None:
        peer = int(self.homes[op.pipe, key[1]])
        if peer == self.rank:
            self._local[key] = h
            return
        h = h.detach().contiguous()
        work = dist.isend(h, peer, tag=self._tag(key))
        self._sent.append(
            (work, h, f"sending the {self._name(op, key)} to rank {peer}")
        )

    def take(self, op: Op, key: Key) -> Tensor:
        kind, stage, _ = key
        sender = stage - 1 if kind == "state" else stage + 1
        peer = int(self.homes[op.pipe, sender])
        if peer == self.rank:
            return self._local.pop(key)
        like = self.like[stage if kind == "state" else stage + 1]
        h = like.new_empty((self.rows, *like.shape[1:]))
        work = dist.irecv(h, peer, tag=self._tag(key))
        self.wait(work, f"waiting for the {self._name(op, key)} from rank {peer}")
        return h

    def settle(self) -> None:
        """Wait until all that was sent has been taken."""
        for work, _, what in self._sent:
            self.wait(work, what)
        self._sent.clear()

    def wait(self, work: dist.Work | None, what: str) -> None:
        """Wait for a message, or say what it was that did not come."""
        try:
            if work is None:
                raise RuntimeError("torch knows no such rank")
            work.wait(timedelta(seconds=self.timeout))
        except RuntimeError as error:
            raise ConnectionError(
                f"rank {self.rank} gave up {what} (time-out {self.timeout:g} s): see "
                "what that rank reports, or allow more time"
            ) from error

    def _tag(self, key: Key) -> int:
        kind, stage, micro = key
        return 2 * (stage * self.micros + micro) + (kind == "credit")

    @staticmethod
    def _name(op: Op, key: Key) -> str:
        made = "state" if key[0] == "state" else "gradient"
        return f"{made} of micro-batch {key[2]} for stage {key[1]}, in the {op}"


class Ranks:
    """Let every process do the list of its rank, on ``torch.distributed``.

    A rank sends a state or a gradient as soon as there is one and goes on; messages
    that cross are told apart by tags. Copies of a stage add their gradients by
    all-reduce, begun as soon as a rank has the last of its part: eager, as in Li and
    Hoefler 2021, "Chimera". Every process is given the whole model and the same
    batches, and keeps its own stages, in ``copies`` by pipe and stage. Micro-batches
    and loss are as for :class:`Virtual`.

    Args:
        schedule: Lists of operations, one a rank.
        stages: All parts of the model, in order.
        loss: Of the last stage's output and targets; a mean over rows, shape ``()``.
        sample: Some rows of data, to see the shapes that stages hand on. Shape
            ``(batch, ...)``.
        timeout: Seconds to wait for a message.

    Raises:
        ValueError: If there are more or fewer processes than ranks, or as
            :class:`Virtual` does.

    Example:
        >>> from modular.pipeline import OneFOneB
        >>> store = dist.HashStore()
        >>> dist.init_process_group("gloo", store=store, rank=0, world_size=1)
        >>> stages, x = [nn.Linear(3, 3)], torch.randn(8, 3)
        >>> ranks = Ranks(OneFOneB().schedule(1, 4), stages, nn.MSELoss(), x)
        >>> ranks.step(x, x).shape
        torch.Size([])
        >>> dist.destroy_process_group()
    """

    def __init__(
        self,
        schedule: Mapping[int, Sequence[Op]],
        stages: Sequence[nn.Module],
        loss: Loss,
        sample: Tensor,
        *,
        timeout: float = 60.0,
    ) -> None:
        check_positive("timeout", timeout)
        self.schedule, self.rank = as_schedule(schedule), dist.get_rank()
        check(self.schedule)
        check_stages(self.schedule, stages)
        if len(self.schedule) != dist.get_world_size():
            raise ValueError(
                f"there are {dist.get_world_size()} processes: expected "
                f"{len(self.schedule)}, the ranks of the schedule"
            )
        homes = self.schedule.homes()
        self.copies = {
            (pipe, stage): copy.deepcopy(stages[stage])
            for pipe, row in enumerate(homes.tolist())
            for stage, home in enumerate(row)
            if home == self.rank
        }
        self._mail = _Post(self.schedule, states_of(stages, sample), timeout)
        self._worker = Worker(self.schedule, self.copies, loss, self._mail)
        self._groups: dict[int, dist.ProcessGroup] = {}
        for stage in range(len(stages)):  # all ranks make all groups, in one order
            members = sorted(set(homes[:, stage].tolist()) - {-1})
            if len(members) > 1:
                group = dist.new_group(members, timeout=timedelta(seconds=timeout))
                self._groups[stage] = group
        ops = self.schedule[self.rank]
        gives = ("backward", "weight")
        self._done = {op.stage: i for i, op in enumerate(ops) if op.kind in gives}
        self._ops = ops

    @staticmethod
    def join(timeout: float = 60.0, backend: str = "gloo") -> None:
        """Join the processes that ``torchrun`` started, if that is not done yet.

        Args:
            timeout: Seconds to wait for processes that are missing.
            backend: ``"gloo"`` on CPUs, ``"nccl"`` on GPUs.

        Raises:
            RuntimeError: If this process was not started by ``torchrun``.
        """
        if "RANK" not in os.environ and not dist.is_initialized():
            raise RuntimeError(
                "RANK is not set: expected to be started by torchrun, as in `torchrun "
                "--standalone --nproc-per-node 4 -m modular.pipeline.run`"
            )
        if not dist.is_initialized():
            dist.init_process_group(backend, timeout=timedelta(seconds=timeout))

    def parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the stages that live here, for an optimiser.

        Returns:
            Those of all copies.
        """
        return [p for stage in self.copies.values() for p in stage.parameters()]

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """Compute this rank's part of the gradient of a batch; old ones are dropped.

        Args:
            x: Data, the same on all ranks. Shape ``(batch, ...)``.
            y: Targets, the same on all ranks. Shape ``(batch, ...)``.

        Returns:
            Mean loss over all rows, on every rank. Shape ``()``.

        Raises:
            ConnectionError: If another rank does not answer in time; says which, and
                what was waited for.
        """
        micros = split(x, y, self.schedule)
        self._mail.begin(len(micros[0][0]))
        self._worker.begin(*micros)
        for parameter in self.parameters():
            parameter.grad = None
        sums = []
        for slot, op in enumerate(self._ops):
            self._worker.do(op)
            if self._done.get(op.stage) == slot:
                sums.append(self._add_up(op.stage))
        self._mail.settle()
        for some in sums:
            self._finish(some)
        losses = self._worker.losses
        loss = (
            torch.stack(losses).sum() if losses else self._mail.like[-1].new_zeros(())
        )
        work = dist.all_reduce(loss, async_op=True)
        self._mail.wait(work, "adding up the loss with all ranks")
        return loss

    def _add_up(self, stage: int) -> "_Sum":
        """Begin to add up the gradients of a stage over all of its copies."""
        own = [
            [p for p in module.parameters() if p.requires_grad]
            for (_, s), module in self.copies.items()
            if s == stage
        ]
        flat = [[_gradient(p).flatten() for p in weights] for weights in own]
        total = torch.stack([torch.cat(f) for f in flat]).sum(0) if flat[0] else None
        group, work = self._groups.get(stage), None
        if group is not None and total is not None:
            work = dist.all_reduce(total, group=group, async_op=True)
        return _Sum(stage, own, total, work)

    def _finish(self, done: "_Sum") -> None:
        """Wait for a sum and give it to all copies that live here."""
        if done.work is not None:
            self._mail.wait(done.work, f"adding up the gradients of stage {done.stage}")
        for weights in done.weights:
            if done.total is not None:
                sizes = [p.numel() for p in weights]
                for p, g in zip(weights, done.total.split(sizes), strict=True):
                    p.grad = g.view_as(p).clone()


@dataclass(frozen=True)
class _Sum:
    """Gradients of a stage on their way."""

    stage: int
    weights: list[list[nn.Parameter]]  # of each copy
    total: Tensor | None
    work: dist.Work | None


def _gradient(p: nn.Parameter) -> Tensor:
    return torch.zeros_like(p) if p.grad is None else p.grad
