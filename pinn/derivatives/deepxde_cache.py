"""DeepXDE's derivative cache, filled from a jet.

``dde.grad.jacobian`` and ``hessian`` remember what they computed for a pair ``(y, x)``.
Put a jet's derivatives there, and an unmodified ``pde(x, y)`` runs without any nested
automatic differentiation. The cache is private to DeepXDE: a self-test at first use
compares with autograd, and on any difference the cache is left alone.
"""

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pinn._backend import dde
from pinn.derivatives.jets import Jet, Wanted

__all__ = ["cache_works", "fill_cache", "solved_for_slope"]

_TESTED = ((1, 15), (2, 0))


def fill_cache(x: Tensor, jet: Jet) -> Tensor:
    """Hand a jet to DeepXDE's ``grad.jacobian`` and ``grad.hessian``.

    Args:
        x: Points, the tensor that the pde will be called with. Shape ``(batch, dim)``.
        jet: Every derivative up to second order there.

    Returns:
        ``y`` to call the pde with. Shape ``(batch, components)``.
    """
    reverse = dde.gradients.gradients_reverse
    y = jet.u
    rows = reverse.JacobianReverse(y, x)
    reverse.jacobian._Jacobians.Js[y, x] = rows
    for c in range(y.shape[1]):
        rows.J[c] = jet.p[:, c]
        bend = reverse.Hessian(y, x, component=c)
        for i in range(x.shape[1]):
            bend.H.J[i] = jet.H[:, c, i]
        reverse.hessian._Hessians.Hs[y, x, c] = bend
    return y


@functools.cache
def cache_works() -> bool:
    """Tell whether this DeepXDE is one that was tested and computes what autograd does.

    Returns:
        False if not: then leave the cache alone.
    """
    release = tuple(int(part) for part in dde.__version__.split(".")[:2])
    if not _TESTED[0] <= release < _TESTED[1] or dde.config.autodiff != "reverse":
        return False
    with torch.enable_grad():
        x = torch.tensor([[0.3, -0.7], [1.1, 0.2]], dtype=torch.float64, device="cpu")
        x.requires_grad_()
        found = []
        for filled in (False, True):
            y = torch.cat([x.prod(1, True) ** 2, x.sum(1, True).exp()], dim=1)
            try:
                y = fill_cache(x, _by_hand(x)) if filled else y
                first = [dde.grad.jacobian(y, x, i=1, j=j) for j in (0, 1)]
                second = [dde.grad.hessian(y, x, component=0, i=i, j=1) for i in (0, 1)]
            except (AttributeError, TypeError, KeyError):
                return False
            finally:
                dde.grad.clear()
            found.append(torch.cat([*first, *second], dim=1))
    return torch.allclose(found[0], found[1], rtol=1e-12)


def solved_for_slope(
    func: Callable, x: np.ndarray, u: Tensor, flat: Tensor, n: Tensor, who: str
) -> Tensor:
    """Solve an ``OperatorBC`` for the slope along a direction, in which it is linear.

    Args:
        func: ``func(inputs, outputs, X)``, zero where the condition holds.
        x: Points. Shape ``(batch, dim)``.
        u: Values of the one component. Shape ``(batch, 1)``.
        flat: Gradients without their part along the direction. Shape ``(batch, dim)``.
        n: Unit directions. Shape ``(batch, dim)``.
        who: Words for the condition and for who asks.

    Returns:
        Slopes. Shape ``(batch,)``.

    Raises:
        ValueError: If the condition does not read the slope or is not linear in it,
            reads second derivatives or what is NaN, or does without ``dde.grad``.
    """
    who = f"{who} cannot solve for the slope"
    if not cache_works():
        raise ValueError(f"{who} with this release of DeepXDE: expected 1.15")

    def left(slope: float) -> Tensor:
        inputs = torch.as_tensor(x).requires_grad_()
        p = (flat + slope * n)[:, None]
        H = torch.full((*p.shape, p.shape[-1]), torch.nan, dtype=p.dtype)
        try:
            y = fill_cache(inputs, Jet(u.clone(), p, H))
            return func(inputs, y, x).reshape(len(x))
        except RuntimeError as error:
            raise ValueError(f"{who} ({error}): expected dde.grad.jacobian") from error
        finally:
            dde.grad.clear()

    still, one, two = left(0.0), left(1.0), left(2.0)
    slope = one - still
    if not (slope.detach().abs() > 1e-12).all():
        raise ValueError(f"{who}, as it does not read that, or reads more than it may")
    bend = (two - 2 * one + still).detach().abs()
    if not (bend <= 1e-9 * (1 + slope.detach().abs())).all():
        raise ValueError(f"{who}: expected one that is linear in it")
    return -still / slope


def _by_hand(x: Tensor) -> Jet:
    """Write out the jet of ``((x0 x1)^2, exp(x0 + x1))``."""
    a, b = x[:, :1], x[:, 1:]
    e = (a + b).exp()
    first = {0: torch.cat([2 * a * b**2, e], 1), 1: torch.cat([2 * a**2 * b, e], 1)}
    second = {
        (0, 0): torch.cat([2 * b**2, e], 1),
        (0, 1): torch.cat([4 * a * b, e], 1),
        (1, 1): torch.cat([2 * a**2, e], 1),
    }
    u = torch.cat([(a * b) ** 2, e], 1)
    wanted = Wanted.all(2)
    return Jet.assemble(
        u,
        {i: first[i] for i in wanted.first},
        {pair: second[pair] for pair in wanted.second},
        2,
    )
