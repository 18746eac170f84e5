"""A run over given times, and the engine that carries out the plans to reverse it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from unroll.ode.adaptive import Adaptive, Walk
from unroll.ode.cams import FreeStages, StoreStages
from unroll.ode.dirk import DIRK
from unroll.ode.schedule import Action, Advance, Free, Restore, Store
from unroll.ode.tableau import Field, Method

__all__ = ["Memory", "Run"]


@dataclass(frozen=True)
class Run:
    """A run of a method over given times."""

    field: Field
    t: Tensor  # (steps + 1,), or, of an adaptive method, those that are to be hit
    method: Method | Adaptive
    parameters: tuple[Tensor, ...]  # of the field, to be differentiated by

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return len(self.t) - 1

    def at(self, t: Tensor) -> "Run":
        """Return the run whose steps an adaptive one has found."""
        assert isinstance(self.method, Adaptive)
        return replace(self, t=t, method=self.method.pair)

    def walk(self, x0: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield times and states of an adaptive run."""
        assert isinstance(self.method, Adaptive)
        return iter(Walk(self.method, self.field, x0, self.t))

    def frozen(self, x0: Tensor) -> "Run":
        """Return a run with given steps: itself, or what an adaptive one finds."""
        if not isinstance(self.method, Adaptive):
            return self
        return self.at(self.method.steps(self.field, x0, self.t).t)

    def last(self, x0: Tensor) -> Tensor:
        """Return the last state, and keep nothing."""
        if not isinstance(self.method, Adaptive):
            return self.between(x0, 0, self.steps)
        x = x0
        for _, after in self.walk(x0):
            x = after
        return x

    def span(self, k: int) -> tuple[Tensor, Tensor]:
        """Return the time before step ``k``, and its length."""
        return self.t[k], self.t[k + 1] - self.t[k]

    def step(self, x: Tensor, k: int) -> Tensor:
        """Return the state after step ``k``."""
        assert isinstance(self.method, Method)
        return self.method.step(self.field, *self.span(k), x)

    def between(self, x: Tensor, start: int, stop: int) -> Tensor:
        """Return the state after all steps from one number to another."""
        for k in range(start, stop):
            x = self.step(x, k)
        return x


@dataclass
class Memory:
    """What is kept of a run: states, and stages of steps; ``most`` is its peak."""

    states: dict[int, Tensor] = field(default_factory=dict)
    stages: dict[int, list[Tensor]] = field(default_factory=dict)
    most: int = 0

    def count(self) -> None:
        """Note how many vectors there are."""
        kept = len(self.states) + sum(len(one) for one in self.stages.values())
        self.most = max(self.most, kept)

    def copy(self) -> "Memory":
        """Return a memory of the same tensors."""
        return Memory(dict(self.states), dict(self.stages), self.most)


def kept_stages(method: Method | Adaptive) -> int:
    """Return how many vectors the stages of a step take, if a step can use them."""
    if isinstance(method, DIRK) and method.last_is_next:
        return len(method.a)
    raise ValueError(
        f"stages of {type(method).__name__}, order {getattr(method, 'order', '-')}, "
        "are not worth keeping: expected an implicit method whose last stage is the "
        "next state, as SDIRK2, or stages=False"
    )


def follow(run: Run, plan: Iterable, memory: Memory, x: Tensor) -> Tensor:
    """Carry out what does not differentiate; return the state that the run is at."""
    for action in plan:
        x = _done(run, action, memory, x)
        memory.count()
    return x


def _done(
    run: Run, action: Action | StoreStages | FreeStages, memory: Memory, x: Tensor
) -> Tensor:
    """Carry out one action; return the state that the run is at."""
    match action:
        case Store(step):
            memory.states[step] = x
        case StoreStages(step):
            assert isinstance(run.method, DIRK)
            with torch.no_grad():
                found = run.method._stages(run.field, *run.span(step), x)
            memory.stages[step] = found
            return found[-1]
        case Restore(step):
            known = step in memory.states
            return memory.states[step] if known else memory.stages[step - 1][-1]
        case Free(step):
            del memory.states[step]
        case FreeStages(step):
            del memory.stages[step]
        case Advance(start, stop):
            with torch.no_grad():
                return run.between(x, start, stop)
    return x


def taped(run: Run, x: Tensor, k: int, memory: Memory) -> tuple[Tensor, Tensor]:
    """Return the state before step ``k``, and the one after it with its graph.

    Where the stages of the step are kept, only the graph is made, and the state before
    it is a stand-in: its value plays no part.
    """
    solved = memory.stages.get(k)
    x = (x if solved is None else solved[0]).detach().requires_grad_()
    with torch.enable_grad():
        if solved is None:
            return x, run.step(x, k)
        assert isinstance(run.method, DIRK)
        return x, run.method._from_stages(run.field, *run.span(k), x, solved)


def pulled_back(
    run: Run, tape: tuple[Tensor, Tensor], v: Tensor, total: list[Tensor] | None
) -> tuple[Tensor, list[Tensor]]:
    """Return ``v`` before the step, and the parameters' gradients with its share."""
    x, after = tape
    by_x, *shares = torch.autograd.grad(
        after, (x, *run.parameters), v, retain_graph=True, materialize_grads=True
    )
    if total is None:
        return by_x, shares
    return by_x, [one + share for one, share in zip(total, shares, strict=True)]
