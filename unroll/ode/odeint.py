"""Solve an ordinary differential equation, and differentiate the solution."""

import torch
from torch import Tensor

from unroll._checks import check_finite, check_float, check_like
from unroll.ode.adaptive import Adaptive
from unroll.ode.adjoints import Adjoint, Continuous, Discrete, Through, parameters_of
from unroll.ode.imex import IMEX, check_split
from unroll.ode.run import Run, kept_stages
from unroll.ode.tableau import RK4, Field, Method, Tableau

__all__ = ["odeint"]


def odeint(
    field: Field,
    x0: Tensor,
    t: Tensor,
    method: Method | Adaptive = RK4,
    adjoint: Adjoint | None = None,
) -> Tensor:
    r"""Return the state at the last of the given times.

    .. math:: \frac{dx}{dt} = f_\theta(t, x), \qquad x(t_0) = x_0

    A network with a layer for every step, all of which share ``theta``: Chen, Rubanova,
    Bettencourt and Duvenaud 2018, NeurIPS (neural ordinary differential equations). For
    the states between, call it between them. There is one step between each two times,
    or, with :class:`~unroll.ode.adaptive.Adaptive`, as many as it takes.

    Args:
        field: Right side ``f(t, x)``. What it learns must be the parameters of a
            module, unless the adjoint is ``Through()``, which asks autograd.
        x0: State at the first time. Shape ``(batch, ...)``.
        t: Times, rising or falling, not differentiated. Shape ``(times,)``.
        method: One of ``EULER``, ``MIDPOINT``, ``RK4``, ``BOSH3``, ``DOPRI5``; for
            stiff fields ``IMPLICIT_EULER``, ``CRANK_NICOLSON``, ``SDIRK2``; for
            :class:`~unroll.ode.imex.Split` fields ``ARK2``; one of your own; or
            ``Adaptive()``.
        adjoint: How the solution is differentiated; None is :class:`Discrete`.

    Returns:
        State at the last time. Shape ``(batch, ...)``.

    Raises:
        FloatingPointError: If the last state is not finite, an implicit step is not
            solved, or adaptive steps are too many or too short.
        TypeError: If ``x0`` or ``t`` is not a floating-point tensor, their dtypes
            differ, ``adjoint`` is a class, ``method`` no tableau, or one for a split
            field and the field is not split.
        ValueError: If ``x0`` is not a batch of finite states, there are less than two
            times, times do not rise or fall, ``t`` asks for gradients, ``method`` is
            implicit and the adjoint ``Continuous()``, its stages are to be kept and
            cannot be, tolerances are below rounding, or, unless the adjoint is
            ``Through()``, the field draws random numbers or depends on what is to be
            learned and is no parameter of it.

    Example:
        >>> def circle(t, x):
        ...     return torch.stack([-x[:, 1], x[:, 0]], dim=1)
        >>> t = torch.linspace(0, torch.pi, 101)
        >>> odeint(circle, torch.tensor([[1.0, 0.0]]), t).round(decimals=3)
        tensor([[-1., -0.]])
    """
    _check(x0, t, method, adjoint)
    if isinstance(method, IMEX):
        check_split(field)
    adjoint = Discrete() if adjoint is None else adjoint
    run = Run(field, t, method, parameters_of(field))
    if torch.is_grad_enabled() and not isinstance(adjoint, Through):
        _check_known(run, x0)
    x = adjoint(run, x0)
    if not x.isfinite().all():
        raise FloatingPointError(
            f"the state is not finite after {run.steps} steps: expected shorter steps, "
            "or a field that does not run away"
        )
    return x


def _check(
    x0: Tensor, t: Tensor, method: Method | Adaptive, adjoint: Adjoint | None
) -> None:
    """Refuse what cannot be solved."""
    check_float("x0", x0)
    if x0.ndim < 2 or x0.numel() == 0:
        raise ValueError(f"x0 has shape {tuple(x0.shape)}: expected (batch, ...)")
    check_finite("x0", x0)
    check_like("t", t, "x0", x0)
    if t.ndim != 1 or len(t) < 2:
        raise ValueError(f"t has shape {tuple(t.shape)}: expected at least two times")
    if t.requires_grad:
        raise ValueError("t asks for gradients: expected times that are not learned")
    h = t.diff()
    if not ((h > 0).all() or (h < 0).all()):
        raise ValueError(f"t is {t.tolist()}: expected times that rise, or that fall")
    if not isinstance(method, Method | Adaptive):
        raise TypeError(f"method is {method!r}: expected a tableau, as RK4")
    if adjoint is not None and not isinstance(adjoint, Adjoint):
        raise TypeError(f"adjoint is {adjoint!r}: expected its value, as Discrete()")
    if isinstance(adjoint, Discrete) and adjoint.stages:
        kept_stages(method)
    if isinstance(adjoint, Continuous) and not isinstance(method, Tableau | Adaptive):
        raise ValueError(
            f"adjoint is Continuous() and method a {type(method).__name__}: expected "
            "an explicit method, or the adjoint Discrete()"
        )


def _chance(like: Tensor) -> Tensor:
    """Return the state of the default generator of a tensor's device."""
    if like.is_cuda:
        return torch.cuda.get_rng_state(like.device)
    return torch.get_rng_state()


def _check_known(run: Run, x0: Tensor) -> None:
    """Refuse a field that learns what an adjoint would not see, or that draws."""
    before = _chance(x0)
    with torch.enable_grad():
        f = run.field(run.t[0], x0.detach())
    if not torch.equal(before, _chance(x0)):
        raise ValueError(
            "the field draws random numbers, others when a step is done again: "
            "expected a field without chance (dropout off), or the adjoint Through()"
        )
    known, todo = set(map(id, run.parameters)), [f.grad_fn]
    seen: set = set()
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None and id(leaf) not in known:
            raise ValueError(
                f"the field depends on a tensor of shape {tuple(leaf.shape)} that asks "
                "for gradients and is no parameter of it: expected a module that owns "
                "it, or the adjoint Through()"
            )
        todo.extend(parent for parent, _ in node.next_functions)
