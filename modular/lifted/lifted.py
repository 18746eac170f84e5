"""The method: modules with constraints between them in place of a chain."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor

from modular._checks import check_kind, check_tensor
from modular.event import Event
from modular.lifted.penalties import Quadratic
from modular.lifted.states import State, States
from modular.objectives import Objective, Pred
from modular.partition import Head
from modular.training import Locks, Method, Step, Worker

__all__ = ["Consistency", "Lifted"]

_IN, _OUT = "state_in", "state_out"


@dataclass(frozen=True)
class Consistency(Objective):
    """What a hidden module minimises: the cost of missing its state.

    Args:
        penalty: The cost.
        loss: The true loss, of the last module.
    """

    penalty: Quadratic
    loss: Objective

    def __call__(
        self, h_in: Tensor, h_out: Tensor, head: Head, target: Tensor
    ) -> Tensor:
        """Return the cost. Shapes as in :class:`Objective`."""
        state = cast(State, head.parts[_OUT])
        return self.penalty.cost(state.value - h_out, state.kappa)

    def final(self) -> Objective:
        """Return the true loss."""
        return self.loss.final()


@dataclass(frozen=True)
class Lifted(Method):
    r"""Train modules whose inputs are unknowns, not their predecessors' outputs.

    .. math:: \min_{W, \lambda} \; \phi(f_{K-1}(\lambda_{K-2}), y)
              + \sum_{k < K-1} \langle \kappa_k, r_k \rangle
              + \tfrac{\beta}{2} \| r_k \|^2, \qquad
              r_k = \lambda_k - f_k(\lambda_{k-1})

    with ``lambda_{-1}`` the data. Every module takes the gradient of its own term at
    once (``p_k`` at its output, see the penalty); then neighbours exchange ``f_k`` to
    the right and ``q_k``, the gradient at its input, to the left, and both move their
    copies of the state. Modules count from 0. Sun, Dong et al. 2020, 2021; with
    :class:`Quadratic` and :class:`Free` it is the method of auxiliary coordinates of
    Carreira-Perpinan and Wang 2014, by single gradient steps.

    Args:
        penalty: :class:`Quadratic` or :class:`AugmentedLagrangian`.
        states: Who supplies the states: :class:`Free`, :class:`SPH` or
            :class:`AuxNet`.
        loss: Gives the true loss, of the last module's scores.
        name: How it is called in reports.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If there are multipliers, which belong to samples, and states that
            do not.

    Example:
        >>> from modular.lifted import Free, Quadratic
        >>> method = Lifted(Quadratic(beta=10.0), Free(samples=100, rate=0.05))
        >>> method.locks(4)
        Locks(forward=False, update=0, backward=0)
    """

    penalty: Quadratic
    states: States
    loss: Objective = field(default_factory=Pred)
    name: str = field(default="Lifted", compare=False)

    def __post_init__(self) -> None:
        check_kind("penalty", self.penalty, Quadratic, ", as Quadratic(beta=1.0)")
        check_kind("states", self.states, States, ", as Free(samples=100, rate=0.1)")
        check_kind("loss", self.loss, Objective, ", as Pred()")
        if self.penalty.multiplies and not self.states.indexed:
            raise ValueError(
                f"penalty is {self.penalty!r} but {self.states!r} keeps nothing of a "
                "sample: expected Quadratic, or states as Free(samples=100, rate=0.1)"
            )
        object.__setattr__(self, "objective", Consistency(self.penalty, self.loss))

    # --- what it declares ---------------------------------------------------------

    def takes(self, modules: int) -> Tensor:
        """Declare that each term moves its module; a sweep's loss moves all."""
        mask = torch.eye(modules, dtype=torch.bool)
        if self.states.sweeps:
            mask[-1] = True
        return mask

    def mask(self, modules: int) -> Tensor:
        """Declare the same: what crosses a cut moves states, no weights."""
        return self.takes(modules)

    def locks(self, modules: int) -> Locks:
        """Declare the locks that the states leave."""
        return self.states.locks(modules)

    def messages(self, modules: int) -> Tensor:
        """Declare one gradient across each cut."""
        return torch.ones(modules - 1, dtype=torch.int64)

    def phases(self, modules: int) -> int:
        """Return two: training, and the full pass that fills or corrects states."""
        return 2

    def plan(
        self, modules: int, epochs: int, phases: Sequence[int] | None = None
    ) -> list[int]:
        """Return the order that the states ask for, or the phases given."""
        if phases is None:
            return self.states.plan(epochs) if epochs else []
        return super().plan(modules, epochs, phases)

    def schedule(
        self, modules: int, phase: int = 0, *, audit: bool = False
    ) -> Iterator[Event]:
        """Yield what the states ask for."""
        return self.states.schedule(modules, phase)

    def check(self, modules: int) -> None:
        """Refuse a network in one piece: it has no states."""
        if modules < 2:
            raise ValueError(
                "there is 1 module and no state between modules: expected at least 2"
            )

    def read(self, batch: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return data and targets, and which samples they are where states ask."""
        if not self.states.indexed:
            return super().read(batch)
        if not isinstance(batch, tuple | list) or len(batch) != 3:
            kind = type(batch).__name__
            size = f" of {len(batch)}" if isinstance(batch, tuple | list) else ""
            raise TypeError(
                f"a batch is a {kind}{size}: expected three, data, targets and which "
                "samples they are, as TensorDataset(x, y, torch.arange(len(x))) gives"
            )
        x, target, index = batch
        check_tensor("index", index)
        if len(index) != len(x):
            raise ValueError(
                f"index has {len(index)} rows but x has {len(x)}: expected one per row"
            )
        self.states.check_index(index)
        return x, target, index

    # --- what modules do ----------------------------------------------------------

    def attach(self, worker: Worker) -> None:
        """Give every module its copies of the states beside it, empty ones."""
        if self.states.learned and worker.options.clip is not None:
            raise ValueError(
                f"clip is {worker.options.clip} but {self.states!r} lives in two "
                "modules, whose gradients would be shortened differently: expected None"
            )
        parts, block = worker.block.head.parts, worker.block
        if worker.index > 0:
            parts[_IN] = self.states.make(block.like, worker.index - 1)
        if worker.index < worker.modules - 1:
            parts[_OUT] = self.states.make(block.out, worker.index)

    def run(self, worker: Worker, event: Event) -> None:
        """Let a module do its part."""
        if event.kind == "exchange":
            self._exchange(worker, event)
        elif event.kind == "forward":
            self._forward(worker, event)
        else:
            self._backward(worker, event)

    def _forward(self, worker: Worker, event: Event) -> None:
        """Run from the stored state, or from the module before, and keep that."""
        before, after = _copies(worker)
        if event.stored:
            for state in (before, after):
                if state is not None:
                    state.read(worker.step)
            worker.forward(event, worker.step.x if before is None else before.value)
        else:
            worker.forward(event)
            for state, h in ((before, worker.h_in), (after, worker.h_out)):
                if state is not None:
                    self._keep(worker, state, h.detach())
        if after is not None:
            after.found = worker.h_out.detach()
        if event.scored:
            worker.score()
        if not event.learns:
            self._fit(worker)
            worker.release()

    def _keep(self, worker: Worker, state: State, h: Tensor) -> None:
        """Take a state from a full pass: all of them, or those that are missing."""
        if self.states.sweeps:
            state.value = h
        elif worker.step.update:
            state.fill(worker.step, h)

    def _backward(self, worker: Worker, event: Event) -> None:
        """Take the own term's gradient, or in a full pass the loss's."""
        before, after = _copies(worker)
        step, gradient = worker.step, worker.credit(event.loss)
        rows = len(step.x)
        if after is not None and event.loss != worker.index:
            after.write(step, after.value, self._kappa(rows * gradient))
        if before is not None and event.kind == "backward":
            before.wanted = rows * worker.pass_on(event, gradient)
            if self.states.sweeps:
                before.write(step, before.value, self._kappa(before.wanted))
        worker.take(event, gradient)

    def _kappa(self, adjoint: Tensor) -> Tensor | None:
        return -adjoint if self.penalty.multiplies else None

    def _exchange(self, worker: Worker, event: Event) -> None:
        """Hear from both neighbours, and move the copies of the states."""
        before, after = _copies(worker)
        transport, rows = worker.transport, len(worker.step.x)
        if before is not None:
            before.found = transport.recv_state(worker.index, before.value).detach()
            self._move(worker.step, before)
        if after is not None:
            credit = transport.recv_credit(worker.index, event.loss, after.found)
            after.wanted = rows * credit
            self._move(worker.step, after)
        self._fit(worker)

    def _move(self, step: Step, state: State) -> None:
        """Move a state against its gradient, then the multiplier along the rest."""
        p = self.penalty.credit(state.value - state.found, state.kappa)
        value = state.value - self.states.rate * (state.wanted - p)
        if step.update:
            kappa = self.penalty.ascend(state.kappa, value - state.found)
            state.write(step, value, kappa)

    def _fit(self, worker: Worker) -> None:
        """Let the optimiser move what makes the states, and nothing else."""
        if self.states.learned and worker.step.update and worker.optimizer is not None:
            worker.block.net.zero_grad(set_to_none=True)
            worker.optimizer.step()


def _copies(worker: Worker) -> tuple[State | None, State | None]:
    """Return the states before and after a module."""
    parts = worker.block.head.parts
    before, after = (parts[name] if name in parts else None for name in (_IN, _OUT))
    return cast(State | None, before), cast(State | None, after)
