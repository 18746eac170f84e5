"""Problems in time."""

import functools
import math

import numpy as np
import torch
from torch import Tensor

from pinn._backend import dde
from pinn._checks import check_positive
from pinn.networks.transforms import HardConstraint
from pinn.problem import Problem
from pinn.zoo._conditions import as_numpy, everywhere, initial, strip_of
from pinn.zoo.reference import (
    SpectralSolution,
    buckley_leverett_fan,
    cole_hopf,
    etdrk4,
)

__all__ = ["advection", "allen_cahn", "buckley_leverett", "burgers", "heat"]

pi = math.pi
sin, cos, stack = torch.sin, torch.cos, torch.stack


def burgers(nu: float = 0.01 / pi) -> Problem:
    """Burgers' equation, ``u_t + (u^2 / 2 - nu u_x)_x = 0`` on [-1, 1] x [0, 1].

    ``u = -sin(pi x)`` at first and 0 at both ends; a layer of width about ``nu`` forms
    at ``x = 0``. Raissi, Perdikaris and Karniadakis 2019, appendix A.1. Solution:
    :func:`pinn.cole_hopf`, error below 1e-12.

    Args:
        nu: Viscosity.

    Returns:
        The problem.

    Raises:
        ValueError: If ``nu`` is not positive.

    Example:
        >>> burgers().wanted.second  # of the second derivatives, only u_xx
        ((0, 0),)
    """
    check_positive("nu", nu)
    strip = strip_of(-1, 1, 1)

    def flux(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        return stack([u**2 / 2 - nu * p[..., 0], u], dim=-1)

    def exact(x: Tensor) -> Tensor:
        return cole_hopf(x, nu)

    hard = HardConstraint(
        lambda x: -sin(pi * x[:, :1]), lambda x: (1 - x[:, :1] ** 2) * x[:, 1:]
    )
    conditions = [
        dde.icbc.DirichletBC(strip, lambda x: 0 * x[:, :1], everywhere),
        dde.icbc.IC(strip, lambda x: -np.sin(pi * x[:, :1]), everywhere),
    ]
    return Problem(strip, flux, conditions=conditions, exact=exact, hard=hard)


def advection(speed: float = 1.0) -> Problem:
    """Advection ``u_t + c u_x = 0`` of a sine on [0, 2 pi] x [0, 1].

    ``u = sin(x - c t)``, prescribed at first and where it flows in. The vanilla PINN
    fails from about ``c = 30`` on: Krishnapriyan et al. 2021, NeurIPS
    (they take periodic ends).

    Args:
        speed: ``c``, positive.

    Returns:
        The problem.

    Raises:
        ValueError: If ``speed`` is not positive.

    Example:
        >>> advection(30.0).wanted.second
        ()
    """
    check_positive("speed", speed)
    strip = strip_of(0, 2 * pi, 1)

    def flux(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        return stack([speed * u, u], dim=-1)

    def exact(x: Tensor) -> Tensor:
        return sin(x[:, :1] - speed * x[:, 1:])

    def inflow(x: np.ndarray, on: bool) -> bool:
        return on and np.isclose(x[0], 0)

    hard = HardConstraint(
        lambda x: sin(x[:, :1]) - sin(speed * x[:, 1:]), lambda x: x[:, :1] * x[:, 1:]
    )
    conditions = [
        dde.icbc.DirichletBC(strip, as_numpy(exact), inflow),
        initial(strip, exact),
    ]
    return Problem(strip, flux, conditions=conditions, exact=exact, hard=hard)


def heat(diffusivity: float = 0.4) -> Problem:
    """Heat equation ``u_t - a u_xx = 0``, ``u = exp(-a pi^2 t) sin(pi x)``.

    On [0, 1] x [0, 1] with zero ends: DeepXDE's example ``heat``.

    Args:
        diffusivity: ``a``.

    Returns:
        The problem.

    Raises:
        ValueError: If ``diffusivity`` is not positive.

    Example:
        >>> heat().in_time
        True
    """
    check_positive("diffusivity", diffusivity)
    strip = strip_of(0, 1, 1)

    def flux(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        return stack([-diffusivity * p[..., 0], u], dim=-1)

    def exact(x: Tensor) -> Tensor:
        decay = torch.exp(-diffusivity * pi**2 * x[:, 1:])
        return decay * sin(pi * x[:, :1])

    hard = HardConstraint(
        lambda x: sin(pi * x[:, :1]), lambda x: x[:, :1] * (1 - x[:, :1]) * x[:, 1:]
    )
    conditions = [
        dde.icbc.DirichletBC(strip, lambda x: 0 * x[:, :1], everywhere),
        initial(strip, exact),
    ]
    return Problem(strip, flux, conditions=conditions, exact=exact, hard=hard)


@functools.cache
def _allen_cahn_solution(diffusivity: float) -> SpectralSolution:
    """Compute the reference once per process."""
    return etdrk4(
        lambda x: x**2 * np.cos(pi * x),
        lambda k: 5 - diffusivity * k**2,
        lambda u: -5 * u**3,
        interval=(-1.0, 1.0),
        end=1.0,
        step=1e-3,
    )


def allen_cahn(diffusivity: float = 1e-4) -> Problem:
    """Allen-Cahn equation ``u_t - D u_xx = 5 (u - u^3)`` on [-1, 1] x [0, 1].

    ``u = x^2 cos(pi x)`` at first, periodic ends. Raissi, Perdikaris and Karniadakis
    2019. Solution: :func:`pinn.etdrk4` with 1024 modes. The initial value
    has a kink at the ends, so modes fall slowly until diffusion has rounded it: the
    error is about 1e-6.

    Args:
        diffusivity: ``D``.

    Returns:
        The problem.

    Raises:
        ValueError: If ``diffusivity`` is not positive.

    Example:
        >>> allen_cahn().source_uses_u
        True
    """
    check_positive("diffusivity", diffusivity)
    strip = strip_of(-1, 1, 1)

    def flux(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        return stack([-diffusivity * p[..., 0], u], dim=-1)

    def exact(x: Tensor) -> Tensor:
        return _allen_cahn_solution(diffusivity)(x)

    def start(x: Tensor) -> Tensor:
        return x[:, :1] ** 2 * cos(pi * x[:, :1])

    conditions = [
        dde.icbc.PeriodicBC(strip, 0, everywhere, derivative_order=0),
        dde.icbc.PeriodicBC(strip, 0, everywhere, derivative_order=1),
        initial(strip, start),
    ]
    return Problem(
        strip,
        flux,
        lambda x, u: 5 * (u - u**3),
        conditions,
        exact,
        hard=HardConstraint(start, lambda x: x[:, 1:]),
    )


def buckley_leverett(mobility: float = 1.0) -> Problem:
    """Buckley-Leverett's equation ``u_t + f(u)_x = 0``: water drives oil out of a rock.

    ``f = u^2 / (u^2 + M (1 - u)^2)`` on [0, 1] x [0, 0.5]; ``u = 1`` flows in at
    ``x = 0``, and ``u = 0`` at first. The solution has a shock, across which only the
    integrated law holds: a network that makes ``div F`` small at points need not find
    it. Fuks and Tchelepi 2020, J. Mach. Learn. Model. Comput. 1(1). Solution:
    :func:`pinn.buckley_leverett_fan`.

    Args:
        mobility: ``M``, ratio of the two fluids' mobilities.

    Returns:
        The problem.

    Raises:
        ValueError: If ``mobility`` is not positive.

    Example:
        >>> buckley_leverett().wanted.second
        ()
    """
    check_positive("mobility", mobility)
    strip = strip_of(0, 1, 0.5)

    def flux(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        f = u**2 / (u**2 + mobility * (1 - u) ** 2)
        return stack([f, u], dim=-1)

    def exact(x: Tensor) -> Tensor:
        return buckley_leverett_fan(x, mobility)

    def inflow(x: np.ndarray, on: bool) -> bool:
        return on and np.isclose(x[0], 0)

    def ahead(x: np.ndarray, on: bool) -> bool:
        return on and x[0] > 0

    conditions = [
        dde.icbc.DirichletBC(strip, lambda x: 1 + 0 * x[:, :1], inflow),
        dde.icbc.IC(strip, lambda x: 0 * x[:, :1], ahead),
    ]
    return Problem(strip, flux, conditions=conditions, exact=exact)
