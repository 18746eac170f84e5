"""One module at work: its block, its objective, its optimiser."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from modular._chance import drawing_from, seeded_chance
from modular.event import Event
from modular.objectives import Objective
from modular.partition import Block
from modular.training.options import Options, clip, judged, precision, schedule_of, told
from modular.training.step import (
    OptimizerMaker,
    Step,
    checked_rule,
    credit_of,
    cut,
    loss_of,
)
from modular.transport import Transport

__all__ = ["Worker"]


class Worker:
    """Run one module.

    Args:
        index: Which module, from 0.
        modules: How many there are.
        block: Its layers and head.
        objective: What it minimises.
        transport: How it reaches its neighbours.
        seed: Of its private randomness, so that it does not matter where it lives.
        options: How it steps and is judged; None is the default.

    Attributes:
        h_in: Its input, cut off from the graph before. Shape ``(batch, ...)``.
        h_out: Its output. Shape ``(batch, ...)``.
        loss: Its local loss in this step, or NaN.
        metric: The metric of its head's predictions, summed over samples, or NaN.
    """

    h_in: Any  # tensors within a step, None outside
    h_out: Any
    step: Step

    def __init__(
        self,
        index: int,
        modules: int,
        block: Block,
        objective: Objective,
        *,
        transport: Transport,
        seed: int,
        options: Options | None = None,
    ) -> None:
        self.index, self.modules = index, modules
        self.block, self.objective = block, objective
        self.transport = transport
        self.options = options or Options()
        self.optimizer: Optimizer | None = None
        self.scheduler: LRScheduler | None = None
        self.generator = torch.Generator().manual_seed(seed)
        self.chance = seeded_chance(seed, block.out.device)
        # What is frozen and in evaluation mode now is to stay so.
        self.resting = [m for m in block.net.modules() if not m.training]
        self._moved = False
        self.trace: list[tuple[int, Event, float, float]] = []
        self.release()

    def make_optimizer(self, optimizer: OptimizerMaker) -> None:
        """Give it an optimiser of its own, for its layers, head and parts.

        Frozen parameters are among them: without a gradient they stay where they are,
        and they move as soon as they are not frozen any more.
        """
        self.parameters = list(self.block.parameters())
        self._layers = list(self.block.modules())
        if self.parameters:
            self.optimizer = checked_rule(optimizer(self.parameters))
            self.scheduler = schedule_of(self.options, self.optimizer)

    def begin(self, step: Step) -> None:
        """Begin a step with empty hands."""
        self.release()
        self.step = step
        self.loss = self.metric = float("nan")
        for parameter in self.parameters:
            parameter.grad = None

    def release(self) -> None:
        """Let go of the graph, so that its memory is freed."""
        self.h_in = self.h_out = None
        self._credits: dict[int, Tensor] = {}

    # --- what the events do -------------------------------------------------------

    def forward(self, event: Event, stored: Tensor | None = None) -> None:
        """Take the input, or a stored one, compute the output, hand it on."""
        self._mark("net")
        self._set_mode(event.learns)
        h_in = self._input() if stored is None else stored
        self.h_in = cut(h_in, event.learns and event.passes)
        with torch.set_grad_enabled(event.learns), self._own_way(self.chance):
            self.h_out = self.block.net(self.h_in)
        self.h_out = self.h_out.to(self.block.out.dtype)  # autocast ends at the border
        if self.index < self.modules - 1 and event.sends:
            self.transport.send_state(self.index + 1, self.h_out)

    def score(self) -> None:
        """Compute the local loss, and its gradients in the head and at ``h_out``.

        The rest of the module is reached by ``take``, with this credit or another's.
        """
        self._mark("head")
        leaf = self.h_out.detach().requires_grad_()
        with self._watch_scores(), self._own_way(self.chance):
            loss = self.objective(
                self.h_in.detach(), leaf, self.block.head, self.step.target
            )
        where = f"module {self.index} ({self.objective!r}) in step {self.step.number}"
        self.loss = loss_of(loss, self.step.target, where)
        if self.step.weights is not None:
            loss = loss * self.step.weights[self.index].to(loss)
        loss.backward()
        gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        self._credits[self.index] = gradient

    def credit(self, loss: int) -> Tensor:
        """Return d loss / d h_out: its own, or what the next module sent."""
        if loss not in self._credits:
            self._credits[loss] = self.transport.recv_credit(
                self.index, loss, self.h_out
            )
        return self._credits[loss]

    def wait_for(self, event: Event) -> None:
        """Receive what an event needs: for stand-ins, which compute nothing of it."""
        if event.kind == "forward":
            self.h_in = self._like(len(self.step.x)) if event.stored else self._input()
            out = self.block.out
            self.h_out = out.expand(len(self.step.x), *out.shape[1:])
        elif event.kind == "exchange" and self.index > 0:
            self._receive(len(self.step.x))
        if event.kind != "forward" and event.loss != self.index:
            self.credit(event.loss)

    def send_blank(self, event: Event) -> None:
        """Send zeros where an event sends something: also for stand-ins."""
        last = self.index == self.modules - 1
        if event.kind == "forward" and event.sends and not last:
            out, rows = self.block.out, len(self.step.x)
            h = torch.zeros(rows, *out.shape[1:], dtype=out.dtype, device=out.device)
            self.transport.send_state(self.index + 1, h)
        if event.kind in ("pass", "backward"):
            back = torch.zeros_like(self.h_in)
            self.transport.send_credit(self.index - 1, event.loss, back)

    def note(self, event: Event, start: float, end: float) -> None:
        """Write down when an event of this step happened."""
        self.trace.append((self.step.number, event, start, end))

    def pass_on(self, event: Event, gradient: Tensor) -> Tensor:
        """Pull a gradient back to the input, send it to the module before, return it.

        In a backward event the parameters take it in the same sweep.
        """
        back = None
        if self.h_out.requires_grad and event.kind == "backward":
            self.h_in.grad = None
            self.h_out.backward(gradient, retain_graph=not self.step.update)
            back = self.h_in.grad
        elif self.h_out.requires_grad:
            (back,) = torch.autograd.grad(
                self.h_out, self.h_in, gradient, retain_graph=True, allow_unused=True
            )
        back = credit_of(back, f"module {self.index}")
        self.transport.send_credit(self.index - 1, event.loss, back)
        return back

    def take(self, event: Event, gradient: Tensor) -> None:
        """Pull a gradient into the parameters; let the optimiser step."""
        if event.kind == "take" and self.h_out.requires_grad:
            self.h_out.backward(gradient, retain_graph=not self.step.update)
        if self.step.update:
            self.update()

    def update(self) -> None:
        """Let the optimiser step, and free the graph."""
        if self.optimizer is not None:
            where = f"module {self.index} in step {self.step.number}"
            clip(self.parameters, self.options.clip, where)
            self.optimizer.step()
            torch.clear_autocast_cache()  # of weights as they were, if someone casts
            self._moved = True
            if self.options.per_batch:
                self._move_schedule()
        self.release()

    def end_epoch(self) -> None:
        """Let the learning rate follow its schedule, if the module has learned."""
        if not self.options.per_batch:
            self._move_schedule()

    def _move_schedule(self) -> None:
        if self.scheduler is not None and self._moved:
            self.scheduler.step()
        self._moved = False

    @torch.no_grad()
    def evaluate(self, x: Tensor, target: Tensor) -> float:
        """Run forward in evaluation mode; return the metric, summed over samples."""
        self.block.eval()
        h = x if self.index == 0 else self._receive(len(x))
        with self._own_way(list(self.chance)):  # training goes on as if nobody asked
            h = self.block.net(h).to(self.block.out.dtype)
            scores = self.block.head(h)
        if self.index < self.modules - 1:
            self.transport.send_state(self.index + 1, h)
        return judged(self.options.metric, scores, target)

    # --- helpers ------------------------------------------------------------------

    def _input(self) -> Tensor:
        return self.step.x if self.index == 0 else self._receive(len(self.step.x))

    def _receive(self, rows: int) -> Tensor:
        return self.transport.recv_state(self.index, self._like(rows))

    def _like(self, rows: int) -> Tensor:
        return self.block.like.expand(rows, *self.block.like.shape[1:])

    def _mark(self, part: str) -> None:
        if self.step.meter is not None:
            self.step.meter.label = (self.index, part)

    @contextmanager
    def _watch_scores(self) -> Iterator[None]:
        """Count right predictions while the objective calls the head."""
        handle = self.block.head.register_forward_hook(self._count)
        try:
            yield
        finally:
            handle.remove()

    def _count(self, head: nn.Module, inputs: object, scores: Tensor) -> None:
        if len(scores) == len(self.step.target):
            self.metric = judged(self.options.metric, scores, self.step.target)

    @contextmanager
    def _own_way(self, chance: list[Tensor]) -> Iterator[None]:
        """Run layers with the module's own chance, and in its precision."""
        device = self.block.out.device
        with drawing_from(chance, device), precision(self.options, device):
            yield

    def rests(self) -> set[nn.Module]:
        """Return the layers that stay in evaluation mode while the module learns."""
        found = set(self.block.net.modules()) if self.block.frozen else set()
        for layer in self.resting:
            own = list(layer.parameters())
            if own and not any(p.requires_grad for p in own):
                found.update(layer.modules())
        return found

    def _set_mode(self, learns: bool) -> None:
        rests = self.rests() if learns else set()
        if any(m.training is not (learns and m not in rests) for m in self._layers):
            self.block.train(learns)
            for layer in rests:
                layer.training = False

    def state_dict(self) -> dict[str, Any]:
        """Return everything that training changes."""
        return {
            "block": self.block.state_dict(),
            "optimizer": self.optimizer.state_dict() if self.optimizer else {},
            "scheduler": self.scheduler.state_dict() if self.scheduler else {},
            "generator": self.generator.get_state(),
            "chance": self.chance,
            "settings": told(self.options, self.optimizer, self.scheduler),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned."""
        self.block.load_state_dict(state["block"])
        if self.optimizer is not None:
            self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self.generator.set_state(state["generator"])
        self.chance = list(state["chance"])
