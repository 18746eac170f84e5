"""A layer that is repeated until nothing changes any more."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from unroll.equilibrium.anderson import Anderson
from unroll.equilibrium.fixed_point import FixedPoint, Map, Solver
from unroll.equilibrium.gradients import IFT, Gradient

__all__ = ["Equilibrium"]


class Equilibrium(nn.Module):
    r"""A layer at its fixed point: a network of infinitely many equal layers.

    .. math:: z^* = f(z^*, x)

    Bai, Kolter and Koltun 2019, NeurIPS (deep equilibrium models). The layer is called
    as a layer of :class:`~unroll.networks.base.Unrolled` is, ``step(z, *given)``: the
    same object runs as a network of finite depth, or here.

    Args:
        step: The layer ``f``: maps a state, and what it is given, to a state of the
            same shape, each sample by itself. If it is a module, its parameters are
            those of this one.
        solver: What finds the fixed point; None is :class:`Anderson`.
        gradient: What differentiates it; None is :class:`IFT`.

    Raises:
        TypeError: If ``step`` cannot be called, or a class is passed where its value is
            expected.

    Example:
        >>> from unroll import LISTA
        >>> A = torch.tensor([[1.0, 0.6], [0.0, 0.8]])
        >>> net = LISTA(A, depth=1, lam=0.1)
        >>> forever = Equilibrium(net.layers[0])
        >>> b = torch.tensor([[1.0, 1.0]])
        >>> forever(net.start(b), *net.given(b, 0))  # the solution of the Lasso
        tensor([[0.1875, 1.1875]], grad_fn=<_AttachBackward>)
    """

    def __init__(
        self,
        step: Callable,
        solver: Solver | None = None,
        gradient: Gradient | None = None,
    ) -> None:
        super().__init__()
        if not callable(step):
            raise TypeError(f"step is {step!r}: expected a layer, step(z, *given)")
        for name, value in (("solver", solver), ("gradient", gradient)):
            if isinstance(value, type):
                raise TypeError(
                    f"{name} is the class {value.__name__}: expected its value, "
                    f"{value.__name__}()"
                )
        self.step = step
        self.solver = Anderson() if solver is None else solver
        self.gradient = IFT() if gradient is None else gradient

    def forward(self, z0: Tensor, *given: Any) -> Tensor:
        """Return the fixed point, to be differentiated.

        Warns where it is not reached; :meth:`solve` tells how far it is.

        Args:
            z0: Start. Shape ``(batch, ...)``.
            given: What the layer sees beside the state.

        Returns:
            Fixed point. Shape ``(batch, ...)``.
        """
        return self.gradient(self._map(given), self.solver, z0)

    @torch.no_grad()
    def solve(self, z0: Tensor, *given: Any) -> FixedPoint:
        """Return the fixed point, and how well and how fast it was found.

        Args:
            z0: Start. Shape ``(batch, ...)``.
            given: What the layer sees beside the state.

        Returns:
            State, residual and iterations of every sample, without gradients.
        """
        return self.solver(self._map(given), z0)

    def _map(self, given: tuple) -> Map:
        """Return the layer as a map of states."""
        return lambda z: self.step(z, *given)
