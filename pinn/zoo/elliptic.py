"""Problems at rest."""

import math

import numpy as np
import torch
from torch import Tensor

from pinn._backend import dde
from pinn._checks import check_count, check_positive
from pinn.networks.transforms import HardConstraint
from pinn.problem import Problem
from pinn.zoo._conditions import as_numpy, dirichlet, everywhere

__all__ = [
    "helmholtz_2d",
    "kovasznay",
    "l_shape",
    "poisson_1d_steep",
    "poisson_2d_steep",
]

pi = math.pi
sin, cos = torch.sin, torch.cos


def _diffusion(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
    """Flux ``-grad u``."""
    return -p


def poisson_1d_steep() -> Problem:
    """Poisson's equation ``-u'' = s`` with ``u = 0.1 sin(8 pi x) + tanh(80 x)``.

    On [-1, 1], values prescribed at both ends. Kharazmi, Zhang and Karniadakis 2021,
    hp-VPINNs.

    Returns:
        The problem.

    Example:
        >>> poisson_1d_steep().dim
        1
    """
    line = dde.geometry.Interval(-1, 1)

    def exact(x: Tensor) -> Tensor:
        return 0.1 * sin(8 * pi * x) + torch.tanh(80 * x)

    def source(x: Tensor, u: Tensor) -> Tensor:
        th = torch.tanh(80 * x)
        return 6.4 * pi**2 * sin(8 * pi * x) + 2 * 80**2 * th * (1 - th**2)

    hard = HardConstraint(lambda x: math.tanh(80) * x, lambda x: 1 - x**2)
    conditions = [dirichlet(line, exact)]
    return Problem(line, _diffusion, source, conditions, exact, hard=hard)


def poisson_2d_steep() -> Problem:
    """Poisson's equation, ``u = (0.1 sin(2 pi x) + tanh(10 x)) sin(2 pi y)``.

    On [-1, 1]^2, values prescribed on the boundary. Kharazmi, Zhang and Karniadakis
    2021, hp-VPINNs.

    Returns:
        The problem.

    Example:
        >>> poisson_2d_steep().wanted.second
        ((0, 0), (1, 1))
    """
    square = dde.geometry.Rectangle([-1, -1], [1, 1])

    def exact(x: Tensor) -> Tensor:
        g = 0.1 * sin(2 * pi * x[:, :1]) + torch.tanh(10 * x[:, :1])
        return g * sin(2 * pi * x[:, 1:])

    def source(x: Tensor, u: Tensor) -> Tensor:
        wave, th = 0.1 * sin(2 * pi * x[:, :1]), torch.tanh(10 * x[:, :1])
        bend = -4 * pi**2 * wave - 200 * th * (1 - th**2)
        return (4 * pi**2 * (wave + th) - bend) * sin(2 * pi * x[:, 1:])

    hard = HardConstraint(
        lambda x: math.tanh(10) * x[:, :1] * sin(2 * pi * x[:, 1:]),
        lambda x: (1 - x[:, :1] ** 2) * (1 - x[:, 1:] ** 2),
    )
    conditions = [dirichlet(square, exact)]
    return Problem(square, _diffusion, source, conditions, exact, hard=hard)


def helmholtz_2d(waves: int = 2) -> Problem:
    """Helmholtz' equation ``-lap u - k^2 u = s``, ``u = sin(k x) sin(k y)``.

    On the unit square with ``k = 2 pi waves`` and zero boundary values: DeepXDE's
    example ``Helmholtz_Dirichlet_2d``.

    Args:
        waves: Wavelengths per side.

    Returns:
        The problem.

    Raises:
        TypeError: If ``waves`` is not an int.
        ValueError: If it is not positive.

    Example:
        >>> helmholtz_2d().exact(torch.tensor([[0.125, 0.125]])).item()
        1.0
    """
    check_count("waves", waves, least=1)
    square = dde.geometry.Rectangle([0, 0], [1, 1])
    k = 2 * pi * waves

    def exact(x: Tensor) -> Tensor:
        return sin(k * x[:, :1]) * sin(k * x[:, 1:])

    def source(x: Tensor, u: Tensor) -> Tensor:
        return k**2 * (exact(x) + u)

    hard = HardConstraint(
        lambda x: torch.zeros_like(x[:, :1]),
        lambda x: (16 * x * (1 - x)).prod(1, keepdim=True),
    )
    conditions = [dde.icbc.DirichletBC(square, lambda x: 0 * x[:, :1], everywhere)]
    return Problem(square, _diffusion, source, conditions, exact, hard=hard)


def kovasznay(reynolds: float = 20.0) -> Problem:
    """Kovasznay's flow behind a grid: three unknowns, three balance laws.

    Momentum ``div(w w + p I - grad w / Re) = 0`` and mass ``div w = 0`` for the
    velocity ``w = (u, v)`` and the pressure ``p``, on [-0.5, 1] x [-0.5, 1.5]; velocity
    prescribed on the boundary, pressure where it flows out: DeepXDE's example
    ``Kovasznay_flow``. Kovasznay 1948, Math. Proc. Camb. Philos. Soc. 44(1).

    Args:
        reynolds: Reynolds number.

    Returns:
        The problem.

    Raises:
        ValueError: If ``reynolds`` is not positive.

    Example:
        >>> problem = kovasznay()
        >>> problem.components, problem.equations
        (3, 3)
    """
    check_positive("reynolds", reynolds)
    nu = 1 / reynolds
    lam = 1 / (2 * nu) - math.sqrt(1 / (4 * nu**2) + 4 * pi**2)
    box = dde.geometry.Rectangle([-0.5, -0.5], [1, 1.5])

    def flux(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        w, pressure = u[:, :2], u[:, 2:]
        push = pressure[..., None] * torch.eye(2, dtype=u.dtype, device=u.device)
        momentum = w[:, :, None] * w[:, None, :] + push - nu * p[:, :2]
        return torch.cat([momentum, w[:, None, :]], dim=1)

    def exact(x: Tensor) -> Tensor:
        e, y = torch.exp(lam * x[:, :1]), 2 * pi * x[:, 1:]
        u, v = 1 - e * cos(y), lam / (2 * pi) * e * sin(y)
        return torch.cat([u, v, (1 - e**2) / 2], dim=1)

    def outflow(x: np.ndarray, on: bool) -> bool:
        return on and np.isclose(x[0], 1)

    pressure = as_numpy(lambda x: exact(x)[:, 2:])
    conditions = [
        dirichlet(box, exact, 0),
        dirichlet(box, exact, 1),
        dde.icbc.DirichletBC(box, pressure, outflow, component=2),
    ]
    return Problem(box, flux, conditions=conditions, exact=exact, components=3)


def l_shape() -> Problem:
    """Laplace's equation on an L, ``u = r^(2/3) sin(2 phi / 3)`` around its corner.

    On [-1, 1]^2 without the quadrant ``x, y > 0``, values prescribed on the boundary;
    ``phi`` runs from the positive y axis to the positive x axis. The gradient is
    infinite at the corner. Grisvard 1985, Elliptic Problems in Nonsmooth Domains.

    Returns:
        The problem.

    Example:
        >>> edge = torch.tensor([[0.0, 0.5], [0.5, 0.0]])
        >>> bool(l_shape().exact(edge).abs().max() < 1e-6)
        True
    """
    corners = [[0, 0], [1, 0], [1, -1], [-1, -1], [-1, 1], [0, 1]]
    shape = dde.geometry.Polygon(corners)

    def exact(x: Tensor) -> Tensor:
        # Turn by 5/4 pi, so that the angle jumps inside the missing quadrant.
        a, b = -(x[:, :1] + x[:, 1:]), x[:, :1] - x[:, 1:]
        phi = torch.atan2(b, a) + 0.75 * pi
        r2 = (x**2).sum(1, keepdim=True)
        return r2 ** (1 / 3) * sin(2 / 3 * phi)

    return Problem(shape, _diffusion, conditions=[dirichlet(shape, exact)], exact=exact)
