"""Greedy training that moves features no further than it must: TRGL."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from modular._checks import check_count, check_kind, check_positive
from modular._modes import evaluating
from modular.event import Event
from modular.methods.credit import Credit
from modular.objectives import Objective, Pred
from modular.training import Locks, Method, Worker

__all__ = ["TransportGreedy"]


@dataclass(frozen=True)
class TransportGreedy(Method):
    r"""Train each module on its own loss and on how far its layers move what they take.

    .. math:: \ell_k + \frac{1}{2 \tau_k} \frac1N \sum_i \sum_m
              \| T_m(z^i_m) - z^i_m \|^2

    over those layers ``T_m`` of module k that keep the shape of their input ``z_m``
    (residual blocks): the kinetic energy of the network as a flow, or the cost of
    transport. A greedy module that separates classes at once, and destroys what the
    next one needs, pays for it. ``tau_k`` is twice as large in the second half of the
    network. Karkar, Ayed, de Bezenac and Gallinari 2023, "Module-wise training of
    neural networks via the minimizing movement scheme" (TRGL). Layers that change the
    shape are free.

    Args:
        tau: Step of the movement: the smaller, the stiffer.
        objective: What each module minimises; the last has the true loss.
        laps: None trains all modules in every step, as DGL does. A number trains them
            one after another, as greedy training does, and begins again so many times,
            each time for its share of the epochs.
        name: How it is called in reports.

    Raises:
        TypeError: If ``objective`` is no :class:`Objective`, or ``laps`` no int.
        ValueError: If ``tau`` or ``laps`` is not positive.

    Example:
        >>> TransportGreedy(tau=1.0, laps=2).plan(modules=2, epochs=4)
        [0, 0, 1, 1, 0, 0, 1, 1]
    """

    tau: float
    objective: Objective = field(default_factory=Pred)
    laps: int | None = None
    name: str = field(default="TransportGreedy", compare=False)

    def __post_init__(self) -> None:
        check_positive("tau", self.tau)
        check_kind("objective", self.objective, Objective, ", as Pred()")
        if self.laps is not None:
            check_count("laps", self.laps, least=1)

    @property
    def credit(self) -> Credit:
        """The method without transport: DGL, or greedy training."""
        order = "parallel" if self.laps is None else "sequential"
        return Credit(self.objective, horizon=1, order=order)

    def takes(self, modules: int) -> Tensor:
        """Declare the identity."""
        return self.credit.takes(modules)

    def mask(self, modules: int) -> Tensor:
        """Declare the identity."""
        return self.credit.mask(modules)

    def locks(self, modules: int) -> Locks:
        """Declare the locks of DGL, or of greedy training."""
        return self.credit.locks(modules)

    def messages(self, modules: int) -> Tensor:
        """Declare none."""
        return self.credit.messages(modules)

    def phases(self, modules: int) -> int:
        """Return one phase per module, or one for all."""
        return self.credit.phases(modules)

    def plan(
        self, modules: int, epochs: int, phases: Sequence[int] | None = None
    ) -> list[int]:
        """Return the laps: all modules in turn, and again."""
        laps = self.laps or 1
        if epochs % laps:
            raise ValueError(
                f"epochs is {epochs} but there are {laps} laps: expected a multiple"
            )
        return laps * super().plan(modules, epochs // laps, phases)

    def schedule(
        self, modules: int, phase: int = 0, *, audit: bool = False
    ) -> Iterator[Event]:
        """Yield the events of DGL, or of greedy training."""
        return self.credit.schedule(modules, phase, audit=audit)

    def attach(self, worker: Worker) -> None:
        """Refuse a module between first and last in which no layer keeps a shape."""
        super().attach(worker)
        net, like = worker.block.net, worker.block.like
        with _moves(net) as moves, torch.no_grad(), evaluating(net):
            net(like)
        if 0 < worker.index < worker.modules - 1 and not moves:
            raise ValueError(
                f"module {worker.index} has no layer that keeps the shape of its input "
                f"{tuple(like.shape[1:])}: expected residual blocks, or other cuts"
            )

    def run(self, worker: Worker, event: Event) -> None:
        """Let a module do its part, and pay for its moves."""
        if event.kind != "forward" or not event.learns:
            super().run(worker, event)
            return
        with _moves(worker.block.net) as moves:
            super().run(worker, event)
        tau = self.tau * (2 if 2 * worker.index >= worker.modules else 1)
        costs = [r.square().sum() / (2 * tau * len(r)) for r in moves]
        if not costs:
            return
        energy = torch.stack(costs).sum()
        worker.loss += energy.item()
        if worker.step.weights is not None:
            energy = energy * worker.step.weights[worker.index].to(energy)
        if energy.requires_grad:  # not in a frozen module
            energy.backward(retain_graph=True)


@contextmanager
def _moves(net: nn.Sequential) -> Iterator[list[Tensor]]:
    """Collect ``T(z) - z`` of the layers that keep the shape, while they run."""
    found: list[Tensor] = []
    versions: dict[nn.Module, int] = {}

    def before(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        versions[layer] = inputs[0]._version

    def after(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if inputs[0]._version != versions[layer]:
            raise ValueError(
                f"a {type(layer).__name__} overwrites its input in place, and how far "
                "it moves it is lost: expected inplace=False"
            )
        if output.shape == inputs[0].shape:
            found.append(output - inputs[0])

    handles = [layer.register_forward_pre_hook(before) for layer in net]
    handles += [layer.register_forward_hook(after) for layer in net]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
