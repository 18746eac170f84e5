"""Runge-Kutta methods as tables of numbers, and one step of any of them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["BOSH3", "DOPRI5", "EULER", "MIDPOINT", "RK4", "Embedded", "Tableau"]

Field = Callable  # f(t, x), a state


class Method:
    """One step of a solution: what :func:`~unroll.ode.odeint.odeint` repeats."""

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    order: int

    def step(self, field: Field, t: Tensor, h: Tensor, x: Tensor) -> Tensor:
        """Return the state after one step."""
        raise NotImplementedError


def check_tableau(
    a: tuple[tuple[float, ...], ...], b: tuple[float, ...], first: int, kind: str
) -> None:
    """Refuse a table whose rows do not grow by one entry from the first."""
    lengths = [len(row) for row in a]
    if lengths != list(range(first, first + len(a))):
        raise ValueError(
            f"a has rows of {lengths} entries: expected {first}, {first + 1}, "
            f"{first + 2}, ... ({kind})"
        )
    if len(b) != len(a):
        raise ValueError(
            f"b has {len(b)} entries and a {len(a)} rows: expected the same number"
        )
    if abs(sum(b) - 1) > 1e-12:
        raise ValueError(f"b has the sum {sum(b)}: expected 1")


@dataclass(frozen=True)
class Tableau(Method):
    r"""An explicit Runge-Kutta method.

    .. math:: k_i = f\Big(t + c_i h, \; x + h \sum_{j < i} a_{ij} k_j\Big), \qquad
              x^+ = x + h \sum_i b_i k_i

    Hairer, Norsett and Wanner 1993, Solving Ordinary Differential Equations I, section
    II.1; ``c_i`` is the sum of row i. Here are ``EULER``, ``MIDPOINT``, ``RK4``, and
    two that estimate their error (:class:`Embedded`).

    Args:
        a: Rows of the strictly lower triangle, the first empty.
        b: Weights of the stages, of sum 1.
        order: The error of one step is ``h`` to this power plus one.

    Raises:
        ValueError: If row i does not have i entries, or there are not as many weights
            as rows, or their sum is not 1.

    Example:
        >>> heun = Tableau(a=((), (1.0,)), b=(0.5, 0.5), order=2)
        >>> x, h = torch.ones(1, 1), torch.tensor(0.1)
        >>> heun.step(lambda t, x: x, torch.tensor(0.0), h, x)
        tensor([[1.1050]])
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    order: int

    def __post_init__(self) -> None:
        check_tableau(self.a, self.b, first=0, kind="explicit")

    def step(self, field: Field, t: Tensor, h: Tensor, x: Tensor) -> Tensor:
        """Return the state after one step.

        Args:
            field: Right side ``f(t, x)`` of the equation.
            t: Time. Shape ``()``.
            h: Length of the step. Shape ``()``.
            x: State. Shape ``(batch, ...)``.

        Returns:
            State. Shape ``(batch, ...)``.
        """
        stages = self._stages(field, t, h, x, [])
        return x + h * combined(self.b, stages)

    def _stages(
        self, field: Field, t: Tensor, h: Tensor, x: Tensor, known: list[Tensor]
    ) -> list[Tensor]:
        """Return all stages, of which the first may be known."""
        stages = list(known)
        for row in self.a[len(known) :]:
            at = x + h * combined(row, stages) if any(row) else x
            stages.append(field(t + sum(row) * h, at))
        return stages


@dataclass(frozen=True)
class Embedded(Tableau):
    r"""A Runge-Kutta method with a second one inside, which tells the error.

    .. math:: e = h \sum_{i \le s} d_i k_i + h \, d_{s+1} f(t + h, x^+)

    the difference to a solution of one order less from the same stages. The last look
    at the field is the first one of the next step (first same as last): Hairer, Norsett
    and Wanner 1993, Solving Ordinary Differential Equations I, section II.4. Here are
    ``BOSH3`` (Bogacki and Shampine 1989) and ``DOPRI5`` (Dormand and Prince 1980).

    Args:
        a: Rows of the strictly lower triangle, the first empty.
        b: Weights of the stages, of sum 1.
        order: The error of one step is ``h`` to this power plus one.
        error: ``d``, one number more than there are stages, of sum 0.

    Raises:
        ValueError: If it is no tableau, or the numbers of ``error`` are too few or
            many, or do not have the sum 0.

    Example:
        >>> x, t, h = torch.ones(1, 1), torch.tensor(0.0), torch.tensor(0.5)
        >>> isinstance(BOSH3, Embedded)
        True
        >>> new, error, _ = BOSH3.attempt(lambda t, x: -x, t, h, x, -x)
        >>> new, error  # beside e^-0.5 = 0.6065
        (tensor([[0.6042]]), tensor([[0.0013]]))
    """

    error: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.error) != len(self.a) + 1:
            raise ValueError(
                f"error has {len(self.error)} entries and a {len(self.a)} rows: "
                "expected one entry more"
            )
        if abs(sum(self.error)) > 1e-12:
            raise ValueError(f"error has the sum {sum(self.error)}: expected 0")

    def attempt(
        self, field: Field, t: Tensor, h: Tensor, x: Tensor, first: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the state after one step, its error, and the field there.

        Args:
            field: Right side ``f(t, x)`` of the equation.
            t: Time. Shape ``()``.
            h: Length of the step. Shape ``()``.
            x: State. Shape ``(batch, ...)``.
            first: ``f(t, x)``. Shape ``(batch, ...)``.

        Returns:
            New state, shape ``(batch, ...)``, its error, shape ``(batch, ...)``, and
            the field there, shape ``(batch, ...)``.
        """
        stages = self._stages(field, t, h, x, [first])
        new = x + h * combined(self.b, stages)
        last = field(t + h, new)
        return new, h * combined(self.error, [*stages, last]), last


def combined(weights: tuple[float, ...], stages: list[Tensor]) -> Tensor:
    """Return the weighted sum of stages, without those of weight 0."""
    parts = [w * k for w, k in zip(weights, stages, strict=True) if w]
    return torch.stack(parts).sum(dim=0) if len(parts) > 1 else parts[0]


EULER = Tableau(a=((),), b=(1.0,), order=1)
MIDPOINT = Tableau(a=((), (1 / 2,)), b=(0.0, 1.0), order=2)
RK4 = Tableau(
    a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
    order=4,
)
BOSH3 = Embedded(
    a=((), (1 / 2,), (0.0, 3 / 4)),
    b=(2 / 9, 1 / 3, 4 / 9),
    order=3,
    error=(-5 / 72, 1 / 12, 1 / 9, -1 / 8),
)
DOPRI5 = Embedded(
    a=(
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    ),
    b=(35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    order=5,
    error=(
        71 / 57600,
        0.0,
        -71 / 16695,
        71 / 1920,
        -17253 / 339200,
        22 / 525,
        -1 / 40,
    ),
)
