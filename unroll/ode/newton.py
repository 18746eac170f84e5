"""Equations that an implicit step has to solve: Newton's method, without a matrix.

All that is asked of a field are vector-Jacobian products. ``J v`` is the derivative of
``w -> J^T w``, which is linear, so it takes two of them.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

__all__ = ["gmres", "implicit_stage"]

Linear = Callable[[Tensor], Tensor]
NEWTON, KRYLOV = 50, 60  # iterations at most; vectors before GMRES starts again


def gmres(times: Linear, b: Tensor, tol: float, restarts: int = 20) -> Tensor:
    r"""Solve a linear system with products only: the batch as one long vector.

    .. math:: x_k = \arg\min_{x \in \mathcal K_k} \|b - A x\|, \qquad
              \mathcal K_k = \mathrm{span}(b, A b, \dots, A^{k-1} b)

    Saad and Schultz 1986, SIAM J. Sci. Stat. Comput. 7(3), with each vector made
    orthogonal twice, and a new start after 60 vectors.

    Args:
        times: The map ``x -> A x``.
        b: Right side. Shape ``(batch, ...)``.
        tol: Norm of the residual to reach, relative to that of ``b``.
        restarts: How often to start again at most.

    Returns:
        Solution, as far as it was reached. Shape ``(batch, ...)``.

    Example:
        >>> gmres(lambda x: 2 * x, torch.ones(1, 3), tol=1e-6)
        tensor([[0.5000, 0.5000, 0.5000]])
    """
    x, r = torch.zeros_like(b), b
    goal = tol * b.norm()
    for _ in range(restarts):
        before = r.norm()
        if not before > goal:
            break
        x = x + _least_in_krylov(times, r, goal)
        r = b - times(x)
        if r.norm() > 0.9 * before:  # rounding ends it, or nothing helps
            break
    return x


def _least_in_krylov(times: Linear, r: Tensor, goal: Tensor) -> Tensor:
    """Return what makes the residual ``r`` least, from one space of Krylov."""
    size = r.norm()
    basis = [r.flatten() / size]
    columns: list[Tensor] = []
    for k in range(min(KRYLOV, r.numel())):
        w = times(basis[k].view_as(r)).flatten()
        space = torch.stack(basis)
        first = space @ w
        w = w - first @ space
        again = space @ w
        w = w - again @ space
        left = w.norm()
        columns.append(torch.cat([first + again, left[None]]))
        coefficients, misfit = _fit(columns, size)
        if not misfit > goal or not left > 0:
            break
        basis.append(w / left)
    return (coefficients @ torch.stack(basis[: len(coefficients)])).view_as(r)


def _fit(columns: list[Tensor], size: Tensor) -> tuple[Tensor, Tensor]:
    """Return the coefficients of the least residual, and its norm."""
    H = columns[0].new_zeros(len(columns) + 1, len(columns))
    for k, column in enumerate(columns):
        H[: k + 2, k] = column
    right = H.new_zeros(len(H))
    right[0] = size
    coefficients = torch.linalg.lstsq(H, right[:, None]).solution[:, 0]
    return coefficients, (right - H @ coefficients).norm()


def implicit_stage(
    field: Callable,
    t: Tensor,
    length: Tensor,
    known: Tensor,
    solution: Tensor | None = None,
) -> Tensor:
    r"""Solve ``y = known + length f(t, y)``, and differentiate the solution.

    .. math:: (I - s J) \, \delta = z + s f(y) - y, \qquad y \leftarrow y + \delta

    with ``z = known`` and ``s = length``: Newton's method, whose linear systems are
    solved by :func:`gmres` (Knoll and Keyes 2004, J. Comput. Phys. 193, Newton-Krylov).
    Backward solves ``(I - s J)^T u = v`` and passes ``u`` to the graph of one look at
    the field, at the solution: exact, and the iterations are not kept. A second
    derivative is refused.

    Args:
        field: Right side ``f(t, y)``, differentiable twice by autograd.
        t: Time. Shape ``()``.
        length: ``s``. Shape ``()``.
        known: ``z``. Shape ``(batch, ...)``.
        solution: ``y``, if it was found before, and only its graph is wanted. Shape
            ``(batch, ...)``.

    Returns:
        Solution. Shape ``(batch, ...)``.

    Raises:
        FloatingPointError: If Newton's method does not converge.

    Example:
        >>> z, s = torch.ones(1, 2), torch.tensor(0.5)
        >>> implicit_stage(lambda t, y: -2 * y, torch.tensor(0.0), s, z)
        tensor([[0.5000, 0.5000]])
    """
    if solution is None:
        y = _newton(field, t, length, known.detach())
    else:
        y = solution.detach()
    if not torch.is_grad_enabled():
        return y
    if not (known.requires_grad or field(t, y).requires_grad):
        return y
    leaf = y.detach().requires_grad_()
    part = length * field(t, leaf)

    def transposed(u: Tensor) -> Tensor:
        """Return ``(I - s J)^T u``."""
        (back,) = torch.autograd.grad(
            part, leaf, u, retain_graph=True, materialize_grads=True
        )
        return u - back

    def adjoint(v: Tensor) -> Tensor:
        return gmres(transposed, v, tol=4 * torch.finfo(v.dtype).eps)

    return _Stage.apply(known + part, leaf, adjoint)


def _newton(field: Callable, t: Tensor, length: Tensor, known: Tensor) -> Tensor:
    """Return the solution to rounding, without a graph.

    The length of Newton's step is what is watched: the residual of a stiff equation
    has a rounding of its own, which the step divides out.
    """
    y, before = known, float("inf")
    eps = torch.finfo(known.dtype).eps
    for _ in range(NEWTON):
        f, jacobian = _linearised(field, t, y)
        r = known + length * f - y
        move = gmres(_shifted(jacobian, length), r, tol=1e-8)
        y = y + move
        size = move.norm().item()
        rounding = eps * torch.maximum(y.norm(), known.norm()).item()
        if size <= 4 * rounding or before / 2 < size <= 1000 * rounding:
            return y.detach()
        before = size
    raise FloatingPointError(
        f"Newton's method did not converge at t = {t.item():.4g} for a step of "
        f"{length.item():.2g} (last move {size:.1e}): expected shorter steps"
    )


def _shifted(jacobian: Linear, length: Tensor) -> Linear:
    """Return the map ``v -> (I - s J) v``."""
    return lambda v: v - length * jacobian(v)


def _linearised(field: Callable, t: Tensor, y: Tensor) -> tuple[Tensor, Linear]:
    """Return ``f(t, y)``, and the map ``v -> J v`` by two vector-Jacobian products."""
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        f = field(t, y) + 0 * y  # so that a field that ignores y has a graph, too
        w = torch.zeros_like(f, requires_grad=True)
        (back,) = torch.autograd.grad(f, y, w, create_graph=True)

    def times(v: Tensor) -> Tensor:
        (product,) = torch.autograd.grad(back, w, v, retain_graph=True)
        return product

    return f.detach(), times


class _Stage(torch.autograd.Function):
    """The solution, with the graph of ``z + s f(y)`` and a change of the gradient."""

    @staticmethod
    def forward(ctx: FunctionCtx, image: Tensor, y: Tensor, adjoint: Linear) -> Tensor:
        ctx.adjoint = adjoint  # type: ignore[attr-defined]
        return y.detach().clone()

    @staticmethod
    def backward(ctx: FunctionCtx, *v: Tensor) -> tuple[Tensor, None, None]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "an implicit step knows first derivatives only, and create_graph=True "
                "asks for more: expected an explicit method, or create_graph=False"
            )
        return ctx.adjoint(*v), None, None  # type: ignore[attr-defined]
