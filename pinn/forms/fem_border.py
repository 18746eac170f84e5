"""What a problem's conditions mean for finite elements: values, slopes and ties."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinn._backend import dde
from pinn.derivatives.deepxde_cache import solved_for_slope
from pinn.problem import Problem

__all__ = [
    "SLOPES",
    "Slopes",
    "accepted",
    "check_met",
    "facing",
    "prescribed",
    "tests_of",
    "ties",
]

_ICBC = dde.icbc
SLOPES = (_ICBC.NeumannBC, _ICBC.RobinBC, _ICBC.OperatorBC)


def accepted(problem: Problem, condition: Any, x: np.ndarray) -> np.ndarray:
    """Tell at which points a condition holds.

    Args:
        problem: The problem.
        condition: One of its conditions.
        x: Points. Shape ``(points, dim)``.

    Returns:
        Booleans. Shape ``(points,)``.
    """
    if isinstance(condition, _ICBC.IC):
        on = condition.on_initial(x, problem.geometry.on_initial(x))
    else:
        on = condition.on_boundary(x, problem.geometry.on_boundary(x))
    return np.asarray(on, dtype=bool).reshape(len(x))


def facing(problem: Problem, condition: Any, x: np.ndarray) -> np.ndarray:
    """Tell which points a ``PeriodicBC`` ties, on either of its two sides.

    DeepXDE takes a condition that names one side only, and finds the other itself.

    Args:
        problem: The problem.
        condition: One of its conditions, periodic.
        x: Points. Shape ``(points, dim)``.

    Returns:
        Booleans. Shape ``(points,)``.
    """
    axis = condition.component_x
    low, high = (bound[axis] for bound in problem.bounds)
    first, last = (np.isclose(x[:, axis], end) for end in (low, high))
    other = x.copy()
    other[first, axis], other[last, axis] = high, low
    held = accepted(problem, condition, x) | accepted(problem, condition, other)
    return (first | last) & held


def prescribed(condition: Any, x: np.ndarray) -> np.ndarray:
    """Evaluate what a ``DirichletBC``, ``IC`` or ``NeumannBC`` prescribes.

    Args:
        condition: The condition.
        x: Points. Shape ``(points, dim)``.

    Returns:
        Values. Shape ``(points,)``.
    """
    # DeepXDE remembers values by the array's id: a fresh one, kept with the condition.
    x = x.copy()
    condition.__dict__.setdefault("_arrays_seen", []).append(x)
    values = condition.func(x, 0, len(x), None)
    found = values.detach().cpu().double().numpy().reshape(-1)
    return found.repeat(len(x)) if len(found) == 1 else found.reshape(len(x))


def ties(
    problem: Problem, conditions: Sequence[Any], places: Sequence[np.ndarray]
) -> np.ndarray:
    """Find which unknowns a ``PeriodicBC`` makes equal.

    Args:
        problem: The problem.
        conditions: Those that are periodic.
        places: Of the unknowns, per component. Shapes ``(unknowns, dim)``.

    Returns:
        For every unknown of all components the number of the one that it equals.

    Raises:
        ValueError: If the two sides' unknowns do not face each other, or the slope is
            periodic where the value is not.
    """
    starts = np.cumsum([0, *map(len, places)])
    equals = np.arange(starts[-1])
    tied = [(c.component, c.component_x) for c in conditions if c.derivative_order == 0]
    for condition in conditions:
        component, axis = condition.component, condition.component_x
        if (component, axis) not in tied:
            raise ValueError(
                f"the slope of component {component} is periodic along x[{axis}] but "
                "its value is not: fem expects PeriodicBC of derivative_order 0 too"
            )
        if condition.derivative_order:
            continue  # what flows out flows in: natural where the values are tied
        x = places[component]
        low, high = (bound[axis] for bound in problem.bounds)
        ends = [np.flatnonzero(np.isclose(x[:, axis], end)) for end in (low, high)]
        others = x.round(9)
        others[:, axis] = 0
        first, last = (end[np.lexsort(others[end].T)] for end in ends)
        if not np.array_equal(others[first], others[last]):
            raise ValueError(
                f"the mesh has other nodes at the lower end of x[{axis}] than at the "
                "upper, where a PeriodicBC ties them: expected the same"
            )
        on = facing(problem, condition, x[first])
        check_met(first[on], problem.conditions.index(condition), condition, "node")
        equals[starts[component] + last[on]] = equals[starts[component] + first[on]]
    while (equals != equals[equals]).any():  # corners are tied twice
        equals = equals[equals]
    return equals


def tests_of(
    own: Sequence[int], lower: Sequence[bool], fixed: np.ndarray, sloped: np.ndarray
) -> list[int]:
    """Choose by whose tests each equation is tried, so that no slope is lost.

    Tests of a component vanish where its value is prescribed. An equation's flux there
    is left open, so a condition on the slope would be dropped: a beam that is clamped
    at one end has value and slope given there, and nothing at the other. Its two
    equations take each other's tests.

    Args:
        own: Per component, the equation that it goes with.
        lower: Per component, whether its elements have one degree less.
        fixed: Sides where a value is prescribed. Shape ``(components, sides)``.
        sloped: Sides where a slope is. Shape ``(components, sides)``.

    Returns:
        Per component, the equation that its tests try.

    Raises:
        ValueError: If a slope would be lost whatever is tried.
    """
    for tried in ([*own], *itertools.permutations(own)):
        owners = [own.index(e) for e in tried]
        same = all(lower[c] == lower[k] for c, k in enumerate(owners))
        if same and not any((fixed[c] & sloped[k]).any() for c, k in enumerate(owners)):
            return list(tried)
    c = int((fixed & sloped).any(axis=1).argmax())
    raise ValueError(
        f"conditions prescribe the value and the slope of component {c} on the same "
        "sides: fem expects one of them"
    )


def check_met(rows: np.ndarray, k: int, condition: Any, what: str) -> None:
    """Refuse a condition that would be dropped without a word.

    Args:
        rows: Where it holds.
        k: Its number.
        condition: The condition.
        what: Of what the mesh has none there.

    Raises:
        ValueError: If there are no rows.
    """
    if len(rows) == 0:
        raise ValueError(
            f"conditions[{k}], a {type(condition).__name__}, holds at no {what} of the "
            "mesh: expected elements that end where it begins"
        )


class Slopes:
    """Conditions on the slope, put into the gradient that the flux is given.

    On their sides the normal part of a component's gradient is what they say it is; the
    flux through the border then needs no unknown of its own.

    Args:
        problem: The problem.
        x: Points on sides at the border, moved onto it. Shape ``(points, dim)``.
        normals: Unit normals there. Shape ``(points, dim)``.
        holds: ``holds(condition)`` tells at which of them. Shape ``(points,)``.

    Raises:
        ValueError: If a condition cannot be solved for the slope.
    """

    def __init__(
        self,
        problem: Problem,
        x: np.ndarray,
        normals: np.ndarray,
        holds: Callable[[Any], np.ndarray],
    ) -> None:
        self.normals = torch.as_tensor(normals)
        self.given: list[tuple[int, Tensor, np.ndarray, Any, Any]] = []
        for k, condition in enumerate(problem.conditions):
            if not isinstance(condition, SLOPES):
                continue
            if isinstance(condition, _ICBC.OperatorBC) and problem.components > 1:
                raise ValueError(
                    f"conditions[{k}] is an OperatorBC and the problem has "
                    f"{problem.components} components: fem expects NeumannBC or RobinBC"
                )
            rows = np.flatnonzero(holds(condition))
            check_met(rows, k, condition, "side")
            g = None
            if isinstance(condition, _ICBC.NeumannBC):
                g = torch.as_tensor(prescribed(condition, x[rows]))
            at = torch.as_tensor(rows)
            self.given.append((k, at, x[rows].copy(), condition, g))

    def put(self, u: Tensor, p: Tensor) -> Tensor:
        """Replace the normal part of gradients.

        Args:
            u: Values. Shape ``(points, components)``.
            p: Gradients. Shape ``(points, components, dim)``.

        Returns:
            Gradients. Shape ``(points, components, dim)``.
        """
        for k, rows, x, condition, g in self.given:
            c, n = condition.component, self.normals[rows]
            inner = p[rows, c]
            across = (inner * n).sum(1)
            if isinstance(condition, _ICBC.RobinBC):
                g = condition.func(x, u[rows]).reshape(len(x))
            elif isinstance(condition, _ICBC.OperatorBC):
                flat = inner - across[:, None] * n
                who = f"conditions[{k}] is an OperatorBC that fem"
                g = solved_for_slope(condition.func, x, u[rows], flat, n, who)
            p = p.index_put((rows, torch.tensor(c)), inner + (g - across)[:, None] * n)
        return p
