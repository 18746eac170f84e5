"""The Jacobian of a layer at a state, without forming it: its size, its radius."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unroll._checks import check_count, check_float

__all__ = ["jacobian_penalty", "spectral_radius"]


def _normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return independent normal numbers of the shape of a tensor."""
    return torch.randn(
        like.shape, generator=generator, dtype=like.dtype, device=like.device
    )


def _state(z: Tensor) -> Tensor:
    """Return a state to differentiate by, or refuse it."""
    check_float("z", z)
    if z.ndim < 2 or z.numel() == 0:
        raise ValueError(f"z has shape {tuple(z.shape)}: expected (batch, ...)")
    return z.detach().requires_grad_()


def jacobian_penalty(
    step: Callable,
    z: Tensor,
    *given: Any,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Estimate the mean square of the layer's Jacobian, a penalty beside a loss.

    .. math:: \frac{1}{n} \|J\|_F^2 = \frac{1}{n} E \|J^T v\|^2, \qquad
              v \sim \mathcal N(0, I)

    with one draw of ``v`` for each sample: the estimator of Hutchinson 1990, Commun.
    Stat. Simul. 19(2), used so by Bai, Koltun and Kolter 2021, ICML (stabilizing
    equilibrium models). Differentiable by what the layer learns, not by ``z``. A small
    Jacobian keeps the fixed point stable, and solvers fast.

    Args:
        step: The layer, ``step(z, *given)``.
        z: State, the fixed point. Shape ``(batch, ...)``.
        given: What the layer sees beside the state.
        generator: Draws ``v``.

    Returns:
        Estimate of every sample; their mean is the penalty. Shape ``(batch,)``.

    Raises:
        TypeError: If ``z`` is not a floating-point tensor.
        ValueError: If ``z`` is not a batch of states.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> z = torch.zeros(1000, 3)
        >>> penalty = jacobian_penalty(lambda z: 0.5 * z, z, generator=generator)
        >>> round(penalty.mean().item(), 2)
        0.25
    """
    z = _state(z)
    with torch.enable_grad():
        f = step(z, *given)
        v = _normal(f, generator)
        (product,) = torch.autograd.grad(f, z, v, create_graph=True)
        return product.flatten(1).square().mean(dim=1)


def spectral_radius(
    step: Callable,
    z: Tensor,
    *given: Any,
    iterations: int = 100,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Estimate the spectral radius of the layer's Jacobian by the power method.

    .. math:: \rho(J) \approx
              \left( \frac{\|(J^T)^{k} v\|}{\|(J^T)^{k/2} v\|} \right)^{2/k}

    the mean growth over the second half of ``k`` iterations, which converges for a
    dominant pair of complex eigenvalues, too: Mises and Pollaczek-Geiringer 1929, Z.
    Angew. Math. Mech. 9. Below 1, Picard's iteration converges near the fixed point;
    above 1 it leaves it. The error falls like ``1/k`` at worst.

    Args:
        step: The layer, ``step(z, *given)``.
        z: State, the fixed point. Shape ``(batch, ...)``.
        given: What the layer sees beside the state.
        iterations: Vector-Jacobian products ``k``, at least 2.
        generator: Draws the first vector.

    Returns:
        Radius for every sample, without gradients. Shape ``(batch,)``.

    Raises:
        TypeError: If ``z`` is not a floating-point tensor, or ``iterations`` not an
            int.
        ValueError: If ``z`` is not a batch of states, or ``iterations`` less than 2.

    Example:
        >>> def rotated(z):  # by 90 degrees, and shrunk: eigenvalues 0.5 i, -0.5 i
        ...     return 0.5 * torch.stack([-z[:, 1], z[:, 0]], dim=1)
        >>> generator = torch.Generator().manual_seed(0)
        >>> spectral_radius(rotated, torch.zeros(1, 2), generator=generator)
        tensor([0.5000])
    """
    check_count("iterations", iterations, least=2)
    z = _state(z)
    with torch.enable_grad():
        f = step(z, *given)
    v = _normal(f, generator)
    growth = torch.zeros_like(v.flatten(1)[:, 0])
    first = iterations // 2
    for k in range(iterations):
        (v,) = torch.autograd.grad(f, z, v, retain_graph=True)
        size = v.flatten(1).norm(dim=1)
        if k >= first:
            growth = growth + size.log()
        v = v / size.clamp(min=torch.finfo(v.dtype).tiny).view(-1, *(1,) * (v.ndim - 1))
    return (growth / (iterations - first)).exp().detach()
