"""Inverse problems of chapter 35: a wave, two numbers in one, an end that leaks."""

import math
import time
from collections.abc import Callable

import numpy as np
import scipy.optimize
import torch
from torch import Tensor

from pinn import (
    HardConstraint,
    HardPINN,
    LevenbergMarquardt,
    Problem,
    Solution,
    Vanilla,
    cole_hopf,
)
from pinn._backend import dde
from pinn.inverse import Data, Unknown, classical, identify

pi, sin, exp = math.pi, torch.sin, torch.exp
NU = 0.1 / pi  # of the wave
K, C = 0.1, 1.0  # of the rod that cools
LEAK = 0.05  # value of the right end that is taken for 0


def strip(low: float, high: float) -> dde.geometry.GeometryXTime:
    """Make [low, high] x [0, 1]."""
    return dde.geometry.GeometryXTime(
        dde.geometry.Interval(low, high), dde.geometry.TimeDomain(0, 1)
    )


def trainer(weight: float) -> Callable:
    """Train by Levenberg-Marquardt, the equation with this weight, the data with 1."""

    def make(net: torch.nn.Module, data: object) -> LevenbergMarquardt:
        return LevenbergMarquardt(
            net.parameters(),
            lambda: data.residual_vector(net, [weight, 1.0]),
        )

    return make


def noisy(x: Tensor, u: Tensor, sigma: float, draw: int) -> Data:
    """Measure ``u`` with noise."""
    g = torch.Generator().manual_seed(1000 + draw)
    noise = torch.randn(len(x), 1, generator=g, dtype=torch.float64)
    return Data(x, u + sigma * noise, sigma)


def misfit(solution: Solution, data: Data) -> float:
    """Root mean square of what is left of the data, in units of the noise."""
    left = (solution.predict(data.points) - data.values) / data.sigma
    return left.square().mean().sqrt().item()


# Burgers' equation, speed and viscosity


def wave(speed: Unknown, nu: Unknown) -> Problem:
    """State ``u_t + (speed u^2 / 2 - nu u_x)_x = 0`` with start and ends known."""
    geometry = strip(-1, 1)
    start = dde.icbc.IC(geometry, lambda x: -np.sin(pi * x[:, :1]), lambda x, on: on)
    ends = dde.icbc.DirichletBC(geometry, lambda x: 0 * x[:, :1], lambda x, on: on)
    return Problem(
        geometry,
        lambda x, u, p: torch.stack([speed() * u**2 / 2 - nu() * p[..., 0], u], -1),
        conditions=[ends, start],
        hard=HardConstraint(
            lambda x: -sin(pi * x[:, :1]), lambda x: (1 - x[:, :1] ** 2) * x[:, 1:]
        ),
        unknowns=[speed, nu],
    )


def burgers(
    level: float,
    draw: int,
    weight: float = 1.0,
    steps: int = 150,
    mesh: tuple[int, int] = (24, 12),
) -> dict:
    """Fit 500 values with noise of a level by network and twin; tell deviations off."""
    g = torch.Generator().manual_seed(draw)
    x = torch.rand(500, 2, generator=g, dtype=torch.float64)
    x[:, 0] = 2 * x[:, 0] - 1
    u = cole_hopf(x, NU)
    data = noisy(x, u, level * u.std().item(), draw)
    unknowns = Unknown("speed", 0.5), Unknown("nu", 0.1, positive=True, scale=0.01)
    line = np.linspace(-1, 1, mesh[0] + 1)
    edges = (line * (0.4 + 0.6 * line**2)).tolist()  # finer in the middle
    twin = classical(wave(*unknowns), data, elements=[edges, mesh[1]])
    deviations = twin.information.deviations
    truth = torch.tensor([1.0, NU], dtype=torch.float64)
    method = HardPINN(500, 60, (16, 16), resample=None, weights=[weight, 1.0])
    found = identify(
        wave(*unknowns),
        data,
        method,
        seeds=[draw],
        optimizer=trainer(weight),
        iterations=steps,
    )
    solution = found.solutions[0]
    classic = torch.tensor(list(twin.values.values()), dtype=torch.float64)
    return {
        "deviation_percent": (100 * deviations / truth).tolist(),
        "network_off": ((found.values[0] - truth) / deviations).tolist(),
        "twin_off": ((classic - truth) / deviations).tolist(),
        "misfit": misfit(solution, data),
        "network_seconds": solution.seconds,
        "twin_seconds": twin.seconds,
    }


# A rod that conducts and cools: k and c


def modes(x: Tensor, second: float, k: float = K, c: float = C) -> Tensor:
    """Solve ``u_t = k u_xx - c u``, ``sin(pi x) + second sin(2 pi x)`` at first."""
    first, t = sin(pi * x[:, :1]), x[:, 1:]
    other = second * sin(2 * pi * x[:, :1])
    return first * exp(-(k * pi**2 + c) * t) + other * exp(-(4 * k * pi**2 + c) * t)


def cooling(k: Unknown, c: Unknown, second: float) -> Problem:
    """State the rod, start and ends known."""
    geometry = strip(0, 1)

    def start(x: Tensor) -> Tensor:
        return modes(torch.cat([x[:, :1], 0 * x[:, 1:]], 1), second)

    return Problem(
        geometry,
        lambda x, u, p: torch.stack([-k() * p[..., 0], u], -1),
        lambda x, u: -c() * u,
        hard=HardConstraint(start, lambda x: x[:, :1] * (1 - x[:, :1]) * x[:, 1:]),
        unknowns=[k, c],
    )


def two(second: float, start: tuple[float, float], draw: int) -> dict:
    """Fit thirty values of two sensors by a network, from ``(k, c) = start``."""
    t = torch.linspace(0.05, 1, 15, dtype=torch.float64)
    x = torch.cartesian_prod(torch.tensor([0.25, 0.75], dtype=torch.float64), t)
    data = noisy(x, modes(x, second), 0.01, draw)
    k = Unknown("k", start[0], positive=True, scale=0.1)
    c = Unknown("c", start[1], positive=True)
    method = HardPINN(300, 30, (12, 12), resample=None, weights=[1.0, 1.0])
    found = identify(
        cooling(k, c, second),
        data,
        method,
        seeds=[draw],
        optimizer=trainer(1.0),
        iterations=60,
    )
    solution = found.solutions[0]
    return {
        "k": found.median["k"],
        "c": found.median["c"],
        "rate": found.median["k"] * pi**2 + found.median["c"],
        "misfit": misfit(solution, data),
        "seconds": solution.seconds,
    }


# A rod whose right end is not what it is thought to be


def leaking(x: Tensor) -> Tensor:
    """Solve ``u_t = K u_xx``, ``LEAK`` at the right end and 0 at the left one."""
    return modes(x, 0.5, K, 0.0) + LEAK * x[:, :1]


def rod(k: Unknown, end: float | Unknown) -> Problem:
    """State the rod with what is believed of its right end."""
    geometry = strip(0, 1)

    def start(x: np.ndarray) -> np.ndarray:
        s = x[:, :1]
        return np.sin(pi * s) + 0.5 * np.sin(2 * pi * s) + LEAK * s

    def right(x: Tensor) -> Tensor | np.ndarray:
        if isinstance(end, Unknown):
            return end() + 0 * torch.as_tensor(x[:, :1])
        return end + 0 * x[:, :1]

    conditions = [
        dde.icbc.DirichletBC(
            geometry, lambda x: 0 * x[:, :1], lambda x, on: on and x[0] < 0.5
        ),
        dde.icbc.DirichletBC(geometry, right, lambda x, on: on and x[0] > 0.5),
        dde.icbc.IC(geometry, start, lambda x, on: on),
    ]
    unknowns = [k, end] if isinstance(end, Unknown) else [k]
    return Problem(
        geometry,
        lambda x, u, p: torch.stack([-k() * p[..., 0], u], -1),
        conditions=conditions,
        unknowns=unknowns,
    )


def window(k: Unknown) -> Problem:
    """State the equation where it is measured, and nothing else."""
    return Problem(
        strip(0.2, 0.9),
        lambda x, u, p: torch.stack([-k() * p[..., 0], u], -1),
        unknowns=[k],
    )


def leak(draw: int) -> dict:
    """Fit 300 values within the rod: its end believed, or suspected, or nothing."""
    g = torch.Generator().manual_seed(draw)
    x = torch.rand(300, 2, generator=g, dtype=torch.float64)
    x[:, 0] = 0.2 + 0.7 * x[:, 0]
    data = noisy(x, leaking(x), 0.01, draw)
    k = Unknown("k", 0.3, positive=True, scale=0.1)
    end = Unknown("end", 0.0, scale=0.1)
    row = {}
    for name, belief in (("believed", 0.0), ("suspected", end)):
        twin = classical(rod(k, belief), data, elements=[12, 8])
        deviation = twin.information.deviations[0].item()
        row[name] = {
            "off_percent": 100 * (twin.values["k"] / K - 1),
            "deviation_percent": 100 * deviation / K,
            "seconds": twin.seconds,
        }
    method = Vanilla(400, 20, (12, 12), resample=None, weights=[1.0, 1.0])
    found = identify(
        window(k), data, method, seeds=[draw], optimizer=trainer(1.0), iterations=60
    )
    solution = found.solutions[0]
    row["network"] = {
        "off_percent": 100 * (found.median["k"] / K - 1),
        "seconds": solution.seconds,
        "misfit": misfit(solution, data),
    }
    row["polynomial"] = polynomial(data)
    return row


def powers(x: np.ndarray) -> list[np.ndarray]:
    """Products of Legendre polynomials on the window: values, ``u_t``, ``u_xx``."""
    s, t = (x[:, 0] - 0.55) / 0.35, 2 * x[:, 1] - 1
    legendre = np.polynomial.legendre
    rows = []
    for m in range(9):
        for n in range(7):
            a, b = np.eye(9)[m], np.eye(7)[n]
            in_x, in_t = legendre.legval(s, a), legendre.legval(t, b)
            rate = 2 * in_x * legendre.legval(t, legendre.legder(b))
            bend = in_t * legendre.legval(s, legendre.legder(a, 2)) / 0.35**2
            rows.append((in_x * in_t, rate, bend))
    return [np.stack(columns, 1) for columns in zip(*rows, strict=True)]


def polynomial(data: Data) -> dict:
    """Fit 63 coefficients in the place of a network, by linear least squares."""
    begun = time.process_time()
    g = torch.Generator().manual_seed(0)
    inside = torch.rand(400, 2, generator=g, dtype=torch.float64).numpy()
    inside[:, 0] = 0.2 + 0.7 * inside[:, 0]
    _, rate, bend = powers(inside)
    value = powers(data.points.numpy())[0] / np.sqrt(len(data.points))
    wanted = np.concatenate([data.values.numpy()[:, 0], np.zeros(400)])
    wanted /= np.sqrt(len(data.points))

    def left(k: float) -> float:
        rows = np.concatenate([value, (rate - k * bend) / np.sqrt(400)])
        found = np.linalg.lstsq(rows, wanted, rcond=None)[0]
        return float(np.square(rows @ found - wanted).sum())

    k = scipy.optimize.minimize_scalar(left, bounds=(0.01, 0.5), method="bounded").x
    return {
        "off_percent": 100 * (float(k) / K - 1),
        "seconds": time.process_time() - begun,
    }
