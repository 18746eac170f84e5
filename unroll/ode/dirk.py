"""Diagonally implicit Runge-Kutta methods, for equations that are stiff."""

from dataclasses import dataclass
from math import sqrt

from torch import Tensor

from unroll.ode.newton import implicit_stage
from unroll.ode.tableau import Field, Method, check_tableau, combined

__all__ = ["CRANK_NICOLSON", "DIRK", "IMPLICIT_EULER", "SDIRK2"]


@dataclass(frozen=True)
class DIRK(Method):
    r"""A Runge-Kutta method whose stages are solved for one after the other.

    .. math:: y_i = x + h \sum_{j < i} a_{ij} k_j + h a_{ii} f(t + c_i h, y_i), \qquad
              x^+ = x + h \sum_i b_i k_i

    with ``k_i = f(t + c_i h, y_i)``, and ``c_i`` the sum of row i. Where a field has
    fast and slow parts, an explicit step must be as short as the fast ones want; an
    implicit one need not be. Hairer and Wanner 1996, Solving Ordinary Differential
    Equations II, section IV.6. Each stage is solved to rounding by Newton's method
    with vector-Jacobian products (:mod:`unroll.ode.newton`), so the discrete adjoint is
    that of the exact stages, whatever the iterations did. Here are ``IMPLICIT_EULER``,
    ``CRANK_NICOLSON`` and ``SDIRK2``, of two equal stages (Alexander 1977, SIAM J.
    Numer. Anal. 14(6)), the first and the last of which damp what is fast.

    Args:
        a: Rows of the lower triangle, the diagonal included.
        b: Weights of the stages, of sum 1.
        order: The error of one step is ``h`` to this power plus one.

    Raises:
        ValueError: If row i does not have i + 1 entries, or there are not as many
            weights as rows, or their sum is not 1.

    Example:
        >>> import torch
        >>> x, h = torch.ones(1, 1), torch.tensor(10.0)  # a long step of x' = -x
        >>> euler = DIRK(a=((1.0,),), b=(1.0,), order=1)  # IMPLICIT_EULER
        >>> euler.step(lambda t, x: -x, torch.tensor(0.0), h, x)
        tensor([[0.0909]])
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    order: int

    def __post_init__(self) -> None:
        check_tableau(self.a, self.b, first=1, kind="diagonally implicit")

    def step(self, field: Field, t: Tensor, h: Tensor, x: Tensor) -> Tensor:
        """Return the state after one step.

        Args:
            field: Right side ``f(t, x)``, differentiable twice by autograd.
            t: Time. Shape ``()``.
            h: Length of the step. Shape ``()``.
            x: State. Shape ``(batch, ...)``.

        Returns:
            State. Shape ``(batch, ...)``.

        Raises:
            FloatingPointError: If Newton's method does not converge.
        """
        return self._solve(field, t, h, x, None)[0]

    def _stages(self, field: Field, t: Tensor, h: Tensor, x: Tensor) -> list[Tensor]:
        """Return the states ``y_i`` of a step, from which it can be done again.

        Args:
            field: Right side ``f(t, x)``, differentiable twice by autograd.
            t: Time. Shape ``()``.
            h: Length of the step. Shape ``()``.
            x: State. Shape ``(batch, ...)``.

        Returns:
            Stages, a list of states.
        """
        return self._solve(field, t, h, x, None)[1]

    def _from_stages(
        self, field: Field, t: Tensor, h: Tensor, x: Tensor, solved: list[Tensor]
    ) -> Tensor:
        """Return the state after a step whose stages are known: nothing is solved.

        Its value does not depend on the one of ``x``, its graph is that of the step.

        Args:
            field: Right side ``f(t, x)``, differentiable twice by autograd.
            t: Time. Shape ``()``.
            h: Length of the step. Shape ``()``.
            x: State. Shape ``(batch, ...)``.
            solved: Stages, as :meth:`_stages` returns them.

        Returns:
            State. Shape ``(batch, ...)``.
        """
        return self._solve(field, t, h, x, solved)[0]

    def _solve(
        self, field: Field, t: Tensor, h: Tensor, x: Tensor, solved: list | None
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the state after a step, and its stages."""
        slopes: list[Tensor] = []
        states: list[Tensor] = []
        for i, (*row, own) in enumerate(self.a):
            at = t + (sum(row) + own) * h
            known = x + h * combined(tuple(row), slopes) if any(row) else x
            told = None if solved is None else solved[i]
            if own:
                y = implicit_stage(field, at, own * h, known, told)
                slopes.append((y - known) / (own * h))  # if it is stiff, not f(y)
            else:
                y = known if told is None else told + (known - known.detach())
                slopes.append(field(at, y))
            states.append(y)
        if self.last_is_next:
            return states[-1], states
        return x + h * combined(self.b, slopes), states

    @property
    def last_is_next(self) -> bool:
        """Whether the last stage is the state after the step (stiffly accurate)."""
        return self.b == self.a[-1]


IMPLICIT_EULER = DIRK(a=((1.0,),), b=(1.0,), order=1)
CRANK_NICOLSON = DIRK(a=((0.0,), (1 / 2, 1 / 2)), b=(1 / 2, 1 / 2), order=2)
_GAMMA = 1 - 1 / sqrt(2)
SDIRK2 = DIRK(a=((_GAMMA,), (1 - _GAMMA, _GAMMA)), b=(1 - _GAMMA, _GAMMA), order=2)
