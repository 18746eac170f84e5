"""What every penalty has: a value, a proximal map, a polar and with it a conjugate."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from unroll.operators.base import Operator

__all__ = ["Penalty"]


class Penalty(ABC):
    r"""A regulariser ``R``: convex, at least 0, and doubled when ``x`` is doubled.

    Such a function is a gauge, as every norm is. Its conjugate says only whether the
    polar gauge is at most 1,

    .. math:: R^\circ(u) = \sup_{R(x) \le 1} \mathrm{Re} \langle u, x \rangle, \qquad
              R^*(u) = \begin{cases} 0 & R^\circ(u) \le 1, \\ \infty & \text{else,}
              \end{cases}

    and its proximal map is what is left after the projection onto that ball,
    ``prox_{theta R}(v) = v - P(v)`` with ``P`` that onto ``R^o(u) <= theta``: Moreau
    1965, Bull. Soc. Math. France 93; Rockafellar 1970, Convex Analysis, section 15.

    A subclass says :meth:`value`, :meth:`prox` and :meth:`polar`. Penalties have no
    weight of their own: that is the ``lam`` of a solver. Nor have they any state.

    Example:
        >>> class Length(Penalty):  # the Euclidean norm of a sample
        ...     def value(self, x):
        ...         return x.norm(dim=1)
        ...     def prox(self, v, theta):
        ...         return v * (1 - theta / v.norm(dim=1, keepdim=True)).clamp(min=0)
        ...     def polar(self, u):
        ...         return u.norm(dim=1)
        >>> Length().conjugate(torch.tensor([[0.6, 0.8], [3.0, 4.0]]))
        tensor([0., inf])
    """

    has_polar: ClassVar[bool] = True
    """Whether :meth:`polar` is computed, and with it a duality gap."""
    analysis: ClassVar[Operator | None] = None
    """An operator ``K`` with ``R(x) = outer(K x)``, where only ``outer`` is simple."""
    outer: "ClassVar[Penalty | None]" = None
    """The simple penalty of what :attr:`analysis` returns."""

    def __repr__(self) -> str:
        """Return the name with what it was made with, the same in every run."""
        held = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({held})"

    @abstractmethod
    def value(self, x: Tensor) -> Tensor:
        """Return ``R(x)``.

        Args:
            x: Points. Shape ``(batch, n)``.

        Returns:
            Value of each. Shape ``(batch,)``.
        """

    @abstractmethod
    def prox(self, v: Tensor, theta: float | Tensor) -> Tensor:
        r"""Return ``argmin_x theta R(x) + 1/2 ||x - v||^2``.

        Args:
            v: Points. Shape ``(batch, n)``.
            theta: Weight, at least 0; a number, or one per sample, of as many axes as
                ``v``. Shape ``()`` or ``(batch, 1)``.

        Returns:
            The proximal points. Shape ``(batch, n)``.
        """

    @abstractmethod
    def polar(self, u: Tensor) -> Tensor:
        """Return the polar gauge; NaN where it is not computed.

        Args:
            u: Points. Shape ``(batch, n)``.

        Returns:
            Polar of each. Shape ``(batch,)``.
        """

    def conjugate(self, u: Tensor) -> Tensor:
        """Return ``R*(u)``, 0 or infinity; NaN where the polar is not computed.

        Args:
            u: Points. Shape ``(batch, n)``.

        Returns:
            Conjugate of each. Shape ``(batch,)``.
        """
        polar = self.polar(u)
        outside = torch.where(polar <= 1, 0.0, float("inf")).to(polar)
        return outside.masked_fill(polar.isnan(), float("nan"))

    def project(self, u: Tensor, radius: float | Tensor) -> Tensor:
        """Return the nearest points whose polar is at most ``radius``.

        Args:
            u: Points. Shape ``(batch, n)``.
            radius: At least 0; a number, or one per sample, of as many axes as ``u``.
                Shape ``()`` or ``(batch, 1)``.

        Returns:
            The projections. Shape ``(batch, n)``.
        """
        return u - self.prox(u, radius)
