"""Gradients of a solution: of the steps that were done, or of the equation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from unroll._checks import check_count
from unroll.ode.schedule import Action, Advance, Free, Restore, Reverse, Store, revolve
from unroll.ode.tableau import Field, Method

__all__ = ["Continuous", "Discrete", "Through"]


@dataclass(frozen=True)
class Run:
    """A run of a method over given times."""

    field: Field
    t: Tensor  # (steps + 1,)
    method: Method
    parameters: tuple[Tensor, ...]  # of the field, to be differentiated by

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return len(self.t) - 1

    def step(self, x: Tensor, k: int) -> Tensor:
        """Return the state after step ``k``."""
        return self.method.step(self.field, self.t[k], self.t[k + 1] - self.t[k], x)

    def between(self, x: Tensor, start: int, stop: int) -> Tensor:
        """Return the state after all steps from one number to another."""
        for k in range(start, stop):
            x = self.step(x, k)
        return x


class Adjoint:
    """How a solution is differentiated: ``adjoint(run, x0)`` returns the last state."""

    def __call__(self, run: Run, x0: Tensor) -> Tensor:
        """Return the state at the last time, with this gradient.

        Args:
            run: What is solved, and how.
            x0: State at the first time. Shape ``(batch, ...)``.

        Returns:
            State at the last time. Shape ``(batch, ...)``.
        """
        if not torch.is_grad_enabled():
            return run.between(x0, 0, run.steps)
        return _Solution.apply(self, run, x0, *run.parameters)

    def forward(self, run: Run, x0: Tensor) -> tuple[Tensor, Any]:
        """Return the last state, and what :meth:`backward` needs."""
        raise NotImplementedError

    def backward(self, run: Run, kept: Any, v: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the gradients by the first state and by the parameters."""
        raise NotImplementedError


class _Solution(torch.autograd.Function):
    """A run as one operation of autograd, whose backward an adjoint does."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, adjoint: Adjoint, run: Run, x0: Tensor, *parameters: Tensor
    ) -> Tensor:
        x, kept = adjoint.forward(run, x0.detach())
        ctx.all = adjoint, run, kept  # type: ignore[attr-defined]
        return x

    @staticmethod
    def backward(ctx: FunctionCtx, *v: Tensor) -> tuple:
        adjoint, run, kept = ctx.all  # type: ignore[attr-defined]
        if torch.is_grad_enabled():
            raise RuntimeError(
                f"{type(adjoint).__name__} knows first derivatives only, and "
                "create_graph=True asks for more: expected Through(), or "
                "create_graph=False"
            )
        by_x0, by_parameters = adjoint.backward(run, kept, *v)
        return None, None, by_x0, *by_parameters


class Through(Adjoint):
    """The gradient by autograd through all steps, which keeps every stage.

    Exact for the numbers that were computed; memory grows with steps and stages. What
    the other adjoints are measured by (backpropagation through the solver; Chen,
    Rubanova, Bettencourt and Duvenaud 2018, NeurIPS, section 2).

    Example:
        >>> from unroll.ode import RK4, odeint
        >>> x0, t = torch.ones(1, 1, requires_grad=True), torch.linspace(0, 1, 11)
        >>> x = odeint(lambda t, x: -x, x0, t, RK4, Through())
        >>> torch.autograd.grad(x.sum(), x0)  # e^-1
        (tensor([[0.3679]]),)
    """

    def __call__(self, run: Run, x0: Tensor) -> Tensor:
        """Return the state at the last time, with the graph of all steps."""
        return run.between(x0, 0, run.steps)


@dataclass(frozen=True)
class Discrete(Adjoint):
    r"""The gradient of the steps that were done, one step at a time, backwards.

    .. math:: \lambda_n = \Big(\frac{\partial x_{n+1}}{\partial x_n}\Big)^T
              \lambda_{n+1}, \qquad \frac{dL}{d\theta} = \sum_n
              \Big(\frac{\partial x_{n+1}}{\partial \theta}\Big)^T \lambda_{n+1}

    Each step is done again with its graph, from a state that is kept or recomputed by
    the plan :func:`~unroll.ode.schedule.revolve`; the numbers are those of
    :class:`Through`, in the memory of one step and the states. Zhang and Zhao 2022,
    IEEE Trans. Artif. Intell. (PNODE); Griewank and Walther 2000.

    Args:
        checkpoints: States that are kept, the first one counted; None keeps them all.

    Raises:
        TypeError: If ``checkpoints`` is not an int.
        ValueError: If ``checkpoints`` is not positive.

    Example:
        >>> from unroll.ode import RK4, odeint
        >>> x0, t = torch.ones(1, 1, requires_grad=True), torch.linspace(0, 1, 11)
        >>> x = odeint(lambda t, x: -x, x0, t, RK4, Discrete(checkpoints=3))
        >>> torch.autograd.grad(x.sum(), x0)
        (tensor([[0.3679]]),)
    """

    checkpoints: int | None = None

    def __post_init__(self) -> None:
        if self.checkpoints is not None:
            check_count("checkpoints", self.checkpoints, least=1)

    def forward(self, run: Run, x0: Tensor) -> tuple[Tensor, Any]:
        """Do the first sweep; return the last state and the rest of the plan."""
        most = run.steps if self.checkpoints is None else self.checkpoints
        plan = revolve(run.steps, most)
        first = next(i for i, one in enumerate(plan) if isinstance(one, Reverse))
        states: dict[int, Tensor] = {}
        x = _follow(run, plan[:first], states, x0)
        taped = _taped(run, x, run.steps - 1)
        return taped[1].detach(), (taped, plan[first + 1 :], states)

    def backward(self, run: Run, kept: Any, v: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Follow the rest of the plan."""
        taped, plan, states = kept
        states, x = dict(states), taped[0]  # so that a second backward finds them
        v, total = _pulled_back(run, taped, v, None)
        for action in plan:
            if isinstance(action, Reverse):
                taped = _taped(run, x, action.step)
                v, total = _pulled_back(run, taped, v, total)
            else:
                x = _follow(run, [action], states, x)
        return v, total


def _follow(
    run: Run, plan: Sequence[Action], states: dict[int, Tensor], x: Tensor
) -> Tensor:
    """Carry out what does not differentiate; return the state that the run is at."""
    for action in plan:
        match action:
            case Store(step):
                states[step] = x
            case Restore(step):
                x = states[step]
            case Free(step):
                del states[step]
            case Advance(start, stop):
                with torch.no_grad():
                    x = run.between(x, start, stop)
    return x


def _taped(run: Run, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the state before step ``k``, and the one after it with its graph."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        return x, run.step(x, k)


def _pulled_back(
    run: Run, taped: tuple[Tensor, Tensor], v: Tensor, total: list[Tensor] | None
) -> tuple[Tensor, list[Tensor]]:
    """Return ``v`` before the step, and the parameters' gradients with its share."""
    x, after = taped
    by_x, *shares = torch.autograd.grad(
        after, (x, *run.parameters), v, retain_graph=True, materialize_grads=True
    )
    if total is None:
        return by_x, shares
    return by_x, [one + share for one, share in zip(total, shares, strict=True)]


class Continuous(Adjoint):
    r"""The gradient of the equation, not of the steps: another equation, backwards.

    .. math:: \frac{d\lambda}{dt} = -\Big(\frac{\partial f}{\partial x}\Big)^T \lambda,
              \qquad \frac{dL}{d\theta} = \int
              \Big(\frac{\partial f}{\partial \theta}\Big)^T \lambda \, dt

    together with the state itself, solved back from its last value: Chen, Rubanova,
    Bettencourt and Duvenaud 2018, NeurIPS, appendix B. No state is kept, and what comes
    out is the gradient of no solution that was computed: it is wrong by the error of
    the method, and where going back is unstable by more.

    Example:
        >>> from unroll.ode import EULER, odeint
        >>> x0, t = torch.ones(1, 1, requires_grad=True), torch.linspace(0, 1, 11)
        >>> x = odeint(lambda t, x: -x**2, x0, t, EULER, Continuous())
        >>> torch.autograd.grad(x.sum(), x0)  # of the steps: 0.2183
        (tensor([[0.2633]]),)
    """

    def forward(self, run: Run, x0: Tensor) -> tuple[Tensor, Any]:
        """Do all steps, and keep the last state."""
        x = run.between(x0, 0, run.steps)
        return x, x

    def backward(self, run: Run, kept: Any, v: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Solve back for the state, for the adjoint and for the integral."""
        shapes = [kept.shape, v.shape, *(p.shape for p in run.parameters)]
        sizes = [shape.numel() for shape in shapes]

        def joint(t: Tensor, flat: Tensor) -> Tensor:
            x, adjoint = (
                part.view(shape)
                for part, shape in zip(flat.split(sizes)[:2], shapes, strict=False)
            )
            x = x.detach().requires_grad_()
            with torch.enable_grad():
                f = run.field(t, x)
                found = torch.autograd.grad(
                    f, (x, *run.parameters), -adjoint, materialize_grads=True
                )
            return torch.cat([f.detach().flatten(), *(g.flatten() for g in found)])

        zeros = [torch.zeros_like(p).flatten() for p in run.parameters]
        start = torch.cat([kept.flatten(), v.flatten(), *zeros])
        back = Run(joint, run.t.flip(0), run.method, ())
        end = back.between(start, 0, run.steps).split(sizes)
        parts = [part.view(shape) for part, shape in zip(end, shapes, strict=True)]
        return parts[1], parts[2:]


def parameters_of(field: Callable) -> tuple[Tensor, ...]:
    """Return what a field can learn: the parameters of a module."""
    if not isinstance(field, nn.Module):
        return ()
    return tuple(p for p in field.parameters() if p.requires_grad)
