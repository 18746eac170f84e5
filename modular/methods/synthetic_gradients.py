"""Decoupled neural interfaces: guess the gradient, and learn to guess better."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from modular._checks import check_classes, check_positive
from modular.event import Event
from modular.objectives import Objective, Pred
from modular.training import Locks, Method, Worker

__all__ = ["SyntheticGradients"]

_PART = "synthesiser"


@dataclass(frozen=True)
class SyntheticGradients(Method):
    r"""Train every module on a predicted gradient of its output.

    .. math:: \hat g_k = S_k(h_k, y), \qquad
              \min_{S_k} \| S_k(h_k, y) - g_k \|^2, \qquad
              g_{k-1} = (\partial h_k / \partial h_{k-1})^T \hat g_k

    Module k updates with the guess as soon as it has run forward, then sends the
    gradient of its input, by its own guess (only the last knows the true loss), to the
    module before, whose synthesiser learns from it. Jaderberg et al. 2017, "Decoupled
    Neural Interfaces using Synthetic Gradients", section 2, with labels as a condition
    (cDNI). Differs: (1) ``S_k`` is linear, starts at zero, and works on gradients per
    sample; the batch mean makes them too small to fit; (2) the same optimiser trains
    module and synthesiser.

    Args:
        objective: Gives the true loss; hidden modules have none.
        weight: Factor of the synthesiser's loss.
        name: How it is called in reports.

    Raises:
        ValueError: If ``weight`` is not positive.

    Example:
        >>> SyntheticGradients().takes(3).int().tolist()
        [[0, 0, 0], [0, 0, 0], [0, 0, 1]]
    """

    objective: Objective = field(default_factory=Pred)
    weight: float = 1.0
    name: str = field(default="SyntheticGradients", compare=False)

    def __post_init__(self) -> None:
        check_positive("weight", self.weight)

    def takes(self, modules: int) -> Tensor:
        """Declare that the loss moves the last module only; guesses move the others."""
        mask = torch.zeros(modules, modules, dtype=torch.bool)
        mask[-1, -1] = True
        return mask

    def mask(self, modules: int) -> Tensor:
        """Declare the same: within a step the loss goes no further."""
        return self.takes(modules)

    def locks(self, modules: int) -> Locks:
        """Declare the forward lock only."""
        return Locks(forward=modules > 1, update=0, backward=0)

    def messages(self, modules: int) -> Tensor:
        """Declare one gradient across each cut, from which a synthesiser learns."""
        return torch.ones(modules - 1, dtype=torch.int64)

    def schedule(
        self, modules: int, phase: int = 0, *, audit: bool = False
    ) -> Iterator[Event]:
        """Yield forward and backward by guess; in ``learn`` the guess is corrected."""
        for k in range(modules):
            last = k == modules - 1
            yield Event("forward", k, k, scored=last, passes=k > 0)
            yield Event("backward" if k > 0 else "take", k, k)
            if k > 0:
                yield Event("learn", k - 1, k)

    def check_target(self, target: Tensor) -> None:
        """Refuse targets that cannot be a condition: one label per sample can."""
        check_classes("target", target, "a synthesiser")

    def attach(self, worker: Worker) -> None:
        """Give every module but the last a synthesiser that starts at zero."""
        parts, block = worker.block.head.parts, worker.block
        if worker.index == worker.modules - 1 or _PART in parts:
            return
        size = block.out[0].numel()
        linear = nn.Linear(size + block.head.classes, size)
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
        parts[_PART] = linear.to(block.out.device, block.out.dtype)

    def run(self, worker: Worker, event: Event) -> None:
        """Let a module do its part."""
        if event.kind == "learn":
            self._learn(worker, event)
        elif event.kind == "forward" or worker.index == worker.modules - 1:
            super().run(worker, event)
        else:
            self._guess(worker, event)

    def _guess(self, worker: Worker, event: Event) -> None:
        """Pull the guessed gradient through the module, before anyone else runs."""
        h = worker.h_out.detach()
        with torch.no_grad():
            gradient = _synthesise(worker, h) / len(h)
        if event.kind == "backward":
            worker.pass_on(event, gradient)
        worker.take(event, gradient)
        if worker.step.update:  # what is left to learn is the synthesiser
            worker.block.net.zero_grad(set_to_none=True)
        worker.h_out = h

    def _learn(self, worker: Worker, event: Event) -> None:
        """Fit the synthesiser to what came back; then update everything."""
        h = worker.h_out.detach()
        true = len(h) * worker.transport.recv_credit(worker.index, event.loss, h)
        guess = _synthesise(worker, h)
        loss = self.weight * functional.mse_loss(guess, true.detach())
        loss.backward()
        if worker.step.update:
            worker.update()


def _synthesise(worker: Worker, h: Tensor) -> Tensor:
    """Return the guessed gradients per sample, shaped like ``h``."""
    labels = functional.one_hot(worker.step.target, worker.block.head.classes)
    rows = torch.cat([h.flatten(1), labels.to(h.dtype)], dim=1)
    return worker.block.head.parts[_PART](rows).view_as(h)
