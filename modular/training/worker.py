"""One module at work: its block, its objective, its optimiser."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.optim import Optimizer

from modular.event import Event
from modular.meter import SavedTensors
from modular.objectives import Objective
from modular.partition import Block
from modular.transport import Transport

__all__ = ["OptimizerMaker", "Step", "Worker", "cut"]

OptimizerMaker = Callable[[Iterable[nn.Parameter]], Optimizer]


def cut(h: Tensor, passes: bool) -> Tensor:
    """Cut the graph at a module's input: the only place where credit could leak.

    Args:
        h: What the module before returned. Shape ``(batch, ...)``.
        passes: Whether the gradient with respect to it will be asked for.

    Returns:
        A leaf with the same values. Shape ``(batch, ...)``.
    """
    return h.detach().requires_grad_(passes)


@dataclass
class Step:
    """One step of training, as every module sees it.

    Args:
        number: Steps done before.
        x: The data as they enter. Shape ``(rows, n)`` or
            ``(rows, channels, height, width)``.
        target: Labels. Shape ``(batch,)``.
        weights: Factor of each module's loss, one per module; None is 1.
        update: Whether optimisers step.
        meter: Counts what autograd saves, or None.
    """

    number: int
    x: Tensor
    target: Tensor
    weights: Tensor | None = None
    update: bool = True
    meter: SavedTensors | None = None


class Worker:
    """Run one module.

    Args:
        index: Which module, from 0.
        modules: How many there are.
        block: Its layers and head.
        objective: What it minimises.
        transport: How it reaches its neighbours.
        seed: Of its private randomness, so that it does not matter where it lives.

    Attributes:
        h_in: Its input, cut off from the graph before. Shape ``(batch, ...)``.
        h_out: Its output. Shape ``(batch, ...)``.
        loss: Its local loss in this step, or NaN.
        correct: How many samples its head predicted right, or NaN.
    """

    def __init__(
        self,
        index: int,
        modules: int,
        block: Block,
        objective: Objective,
        *,
        transport: Transport,
        seed: int,
    ) -> None:
        self.index, self.modules = index, modules
        self.block, self.objective = block, objective
        self.transport = transport
        self.optimizer: Optimizer | None = None
        self.generator = torch.Generator().manual_seed(seed)
        # Dropout draws from torch's global generator: keep a state of it per module.
        drops = any(isinstance(layer, _DropoutNd) for layer in block.modules())
        self._chance = self.generator.get_state() if drops else None
        self.trace: list[tuple[int, Event, float, float]] = []
        self.release()

    def make_optimizer(self, optimizer: OptimizerMaker) -> None:
        """Give it an optimiser of its own, for its layers, head and parts."""
        self._parameters = list(self.block.parameters())
        self._layers = list(self.block.modules())
        learn = [p for p in self._parameters if p.requires_grad]
        self.optimizer = optimizer(learn) if learn else None

    def begin(self, step: Step) -> None:
        """Begin a step with empty hands."""
        self.release()
        self.step = step
        self.loss = self.correct = float("nan")
        for parameter in self._parameters:
            parameter.grad = None

    def release(self) -> None:
        """Let go of the graph, so that its memory is freed."""
        self.h_in = self.h_out = None
        self._credits: dict[int, Tensor] = {}

    # --- what the events do -------------------------------------------------------

    def forward(self, event: Event) -> None:
        """Take the input, compute the output, hand it on."""
        self._mark("net")
        if any(layer.training is not event.learns for layer in self._layers):
            self.block.train(event.learns)
        h_in = self._input()
        self.h_in = cut(h_in, event.learns and event.passes)
        with torch.set_grad_enabled(event.learns), self._own_chance():
            self.h_out = self.block.net(self.h_in)
        if self.index < self.modules - 1:
            self.transport.send_state(self.index + 1, self.h_out)
        if not event.learns:
            self.release()

    def score(self) -> None:
        """Compute the local loss, and its gradients in the head and at ``h_out``.

        The rest of the module is reached by ``take``, with this credit or another's.
        """
        self._mark("head")
        leaf = self.h_out.detach().requires_grad_()
        with self._watch_scores(), self._own_chance():
            loss = self.objective(
                self.h_in.detach(), leaf, self.block.head, self.step.target
            )
        self.loss = loss.item()
        if not math.isfinite(self.loss):
            raise FloatingPointError(
                f"the loss of module {self.index} ({self.objective!r}) is {self.loss} "
                f"in step {self.step.number}: try a smaller learning rate, or look for "
                "extreme values in the data and in the states before it"
            )
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
        """Receive what an event needs from others, and do nothing with it.

        For stand-ins that do not compute.
        """
        if event.kind == "forward":
            self.h_in = self._input()
            out = self.block.out
            self.h_out = out.expand(len(self.step.x), *out.shape[1:])
        elif event.loss != self.index:
            self.credit(event.loss)

    def send_blank(self, event: Event) -> None:
        """Send zeros where an event sends something: also for stand-ins."""
        if event.kind == "forward" and self.index < self.modules - 1:
            out, rows = self.block.out, len(self.step.x)
            h = torch.zeros(rows, *out.shape[1:], dtype=out.dtype, device=out.device)
            self.transport.send_state(self.index + 1, h)
        if event.kind in ("pass", "backward"):
            back = torch.zeros_like(self.h_in)
            self.transport.send_credit(self.index - 1, event.loss, back)

    def note(self, event: Event, start: float, end: float) -> None:
        """Write down when an event of this step happened."""
        self.trace.append((self.step.number, event, start, end))

    def pass_on(self, event: Event, gradient: Tensor) -> None:
        """Pull a gradient back to the input and send it to the module before.

        In a backward event the parameters take it in the same sweep.
        """
        if event.kind == "backward":
            self.h_in.grad = None
            self.h_out.backward(gradient, retain_graph=not self.step.update)
            back = self.h_in.grad
        else:
            (back,) = torch.autograd.grad(
                self.h_out, self.h_in, gradient, retain_graph=True
            )
        self.transport.send_credit(self.index - 1, event.loss, back)

    def take(self, event: Event, gradient: Tensor) -> None:
        """Pull a gradient into the parameters; let the optimiser step."""
        if event.kind == "take" and self.h_out.requires_grad:
            self.h_out.backward(gradient, retain_graph=not self.step.update)
        if self.step.update:
            self.update()

    def update(self) -> None:
        """Let the optimiser step, and free the graph."""
        if self.optimizer is not None:
            self.optimizer.step()
        self.release()

    @torch.no_grad()
    def evaluate(self, x: Tensor, target: Tensor) -> int:
        """Run forward in evaluation mode; return how many predictions are right."""
        self.block.eval()
        h = x if self.index == 0 else self._receive(len(x))
        h = self.block.net(h)
        if self.index < self.modules - 1:
            self.transport.send_state(self.index + 1, h)
        return int((self.block.head(h).argmax(dim=1) == target).sum())

    # --- helpers ------------------------------------------------------------------

    def _input(self) -> Tensor:
        return self.step.x if self.index == 0 else self._receive(len(self.step.x))

    def _receive(self, rows: int) -> Tensor:
        like = self.block.like.expand(rows, *self.block.like.shape[1:])
        return self.transport.recv_state(self.index, like)

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
        target = self.step.target
        if scores.ndim == 2 and not target.is_floating_point():
            self.correct = int((scores.detach().argmax(dim=1) == target).sum())

    @contextmanager
    def _own_chance(self) -> Iterator[None]:
        """Draw dropout masks from the module's own state of the global generator."""
        if self._chance is None:
            yield
            return
        before = torch.get_rng_state()
        torch.set_rng_state(self._chance)
        try:
            yield
        finally:
            self._chance = torch.get_rng_state()
            torch.set_rng_state(before)

    def state_dict(self) -> dict[str, object]:
        """Return everything that training changes."""
        return {
            "block": self.block.state_dict(),
            "optimizer": self.optimizer.state_dict() if self.optimizer else {},
            "generator": self.generator.get_state(),
            "chance": self._chance,
        }

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on from what ``state_dict`` returned."""
        self.block.load_state_dict(state["block"])
        if self.optimizer is not None:
            self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self._chance = state["chance"]
