"""Gradients of a solution: of the steps that were done, or of the equation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from unroll._checks import check_count
from unroll.ode.adaptive import Adaptive
from unroll.ode.cams import cams
from unroll.ode.online import Online
from unroll.ode.run import Memory, Run, follow, kept_stages, pulled_back, taped
from unroll.ode.schedule import Reverse, revolve

__all__ = ["Continuous", "Discrete", "Through"]


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
            return run.last(x0)
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
        run = run.frozen(x0)
        return run.between(x0, 0, run.steps)


@dataclass(frozen=True)
class Discrete(Adjoint):
    r"""The gradient of the steps that were done, one step at a time, backwards.

    .. math:: \lambda_n = \Big(\frac{\partial x_{n+1}}{\partial x_n}\Big)^T
              \lambda_{n+1}, \qquad \frac{dL}{d\theta} = \sum_n
              \Big(\frac{\partial x_{n+1}}{\partial \theta}\Big)^T \lambda_{n+1}

    Each step is done again with its graph, from a state that is kept or recomputed by
    a plan; the numbers are those of :class:`Through`, in the memory of one step and of
    what is kept. The plan is :func:`~unroll.ode.schedule.revolve`; with ``stages`` it
    is :func:`~unroll.ode.cams.cams`, which keeps the solved stages of implicit steps,
    too, where that saves work; and :class:`~unroll.ode.online.Online` where the steps
    are :class:`~unroll.ode.adaptive.Adaptive` and their number is not known before.
    Zhang and Zhao 2022, IEEE Trans. Artif. Intell. (PNODE); Griewank and Walther 2000;
    Zhang and Constantinescu 2023, J. Comput. Sci. 66.

    Args:
        checkpoints: States that are kept, the first one counted; None keeps them all.
        stages: Whether stages may be kept in the places of states.
        watch: Called as ``watch(run, k, x, v)`` after step ``k`` was gone back, with
            the state before it and the gradient by that, as
            :class:`~unroll.ode.snopt.SNOpt` wants.

    Raises:
        TypeError: If ``checkpoints`` is not an int.
        ValueError: If ``checkpoints`` is not positive, or is None with ``stages``.

    Example:
        >>> from unroll.ode import RK4, odeint
        >>> x0, t = torch.ones(1, 1, requires_grad=True), torch.linspace(0, 1, 11)
        >>> x = odeint(lambda t, x: -x, x0, t, RK4, Discrete(checkpoints=3))
        >>> torch.autograd.grad(x.sum(), x0)
        (tensor([[0.3679]]),)
    """

    checkpoints: int | None = None
    stages: bool = False
    watch: Callable[[Run, int, Tensor, Tensor], None] | None = None

    def __post_init__(self) -> None:
        if self.checkpoints is not None:
            check_count("checkpoints", self.checkpoints, least=1)
        elif self.stages:
            raise ValueError("checkpoints is None: expected a number, if stages count")

    def forward(self, run: Run, x0: Tensor) -> tuple[Tensor, Any]:
        """Do the first sweep; return the last state and the rest of the plan."""
        memory = Memory()
        if isinstance(run.method, Adaptive):
            return self._discovered(run, x0, memory)
        if self.stages:
            plan = cams(run.steps, self.checkpoints or 1, kept_stages(run.method))
        else:
            most = run.steps if self.checkpoints is None else self.checkpoints
            plan = list(revolve(run.steps, most))
        first = next(i for i, one in enumerate(plan) if isinstance(one, Reverse))
        x = follow(run, plan[:first], memory, x0)
        tape = taped(run, x, run.steps - 1, memory)
        return tape[1].detach(), (run, tape, plan[first + 1 :], memory)

    def _discovered(
        self, run: Run, x0: Tensor, memory: Memory
    ) -> tuple[Tensor, tuple[Run, None, list, Memory]]:
        """Do a first sweep whose steps are found on the way."""
        keep, times, x = Online(self.checkpoints), [], x0
        for step, (t, after) in enumerate(run.walk(x0)):
            x = after
            times.append(t)
            if t != run.t[-1]:
                follow(run, keep.before(step), memory, x)
        plan = keep.reversal(len(times) - 1)
        return x, (run.at(torch.stack(times)), None, plan, memory)

    def backward(self, run: Run, kept: Any, v: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Follow the rest of the plan."""
        run, tape, plan, memory = kept
        memory, x = memory.copy(), v  # so that a second backward finds its own
        total: list[Tensor] | None = None
        if tape is not None:
            plan = [Reverse(run.steps - 1), *plan]
        for action in plan:
            if not isinstance(action, Reverse):
                x = follow(run, [action], memory, x)
                continue
            k = action.step
            pair = taped(run, x, k, memory) if tape is None else tape
            v, total = pulled_back(run, pair, v, total)
            x, tape = pair[0], None
            if self.watch is not None:
                self.watch(run, k, pair[0].detach(), v)
        return v, total or []


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
        run = run.frozen(x0)
        x = run.between(x0, 0, run.steps)
        return x, (run, x)

    def backward(self, run: Run, kept: Any, v: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Solve back for the state, for the adjoint and for the integral."""
        run, kept = kept
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
