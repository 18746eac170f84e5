r"""Gradients of a fixed point: exact, cheap, or by the iterations themselves.

At a fixed point ``z* = f(z*, theta)``, with ``J = df/dz`` and ``B = df/dtheta``,

    dL/dtheta = dL/dz* (I - J)^{-1} B.

Each class here puts a matrix of its own in the place of the inverse. ``gradient(step,
solver, z0)`` returns the fixed point; its value is the solver's, whatever the gradient.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from unroll._checks import check_count, check_number
from unroll.equilibrium.anderson import Anderson
from unroll.equilibrium.fixed_point import Map, Solver

__all__ = ["IFT", "JacobianFree", "NeumannPhantom", "Through", "UnrolledPhantom"]


class _Attach(torch.autograd.Function):
    """The value of one tensor with the graph of another, and a change of the gradient.

    Backward passes ``adjoint(v)`` for ``v`` to the graph. A second derivative would be
    one of the wrong function: it is refused.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, graph: Tensor, z: Tensor, adjoint: Map, name: str
    ) -> Tensor:
        ctx.adjoint, ctx.name = adjoint, name  # type: ignore[attr-defined]
        return z.clone()

    @staticmethod
    def backward(ctx: FunctionCtx, *v: Tensor) -> tuple[Tensor, None, None, None]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                f"{ctx.name} knows first derivatives only, and create_graph=True asks "  # type: ignore[attr-defined]
                "for more: expected Through(), or create_graph=False"
            )
        return ctx.adjoint(*v), None, None, None  # type: ignore[attr-defined]


def _found(solver: Solver, step: Map, z0: Tensor, name: str) -> Tensor:
    """Return what the solver finds, without a graph, and tell where it did not."""
    with torch.no_grad():
        found = solver(step, z0.detach())
    missed = int((~found.converged).sum())
    if missed:
        warnings.warn(
            f"{name} did not converge for {missed} of {len(z0)} samples (worst "
            f"residual {found.residual.max():.1e}): the gradient is not that of a "
            "fixed point",
            RuntimeWarning,
            stacklevel=2,
        )
    return found.z


def _linearised(step: Map, z: Tensor) -> tuple[Tensor, Map]:
    """Return ``f(z)`` with its graph, and the map ``v -> J^T v`` of it."""
    z = z.detach().requires_grad_()
    f = step(z)

    def times(v: Tensor) -> Tensor:
        (product,) = torch.autograd.grad(
            f, z, v, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return product

    return f, times


def _linear(
    step: Map, z: Tensor, adjoint: Callable[[Map, Tensor], Tensor], name: str
) -> Tensor:
    """Return ``z`` whose gradient is ``adjoint(J^T, v) B``."""
    f, times = _linearised(step, z)
    return _Attach.apply(f, z, lambda v: adjoint(times, v), name)


class Gradient:
    """What a fixed point is differentiated by: ``gradient(step, solver, z0)``."""

    def __call__(self, step: Map, solver: Solver, z0: Tensor) -> Tensor:
        """Return the fixed point, with this gradient.

        Args:
            step: The map ``f`` from states to states.
            solver: What finds its fixed point.
            z0: Start. Shape ``(batch, ...)``.

        Returns:
            Fixed point. Shape ``(batch, ...)``.
        """
        z = _found(solver, step, z0, "the forward solve")
        return self._attached(step, z) if torch.is_grad_enabled() else z

    def _attached(self, step: Map, z: Tensor) -> Tensor:
        """Return the value of ``z`` with a graph."""
        raise NotImplementedError


def _check_phantom(k: int, damping: float) -> None:
    """Refuse what is no damped iteration."""
    check_count("k", k, least=1)
    check_number("damping", damping)
    if not 0 < damping <= 1:
        raise ValueError(f"damping is {damping}: expected 0 < damping <= 1")


@dataclass(frozen=True)
class IFT(Gradient):
    r"""The exact gradient, by the implicit function theorem: one linear solve.

    .. math:: u = v + J^T u, \qquad \frac{dL}{d\theta} = u^T B, \qquad
              v = \frac{dL}{dz^*}

    Bai, Kolter and Koltun 2019, NeurIPS (deep equilibrium models), theorem 1. The
    solver looks for the fixed point ``u``, with one vector-Jacobian product for each
    step of it. Exact at an exact fixed point and solve.

    Args:
        solver: What solves for ``u``; called as ``solver(map, start)``.

    Example:
        >>> import torch
        >>> a = torch.tensor(0.5, requires_grad=True)
        >>> z = IFT()(lambda z: a * z + 1, Anderson(), torch.zeros(1, 1))
        >>> (slope,) = torch.autograd.grad(z.sum(), a)  # of 1 / (1 - a)
        >>> round(slope.item(), 3)
        4.0
    """

    solver: Solver = field(default_factory=Anderson)

    def _attached(self, step: Map, z: Tensor) -> Tensor:
        def adjoint(times: Map, v: Tensor) -> Tensor:
            return _found(self.solver, lambda u: v + times(u), v, "the backward solve")

        return _linear(step, z, adjoint, "IFT")


@dataclass(frozen=True)
class JacobianFree(Gradient):
    r"""The gradient without the inverse: ``(I - J)^{-1}`` is replaced by ``I``.

    .. math:: \frac{dL}{d\theta} \approx \frac{dL}{dz^*} B

    Fung, Heaton, Li, McKenzie, Osher and Yin 2022, AAAI (Jacobian-free
    backpropagation), who show that it points downhill where ``f`` contracts well and
    ``B`` is well conditioned. Costs one step.

    Example:
        >>> import torch
        >>> a = torch.tensor(0.5, requires_grad=True)
        >>> z = JacobianFree()(lambda z: a * z + 1, Anderson(), torch.zeros(1, 1))
        >>> (slope,) = torch.autograd.grad(z.sum(), a)  # half of what is exact
        >>> round(slope.item(), 3)
        2.0
    """

    def _attached(self, step: Map, z: Tensor) -> Tensor:
        return _linear(step, z, lambda times, v: v, "JacobianFree")


@dataclass(frozen=True)
class NeumannPhantom(Gradient):
    r"""A phantom gradient: the first terms of a damped Neumann series.

    .. math:: \frac{dL}{d\theta} \approx \frac{dL}{dz^*} A B, \qquad
              A = \lambda \sum_{t < k} (\lambda J + (1 - \lambda) I)^t

    so that ``(I - J) A - I = -(lambda J + (1 - lambda) I)^k``. If the norm of that
    matrix is at most ``(sigma_min(B) / sigma_max(B))^2``, the gradient does not point
    uphill. Geng, Zhang, Bai, Wang and Lin 2021, NeurIPS (NPG). Costs one step and ``k -
    1`` vector-Jacobian products.

    Args:
        k: Terms.
        damping: ``lambda``, above 0 and at most 1.

    Raises:
        TypeError: If ``k`` is not an int.
        ValueError: If ``k`` is not positive, or ``damping`` out of range.

    Example:
        >>> import torch
        >>> a = torch.tensor(0.5, requires_grad=True)
        >>> gradient = NeumannPhantom(k=3, damping=1.0)
        >>> z = gradient(lambda z: a * z + 1, Anderson(), torch.zeros(1, 1))
        >>> (slope,) = torch.autograd.grad(z.sum(), a)  # 2 (1 + 1/2 + 1/4)
        >>> round(slope.item(), 3)
        3.5
    """

    k: int = 5
    damping: float = 0.5

    def __post_init__(self) -> None:
        _check_phantom(self.k, self.damping)

    def _attached(self, step: Map, z: Tensor) -> Tensor:
        def adjoint(times: Map, v: Tensor) -> Tensor:
            total = v
            for _ in range(self.k - 1):
                v = self.damping * times(v) + (1 - self.damping) * v
                total = total + v
            return self.damping * total

        return _linear(step, z, adjoint, "NeumannPhantom")


@dataclass(frozen=True)
class UnrolledPhantom(Gradient):
    r"""A phantom gradient: that of ``k`` damped steps from the fixed point.

    .. math:: h_0 = z^*, \qquad h_{t+1} = \lambda f(h_t) + (1 - \lambda) h_t, \qquad
              \frac{dL}{d\theta} \approx \frac{dL}{dz^*} \frac{dh_k}{d\theta}

    Geng, Zhang, Bai, Wang and Lin 2021, NeurIPS (UPG). At an exact fixed point it is
    :class:`NeumannPhantom` with the same numbers; it keeps ``k`` graphs instead of one,
    and where the solver did not converge it is that of other points.

    Args:
        k: Steps.
        damping: ``lambda``, above 0 and at most 1.

    Raises:
        TypeError: If ``k`` is not an int.
        ValueError: If ``k`` is not positive, or ``damping`` out of range.

    Example:
        >>> import torch
        >>> a = torch.tensor(0.5, requires_grad=True)
        >>> gradient = UnrolledPhantom(k=3, damping=1.0)
        >>> z = gradient(lambda z: a * z + 1, Anderson(), torch.zeros(1, 1))
        >>> (slope,) = torch.autograd.grad(z.sum(), a)
        >>> round(slope.item(), 3)
        3.5
    """

    k: int = 5
    damping: float = 0.5

    def __post_init__(self) -> None:
        _check_phantom(self.k, self.damping)

    def _attached(self, step: Map, z: Tensor) -> Tensor:
        h = z
        for _ in range(self.k):
            h = self.damping * step(h) + (1 - self.damping) * h
        return _Attach.apply(h, z, lambda v: v, "UnrolledPhantom")


@dataclass(frozen=True)
class Through(Gradient):
    r"""The gradient through every iteration of the solver, by autograd.

    .. math:: \frac{dL}{d\theta} = \frac{dL}{dz_K} \frac{dz_K}{d\theta}

    As :class:`~unroll.networks.base.Unrolled` has it: exact for the iterate that is
    returned, with all iterations kept in memory, and differentiable again. For a
    contraction it tends to that of :class:`IFT` (Gilbert 1992, Optim. Methods Softw.
    1). What the start depends on is differentiated, too.

    Example:
        >>> import torch
        >>> from unroll.equilibrium import Picard
        >>> a = torch.tensor(0.5, requires_grad=True)
        >>> z = Through()(lambda z: a * z + 1, Picard(iterations=3), torch.zeros(1, 1))
        >>> (slope,) = torch.autograd.grad(z.sum(), a)  # of 1 + a
        >>> slope
        tensor(1.)
    """

    def __call__(self, step: Map, solver: Solver, z0: Tensor) -> Tensor:
        """Return what the solver finds, with the graph of all its iterations."""
        return solver(step, z0).z
