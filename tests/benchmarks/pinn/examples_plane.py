"""DeepXDE's examples with two coordinates, time among them."""

import functools

import numpy as np
import scipy.integrate
import scipy.interpolate
import torch
from torch import Tensor

from pinn import HardConstraint, Mesh, Problem, zoo
from pinn._backend import dde
from tests.benchmarks.pinn.example import (
    Example,
    Theirs,
    border,
    cos,
    diffusing,
    exp,
    first,
    nothing,
    pi,
    second,
    sin,
    strip,
)

MANY = {"start": "Glorot normal", "lbfgs": True}  # of the larger examples


def numbers(function: object) -> object:
    """Let a function of tensors be one of arrays."""
    return lambda x: function(torch.as_tensor(x)).numpy()


def diffusion() -> Example:
    """``u_t - u_xx = s`` with ``u = sin(pi x) exp(-t)``."""
    domain = strip(-1, 1, 1)

    def exact(x: Tensor) -> Tensor:
        return sin(pi * x[:, :1]) * exp(-x[:, 1:])

    problem = Problem(
        domain,
        lambda x, u, p: torch.stack([-p[..., 0], u], dim=-1),
        lambda x, u: (pi**2 - 1) * exact(x),
        [
            dde.icbc.DirichletBC(domain, nothing, border),
            dde.icbc.IC(domain, numbers(exact), border),
        ],
        exact,
        hard=HardConstraint(
            lambda x: sin(pi * x[:, :1]), lambda x: (1 - x[:, :1] ** 2) * x[:, 1:]
        ),
    )

    def pde(x: Tensor, y: Tensor) -> Tensor:
        return first(y, x, 1) - second(y, x, 0) - (pi**2 - 1) * exact(x)

    theirs = Theirs(pde, points=(40, 20, 10), widths=(32, 32, 32))
    return Example(problem, theirs, [[0.0], []])


def burgers() -> Example:
    """Burgers' equation with a viscosity of 0.01 / pi."""
    nu = 0.01 / pi

    def pde(x: Tensor, y: Tensor) -> Tensor:
        return first(y, x, 1) + y * first(y, x, 0) - nu * second(y, x, 0)

    theirs = Theirs(
        pde, points=(2540, 80, 160), widths=(20, 20, 20), adam=15_000, **MANY
    )
    edges = (np.linspace(-1, 1, 65) ** 3).tolist()  # narrow where the front is
    return Example(zoo.burgers(nu), theirs, [[0.0], []], elements=[edges, 64])


def allen_cahn() -> Example:
    """``u_t = 0.001 u_xx + 5 (u - u^3)``, -1 at both ends: from a bump to two walls."""
    domain, rate = strip(-1, 1, 1), 1e-3

    def start(x: Tensor) -> Tensor:
        return x[:, :1] ** 2 * cos(pi * x[:, :1])

    def inside(x: Tensor) -> Tensor:
        return x[:, 1:] * (1 - x[:, :1] ** 2)

    problem = Problem(
        domain,
        lambda x, u, p: torch.stack([-rate * p[..., 0], u], dim=-1),
        lambda x, u: 5 * (u - u**3),
        [
            dde.icbc.DirichletBC(domain, lambda x: nothing(x) - 1, border),
            dde.icbc.IC(domain, numbers(start), border),
        ],
        _by_lines(rate),
        hard=HardConstraint(start, inside),
    )

    def pde(x: Tensor, y: Tensor) -> Tensor:
        return first(y, x, 1) - rate * second(y, x, 0) - 5 * (y - y**3)

    theirs = Theirs(
        pde,
        points=(8000, 400, 800),
        widths=(20, 20, 20),
        adam=40_000,
        hard=lambda x, y: start(x) + inside(x) * y,
        conditions=[],
        **MANY,
    )
    return Example(problem, theirs, [[0.0], []])


@functools.cache
def _by_lines(rate: float, count: int = 2000) -> object:
    """Solve Allen and Cahn's equation by differences in space, to about 1e-5."""
    x, h = np.linspace(-1, 1, count + 1, retstep=True)

    def slope(_: float, inner: np.ndarray) -> np.ndarray:
        u = np.concatenate([[-1.0], inner, [-1.0]])
        return rate * np.diff(u, 2) / h**2 + 5 * (inner - inner**3)

    times = np.linspace(0, 1, 101)
    start = (x**2 * np.cos(np.pi * x))[1:-1]
    options = {"method": "LSODA", "rtol": 1e-8, "atol": 1e-10, "lband": 1, "uband": 1}
    found = scipy.integrate.solve_ivp(slope, (0, 1), start, t_eval=times, **options)
    values = np.pad(found.y, ((1, 1), (0, 0)), constant_values=-1.0)
    spline = scipy.interpolate.RectBivariateSpline(x, times, values)
    return lambda z: torch.as_tensor(spline.ev(*z.detach().numpy().T))[:, None]


def klein_gordon() -> Example:
    """``u_tt - u_xx + u^2 = s`` until time 10, ``u = x cos t``: a wave."""
    domain = strip(-1, 1, 10)

    def exact(x: Tensor) -> Tensor:
        return x[:, :1] * cos(x[:, 1:])

    def load(x: Tensor) -> Tensor:
        return exact(x) ** 2 - exact(x)

    def slope(x: Tensor, y: Tensor, _: np.ndarray) -> Tensor:
        return first(y, x, 1)

    problem = Problem(
        domain,
        lambda x, u, p: torch.stack([-p[..., 0], p[..., 1]], dim=-1),
        lambda x, u: load(x) - u**2,
        [
            dde.icbc.DirichletBC(domain, numbers(exact), border),
            dde.icbc.IC(domain, numbers(exact), border),
            dde.icbc.OperatorBC(domain, slope, lambda x, _: np.isclose(x[1], 0)),
        ],
        exact,
    )
    theirs = Theirs(
        lambda x, y: second(y, x, 1) - second(y, x, 0) + y**2 - load(x),
        points=(30_000, 1500, 1500),
        widths=(40, 40),
        adam=20_000,
        lbfgs=True,
        decay=("inverse time", 3000, 0.9),
    )
    return Example(problem, theirs, [[0.0], []], wave=True)


def wave() -> Example:
    """``u_tt = 100 u_xx``: two standing waves, ten and twenty half periods."""
    domain = strip(0, 1, 1)

    def exact(x: Tensor) -> Tensor:
        z, t = x[:, :1], x[:, 1:]
        one = sin(pi * z) * cos(10 * pi * t)
        return one + sin(2 * pi * z) * cos(20 * pi * t)

    def slope(x: Tensor, y: Tensor, _: np.ndarray) -> Tensor:
        return first(y, x, 1)

    def net() -> torch.nn.Module:
        if not hasattr(dde.nn, "STMsFFN"):
            raise ValueError(
                "DeepXDE has the network of its script, STMsFFN, not on PyTorch"
            )
        sizes = [2, 100, 100, 100, 1]
        made = dde.nn.STMsFFN(
            sizes, "tanh", "Glorot uniform", sigmas_x=[1], sigmas_t=[1, 10]
        )
        made.apply_feature_transform(lambda x: (x - 0.5) * 2 * 3**0.5)
        return made

    problem = Problem(
        domain,
        lambda x, u, p: torch.stack([-100 * p[..., 0], p[..., 1]], dim=-1),
        None,
        [
            dde.icbc.DirichletBC(domain, numbers(exact), border),
            dde.icbc.IC(domain, numbers(exact), border),
            dde.icbc.OperatorBC(domain, slope, lambda x, _: np.isclose(x[1], 0)),
        ],
        exact,
        hard=HardConstraint(
            lambda x: sin(pi * x[:, :1]) + sin(2 * pi * x[:, :1]),
            lambda x: x[:, :1] * (1 - x[:, :1]) * x[:, 1:] ** 2,
        ),
    )
    theirs = Theirs(
        lambda x, y: second(y, x, 1) - 100 * second(y, x, 0),
        points=(360, 360, 360),
        widths=(),
        weights="balanced",
        decay=("inverse time", 2000, 0.9),
        net=net,
    )
    return Example(problem, theirs, [[0.5], []], wave=True, elements=128)


def helmholtz() -> Example:
    """Helmholtz' equation on a square, two wavelengths a side."""
    problem, k = zoo.helmholtz_2d(2), 4 * pi

    def pde(x: Tensor, y: Tensor) -> Tensor:
        load = k**2 * sin(k * x[:, :1]) * sin(k * x[:, 1:])
        return -second(y, x, 0) - second(y, x, 1) - k**2 * y - load

    theirs = Theirs(
        pde,
        points=(400, 80),
        widths=(150, 150, 150),
        activation="sin",
        adam=5000,
        hard=lambda x, y: (x * (1 - x)).prod(1, keepdim=True) * y,
        conditions=[],
    )
    return Example(problem, theirs, [[0.5], []])


def helmholtz_hole() -> Example:
    """Helmholtz' equation around a hole, on which the slope is given."""
    outer, hole = dde.geometry.Rectangle([-0.5] * 2, [0.5] * 2), dde.geometry.Disk
    inner = hole([0, 0], 0.25)
    domain, k = outer - inner, 2 * pi

    def exact(x: Tensor) -> Tensor:
        return sin(k * x[:, :1]) * sin(k * x[:, 1:])

    def slope(x: np.ndarray) -> np.ndarray:
        z, t = k * x[:, :1], k * x[:, 1:]
        rise = k * np.hstack([np.cos(z) * np.sin(t), np.sin(z) * np.cos(t)])
        return -(rise * inner.boundary_normal(x)).sum(1, keepdims=True)

    problem = Problem(
        domain,
        diffusing,
        lambda x, u: k**2 * (u + exact(x)),
        [
            dde.icbc.NeumannBC(domain, slope, lambda x, b: b and inner.on_boundary(x)),
            dde.icbc.DirichletBC(
                domain, numbers(exact), lambda x, b: b and outer.on_boundary(x)
            ),
        ],
        exact,
    )

    def pde(x: Tensor, y: Tensor) -> Tensor:
        return -second(y, x, 0) - second(y, x, 1) - k**2 * (y + exact(x))

    theirs = Theirs(
        pde,
        points=(225, 240),
        widths=(350, 350, 350),
        activation="sin",
        adam=5000,
        weights=(1, 10, 100),
    )
    mesh = Mesh.from_geometry(domain, 0.03)
    return Example(problem, theirs, [[0.0], []], elements=mesh)


def kovasznay() -> Example:
    """Kovasznay's flow: two velocities and a pressure."""

    def pde(x: Tensor, y: Tensor) -> list[Tensor]:
        u, v = y[:, :1], y[:, 1:2]
        momentum = [
            u * first(y, x, 0, c)
            + v * first(y, x, 1, c)
            + first(y, x, c, 2)
            - 0.05 * (second(y, x, 0, c) + second(y, x, 1, c))
            for c in (0, 1)
        ]
        return [*momentum, first(y, x, 0, 0) + first(y, x, 1, 1)]

    theirs = Theirs(pde, (2601, 400), (50, 50, 50, 50), adam=30_000, **MANY)
    return Example(zoo.kovasznay(20.0), theirs, [[0.25], []])
