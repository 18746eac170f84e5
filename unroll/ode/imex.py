"""Methods for a field of two parts, of which one is stiff."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

from torch import Tensor, nn

from unroll.ode.newton import implicit_stage
from unroll.ode.tableau import Field, Method, check_tableau, combined

__all__ = ["ARK2", "IMEX", "Split"]


class Split(nn.Module):
    """A field that is the sum of two: ``f(t, x) = explicit(t, x) + implicit(t, x)``.

    A method of class :class:`IMEX` treats them differently; every other method takes
    the sum. Ascher, Ruuth and Spiteri 1997, Appl. Numer. Math. 25.

    Args:
        explicit: The part that is not stiff, often the expensive one.
        implicit: The stiff part, often a linear one.

    Raises:
        TypeError: If a part cannot be called.

    Example:
        >>> import torch
        >>> field = Split(lambda t, x: x**2, lambda t, x: -100 * x)
        >>> field(torch.tensor(0.0), torch.ones(1, 1))
        tensor([[-99.]])
    """

    def __init__(self, explicit: Callable, implicit: Callable) -> None:
        super().__init__()
        for name, part in (("explicit", explicit), ("implicit", implicit)):
            if not callable(part):
                raise TypeError(f"{name} is {part!r}: expected a field f(t, x)")
        self.explicit, self.implicit = explicit, implicit

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """Return the sum of both parts.

        Args:
            t: Time. Shape ``()``.
            x: State. Shape ``(batch, ...)``.

        Returns:
            Slope. Shape ``(batch, ...)``.
        """
        return self.explicit(t, x) + self.implicit(t, x)


@dataclass(frozen=True)
class IMEX(Method):
    r"""Two Runge-Kutta methods in step: one explicit, one diagonally implicit.

    .. math:: y_i = x + h \sum_{j < i} (\hat a_{ij} \, g_j + a_{ij} \, k_j)
              + h a_{ii} f_I(t + c_i h, y_i), \qquad
              x^+ = x + h \sum_i (\hat b_i \, g_i + b_i \, k_i)

    with ``g_i`` the part that is not stiff and ``k_i`` the stiff one, both at ``y_i``.
    Newton's method sees the stiff part only. Ascher, Ruuth and Spiteri 1997, Appl.
    Numer. Math. 25. Here is ``ARK2``, their (2, 2, 2): of second order, the implicit
    part of which damps what is fast. Zhang and Zhao 2022 (PNODE) train with such
    methods.

    Args:
        explicit: Rows of the strictly lower triangle, the first empty.
        a: Rows of the lower triangle of the implicit method, the diagonal included.
        explicit_b: Weights of the explicit method, of sum 1.
        b: Weights of the implicit method, of sum 1.
        order: The error of one step is ``h`` to this power plus one.

    Raises:
        ValueError: If one of the two is no tableau, or their rows have other sums.

    Example:
        >>> import torch
        >>> from unroll.ode import odeint
        >>> field = Split(lambda t, x: torch.cos(t), lambda t, x: -1000 * x)
        >>> x0, t = torch.ones(1, 1), torch.linspace(0, 1, 11)
        >>> odeint(field, x0, t, ARK2)  # cos(1) / 1000: the fast part is gone
        tensor([[0.0005]])
    """

    explicit: tuple[tuple[float, ...], ...]
    a: tuple[tuple[float, ...], ...]
    explicit_b: tuple[float, ...]
    b: tuple[float, ...]
    order: int

    def __post_init__(self) -> None:
        check_tableau(self.explicit, self.explicit_b, first=0, kind="explicit")
        check_tableau(self.a, self.b, first=1, kind="diagonally implicit")
        if len(self.a) != len(self.explicit):
            raise ValueError(
                f"explicit has {len(self.explicit)} rows and a {len(self.a)}: expected "
                "the same number"
            )
        for i, (one, other) in enumerate(zip(self.explicit, self.a, strict=True)):
            if abs(sum(one) - sum(other)) > 1e-12:
                raise ValueError(
                    f"row {i} has the sum {sum(one):.4g} in explicit and "
                    f"{sum(other):.4g} in a: expected stages at the same times"
                )

    def step(self, field: Field, t: Tensor, h: Tensor, x: Tensor) -> Tensor:
        """Return the state after one step.

        Args:
            field: A :class:`Split` field.
            t: Time. Shape ``()``.
            h: Length of the step. Shape ``()``.
            x: State. Shape ``(batch, ...)``.

        Returns:
            State. Shape ``(batch, ...)``.

        Raises:
            FloatingPointError: If Newton's method does not converge.
            TypeError: If the field is not split.
        """
        field = check_split(field)
        mild: list[Tensor] = []
        stiff: list[Tensor] = []
        for free, (*row, own) in zip(self.explicit, self.a, strict=True):
            at = t + (sum(row) + own) * h
            known = self._plus(x, h, free, mild, tuple(row), stiff)
            if own:
                y = implicit_stage(field.implicit, at, own * h, known)
                stiff.append((y - known) / (own * h))
            else:
                y = known
                stiff.append(field.implicit(at, y))
            mild.append(field.explicit(at, y))
        return self._plus(x, h, self.explicit_b, mild, self.b, stiff)

    @staticmethod
    def _plus(
        x: Tensor, h: Tensor, free: tuple, mild: list, row: tuple, stiff: list
    ) -> Tensor:
        """Return ``x`` and the weighted slopes of both parts."""
        for weights, slopes in ((free, mild), (row, stiff)):
            if any(weights):
                x = x + h * combined(weights, slopes)
        return x


def check_split(field: Field) -> Split:
    """Return a field of two parts; refuse one of one part."""
    if not isinstance(field, Split):
        raise TypeError(
            f"field is a {type(field).__name__}: expected Split(explicit, implicit) "
            "for a method that treats two parts differently"
        )
    return field


_GAMMA = 1 - 1 / sqrt(2)
_DELTA = 1 - 1 / (2 * _GAMMA)
ARK2 = IMEX(
    explicit=((), (_GAMMA,), (_DELTA, 1 - _DELTA)),
    a=((0.0,), (0.0, _GAMMA), (0.0, 1 - _GAMMA, _GAMMA)),
    explicit_b=(_DELTA, 1 - _DELTA, 0.0),
    b=(0.0, 1 - _GAMMA, _GAMMA),
    order=2,
)
