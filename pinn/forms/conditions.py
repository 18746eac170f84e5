"""Where a problem's conditions hold, and whether a function meets them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinn._backend import dde
from pinn.derivatives.jets import Wanted, jet_of
from pinn.domains.border import undisturbed
from pinn.problem import Problem

__all__ = [
    "check_conditions",
    "condition_errors",
    "half_started",
    "second_in_time",
    "unfixed",
]

_PLACES = 200  # on the boundary, and as many at the first time
_MISSED = 1e-6


def condition_errors(problem: Problem, net: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Evaluate how far a function is from each condition, at points of the border.

    Args:
        problem: The problem.
        net: A function of points.

    Returns:
        Per condition the errors, as DeepXDE computes them; none where no point is met.
    """
    geometry, found = problem.geometry, []
    with undisturbed():
        border = geometry.random_boundary_points(_PLACES)
        if problem.in_time:
            border = np.vstack([border, geometry.random_initial_points(_PLACES)])
    parameters = net.parameters() if isinstance(net, torch.nn.Module) else ()
    like = next(iter(parameters), torch.empty(0, dtype=torch.float64))
    for condition in problem.conditions:
        points = condition.collocation_points(border)
        inputs = torch.as_tensor(points).to(like).requires_grad_()
        if not len(points):
            found.append(inputs.detach()[:, :1])
            continue
        # DeepXDE remembers values by the array's id: keep the array with the condition.
        condition.__dict__.setdefault("_arrays_seen", []).append(points)
        with torch.enable_grad():
            error = condition.error(points, inputs, net(inputs), 0, len(points))
        dde.grad.clear()
        found.append(error.detach())
    return found


def check_conditions(problem: Problem, net: Callable[[Tensor], Tensor]) -> None:
    """Refuse a network that is said to fulfil the conditions and does not.

    Args:
        problem: The problem.
        net: The network, before training.

    Raises:
        ValueError: If a condition is missed.
    """
    for k, errors in enumerate(condition_errors(problem, net)):
        if isinstance(problem.conditions[k], dde.icbc.PointSetBC):
            continue  # measurements: a loss of their own
        worst = errors.abs().max().item() if errors.numel() else 0.0
        if not worst <= _MISSED:
            kind = type(problem.conditions[k]).__name__
            raise ValueError(
                f"conditions[{k}], a {kind}, is missed by {worst:.2g} before training, "
                "and hard=True leaves it out of the loss: expected a network that "
                "fulfils it for any weights, by net.apply_output_transform(...) or "
                "net.apply_feature_transform(...)"
            )


def second_in_time(problem: Problem) -> bool:
    """Tell whether an equation reads a second derivative along its last coordinate.

    A ``residual`` is asked: does it change at one time if a square that is zero there,
    with its slope, is added to a function?

    Args:
        problem: The problem.

    Returns:
        Whether it does.
    """
    last = problem.dim - 1
    if problem.flux is not None:
        return (last, last) in problem.wanted.second
    x, middle = problem.probes()[0].clone(), np.mean([b[last] for b in problem.bounds])
    x[:, last] = middle
    x.requires_grad_()

    def smooth(x: Tensor) -> Tensor:
        return torch.sin(x.sum(1, keepdim=True)).repeat(1, problem.components)

    def bent(x: Tensor) -> Tensor:
        return smooth(x) + (x[:, last:] - middle) ** 2

    pairs = zip(
        _residuals(problem.residual, x, smooth),
        _residuals(problem.residual, x, bent),
        strict=True,
    )
    return any(not torch.allclose(one, other, equal_nan=True) for one, other in pairs)


def half_started(problem: Problem) -> bool:
    """Tell whether an equation of second order in time has but one initial condition.

    Args:
        problem: The problem.

    Returns:
        True if fewer than two of the conditions hold at the first time, inside.
    """
    if not problem.in_time or not second_in_time(problem):
        return False
    with undisturbed():
        start = problem.geometry.random_initial_points(_PLACES)
    within = ~problem.geometry.geometry.on_boundary(start[:, :-1])
    found = sum(
        len(condition.collocation_points(start[within])) > 0
        for condition in problem.conditions
    )
    return found < 2


def unfixed(problem: Problem) -> str | None:
    """Find what may be added to a solution without any term noticing.

    Tried are a constant and the coordinates, per component, about a smooth function.

    Args:
        problem: The problem.

    Returns:
        Words for it, or None if neither equation nor conditions leave such a freedom.
    """
    count = (1 + problem.dim) * problem.components
    still = _responses(problem, torch.zeros(count))
    moves = [_responses(problem, unit) - still for unit in torch.eye(count)]
    _, sizes, directions = torch.linalg.svd(torch.stack(moves, 1), full_matrices=False)
    step = directions[-1]
    scale = 1 + still.abs().max()
    if sizes[-1] > 1e-9 * scale or _moved(problem, step, still) > 1e-9 * scale:
        return None
    return _words(step.view(1 + problem.dim, -1))


def _moved(problem: Problem, step: Tensor, still: Tensor) -> Tensor:
    """Tell how much equation and conditions change by a step."""
    return (_responses(problem, step) - still).abs().max()


def _words(step: Tensor) -> str:
    """Write a step out: ``(1 + dim, components)``."""
    step = step / step.flatten()[step.abs().argmax()]
    names = ["", *(f" x[{i}]" for i in range(len(step) - 1))]
    parts = []
    for component, column in enumerate(step.T.tolist()):
        terms = [
            f"{c:.2g}{n}" for c, n in zip(column, names, strict=True) if abs(c) > 1e-6
        ]
        if terms:
            parts.append(f"{' + '.join(terms)} to component {component}")
    return " and ".join(parts)


def _responses(problem: Problem, step: Tensor) -> Tensor:
    """Evaluate equation and conditions at a smooth function, moved by a step."""
    generator = torch.Generator("cpu").manual_seed(0)
    A, b = (
        torch.randn(size, problem.components, generator=generator).double()
        for size in (problem.dim, 1)
    )
    slope = step.double().view(1 + problem.dim, -1)

    def smooth(x: Tensor) -> Tensor:
        return torch.sin(x @ A + b) + slope[0] + x @ slope[1:]

    x = problem.probes()[0]
    if problem.flux is not None:
        jet = jet_of(smooth, x, Wanted.all(problem.dim))
        equation = [problem.strong_residual(x, jet).detach()]
    else:
        equation = _residuals(problem.residual, x.requires_grad_(), smooth)
    found = equation + condition_errors(problem, smooth)
    return torch.cat([e.flatten().double() for e in found])


def _residuals(pde: Any, x: Tensor, net: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Evaluate DeepXDE's own ``pde(x, y)``."""
    r = pde(x, net(x))
    dde.grad.clear()
    return [e.detach() for e in (r if isinstance(r, (list, tuple)) else [r])]
