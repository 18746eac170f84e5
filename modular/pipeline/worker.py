"""One rank at work: forwards and backwards of its stages, one operation at a time."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from modular._chance import drawing_from, global_chance
from modular._checks import check_tensor
from modular.partition.cutting import refuse_ties
from modular.pipeline.schedule import Op, Schedule

__all__ = ["Key", "Loss", "Mail", "Worker", "check_stages", "split"]

Loss = Callable[[Tensor, Tensor], Tensor]
Key = tuple[str, int, int]  # state or credit, the stage that takes it, micro-batch


class Mail(ABC):
    """How a state, or the gradient of one, comes to the stage that takes it."""

    @abstractmethod
    def put(self, op: Op, key: Key, h: Tensor) -> None:
        """Send what an operation has made."""

    @abstractmethod
    def take(self, op: Op, key: Key) -> Tensor:
        """Wait for what an operation needs."""


def check_stages(schedule: Schedule, stages: Sequence[nn.Module]) -> None:
    """Refuse stages that do not fit, or whose gradient would not be the model's."""
    expected = int(schedule.stages.max()) + 1
    if len(stages) != expected:
        raise ValueError(
            f"there are {len(stages)} stages: expected {expected}, as in the schedule"
        )
    refuse_ties(list(stages), list(range(1, expected)))
    for index, stage in enumerate(stages):
        for name, layer in stage.named_modules():
            if isinstance(layer, _BatchNorm) and layer.training:
                raise ValueError(
                    f"stage {index} trains a {type(layer).__name__} ({name!r}), which "
                    "would see each micro-batch alone: expected LayerNorm or "
                    "GroupNorm, or statistics at rest, as after .eval()"
                )


def split(x: Tensor, y: Tensor, schedule: Schedule) -> list[tuple[Tensor, ...]]:
    """Cut data and targets into micro-batches of one size."""
    micros = int((schedule.micros + schedule.counts).max())
    check_tensor("x", x)
    check_tensor("y", y)
    for name, value in (("x", x), ("y", y)):
        if len(value) == 0 or len(value) % micros:
            raise ValueError(
                f"{name} has {len(value)} rows: expected a multiple of {micros}, the "
                "number of micro-batches"
            )
    if len(x) != len(y):
        raise ValueError(f"y has {len(y)} rows but x has {len(x)}: expected as many")
    parts = [value.chunk(micros) for value in (x, y)]
    return [tuple(h.clone() for h in some) for some in parts]  # a storage for each


class Worker:
    """Do the operations of one rank.

    A forward of two micro-batches does one after the other, each with a graph of its
    own. The two halves of a backward are two sweeps: what they give is exact, their
    cost is not that of two halves.

    Args:
        schedule: Of all ranks.
        copies: The stages that live here, by pipe and stage.
        loss: Of the last stage's output and a target, a mean over rows.
        mail: To the other stages.
    """

    def __init__(
        self,
        schedule: Schedule,
        copies: Mapping[tuple[int, int], nn.Module],
        loss: Loss,
        mail: Mail,
    ) -> None:
        self.copies, self.loss, self.mail = copies, loss, mail
        self.last = int(schedule.stages.max())
        self.again = {
            (int(schedule.stages[i]), int(schedule.micros[i]))
            for i in (schedule.kinds == 4).nonzero()[0]
        }

    def begin(self, x: Sequence[Tensor], y: Sequence[Tensor]) -> None:
        """Begin a step with the micro-batches of data and of targets."""
        self.x, self.y = x, y
        self.losses: list[Tensor] = []
        self._inputs: dict[tuple[int, int], Tensor] = {}
        self._outputs: dict[tuple[int, int], Tensor] = {}
        self._credits: dict[tuple[int, int], Tensor | None] = {}
        self._chance: dict[tuple[int, int], list[Tensor]] = {}

    def do(self, op: Op) -> None:
        """Do an operation, whatever its kind."""
        for micro in range(op.micro, op.micro + op.count):
            getattr(self, f"_{op.kind}")(op, self.copies[op.pipe, op.stage], micro)

    def _forward(self, op: Op, stage: nn.Module, micro: int) -> None:
        if op.stage == 0:
            h = self.x[micro]
        else:
            h = self.mail.take(op, ("state", op.stage, micro))
            h = h.detach().requires_grad_(h.is_floating_point())
        at = op.stage, micro
        self._inputs[at] = h
        if at in self.again:
            self._chance[at] = global_chance(h.device)
        with torch.no_grad() if at in self.again else nullcontext():
            out = self._run(op, stage, micro)
        if op.stage == self.last:
            self.losses.append(out.detach())
        else:
            self.mail.put(op, ("state", op.stage + 1, micro), out.detach())

    def _run(self, op: Op, stage: nn.Module, micro: int) -> Tensor:
        """Return and keep what a stage, or the loss after the last, makes."""
        out = stage(self._inputs[op.stage, micro])
        if op.stage == self.last:
            out = self.loss(out, self.y[micro]) / len(self.y)
        self._outputs[op.stage, micro] = out
        return out

    def _recompute(self, op: Op, stage: nn.Module, micro: int) -> None:
        at = op.stage, micro
        with drawing_from(self._chance.pop(at), self._inputs[at].device):
            self._run(op, stage, micro)

    def _credit(self, op: Op, micro: int) -> Tensor | None:
        if op.stage == self.last:
            return None
        return self.mail.take(op, ("credit", op.stage, micro))

    def _hand_back(self, op: Op, micro: int, g: Tensor | None) -> None:
        if op.stage > 0 and g is not None:
            self.mail.put(op, ("credit", op.stage - 1, micro), g)

    def _backward(self, op: Op, stage: nn.Module, micro: int) -> None:
        credit = self._credit(op, micro)
        out = self._outputs.pop((op.stage, micro))
        h = self._inputs.pop((op.stage, micro))
        if out.requires_grad:
            out.backward(credit)
        self._hand_back(op, micro, h.grad)

    def _input(self, op: Op, stage: nn.Module, micro: int) -> None:
        at = op.stage, micro
        self._credits[at] = credit = self._credit(op, micro)
        h, out = self._inputs.pop(at), self._outputs[at]
        if h.requires_grad and op.stage > 0:
            (g,) = torch.autograd.grad(out, [h], credit, retain_graph=True)
            self._hand_back(op, micro, g)

    def _weight(self, op: Op, stage: nn.Module, micro: int) -> None:
        out = self._outputs.pop((op.stage, micro))
        credit = self._credits.pop((op.stage, micro))
        weights = [p for p in stage.parameters() if p.requires_grad]
        if weights:
            out.backward(credit, inputs=weights)
