"""Difference target propagation: tell a module what it should have returned."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from modular._checks import check_not_negative, check_positive
from modular._modes import evaluating
from modular.event import Event
from modular.objectives import Objective, Pred
from modular.training import Locks, Method, Worker
from modular.training.method import last_row

__all__ = ["DifferenceTargets"]

_PART = "inverse"


@dataclass(frozen=True)
class DifferenceTargets(Method):
    r"""Send targets back through learned inverses.

    .. math:: \hat h_{K-2} = h_{K-2} - \eta \, \partial \ell / \partial h_{K-2}, \qquad
              \hat h_{k-1} = h_{k-1} + g_k(\hat h_k) - g_k(h_k), \qquad
              \min_{t_k} \tfrac{1}{2 \eta} \| f_k(h_{k-1}) - \hat h_k \|^2

    and the inverse ``g_k`` of module k learns from noise:
    ``min || g_k(f_k(h_{k-1} + noise)) - (h_{k-1} + noise) ||^2``. With an exact inverse
    of linear modules the targets are the Gauss-Newton ones, ``h + J^{-1} (change
    above)``. Lee, Zhang, Fischer and Bengio 2015, "Difference Target Propagation", eq.
    (15) and algorithm 1; Meulemans et al. 2020 for Gauss-Newton. Differs: the last
    module is trained by its own gradient, the loss of a module is divided by the step
    so that the last hidden one moves as under backpropagation, and ``g_k`` is linear.

    Args:
        objective: Gives the true loss; hidden modules have none.
        eta: Step of the first target, for the gradient per sample.
        noise: Standard deviation of the noise that inverses learn from.
        name: How it is called in reports.

    Raises:
        ValueError: If ``eta`` is not positive or ``noise`` negative.

    Example:
        >>> DifferenceTargets().takes(3).int().tolist()
        [[0, 0, 0], [0, 0, 0], [1, 1, 1]]
    """

    objective: Objective = field(default_factory=Pred)
    eta: float = 0.1
    noise: float = 0.1
    name: str = field(default="DifferenceTargets", compare=False)

    def __post_init__(self) -> None:
        check_positive("eta", self.eta)
        check_not_negative("noise", self.noise)

    def takes(self, modules: int) -> Tensor:
        """Declare that the one loss moves every module, by way of targets."""
        return last_row(modules)

    def mask(self, modules: int) -> Tensor:
        """Declare the same."""
        return last_row(modules)

    def locks(self, modules: int) -> Locks:
        """Declare the locks of backpropagation: targets come from above."""
        return Locks(forward=modules > 1, update=modules - 1, backward=modules - 1)

    def messages(self, modules: int) -> Tensor:
        """Declare one target across each cut."""
        return torch.ones(modules - 1, dtype=torch.int64)

    def schedule(
        self, modules: int, phase: int = 0, *, audit: bool = False
    ) -> Iterator[Event]:
        """Yield all forward passes, then the targets from the top."""
        last = modules - 1
        for k in range(modules):
            yield Event("forward", k, k, scored=k == last, passes=k == last > 0)
        for k in range(last, -1, -1):
            yield Event("backward" if k > 0 else "take", k, last)

    def attach(self, worker: Worker) -> None:
        """Give every module between the first and the last a linear inverse."""
        parts, block = worker.block.head.parts, worker.block
        if 0 < worker.index < worker.modules - 1 and _PART not in parts:
            linear = nn.Linear(block.out[0].numel(), block.like[0].numel())
            inverse = nn.Sequential(
                nn.Flatten(), linear, nn.Unflatten(1, block.like.shape[1:])
            )
            parts[_PART] = inverse.to(block.out.device, block.out.dtype)

    def run(self, worker: Worker, event: Event) -> None:
        """Let a module do its part."""
        if event.kind == "forward":
            super().run(worker, event)
        elif worker.index == worker.modules - 1:
            self._top(worker, event)
        else:
            self._reach(worker, event)

    def _top(self, worker: Worker, event: Event) -> None:
        """Train the last module by its gradient, and set the first target."""
        h_out, h_in = worker.h_out, worker.h_in
        credit = worker.credit(event.loss)
        if h_out.requires_grad:  # not in a frozen network of one module
            h_out.backward(credit, retain_graph=not worker.step.update)
        if event.kind == "backward":
            target = h_in.detach() - self.eta * len(h_in) * h_in.grad
            worker.transport.send_credit(worker.index - 1, event.loss, target)
        if worker.step.update:
            worker.update()

    def _reach(self, worker: Worker, event: Event) -> None:
        """Send the target on, move towards it, and improve the inverse."""
        h, target = worker.h_out, worker.credit(event.loss)
        if event.kind == "backward":
            with torch.no_grad():
                inverse = worker.block.head.parts[_PART]
                below = worker.h_in + inverse(target) - inverse(h)
            worker.transport.send_credit(worker.index - 1, event.loss, below)
            self._invert(worker)
        if h.requires_grad:  # not of a frozen module
            h.backward((h.detach() - target) / (self.eta * len(h)))
        if worker.step.update:
            worker.update()

    def _invert(self, worker: Worker) -> None:
        """Teach the inverse on inputs with noise."""
        like = worker.h_in
        noise = torch.randn(like.shape, generator=worker.generator, dtype=like.dtype)
        noisy = like.detach() + self.noise * noise.to(like.device)
        net = worker.block.net
        with torch.no_grad(), evaluating(net):  # BatchNorm's statistics: not of noise
            there = net(noisy)
        functional.mse_loss(worker.block.head.parts[_PART](there), noisy).backward()
