"""Where networks and elements meet: a driven cavity, and Poisson in many dimensions."""

import itertools
import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from pinn import (
    FEMSolution,
    Mean,
    Mesh,
    Problem,
    fem,
    test_points,
)
from pinn._backend import dde

pi = math.pi
REYNOLDS = 100.0
HEIGHTS = (
    *(0.0547, 0.0625, 0.0703, 0.1016, 0.1719, 0.2813, 0.4531, 0.5),
    *(0.6172, 0.7344, 0.8516, 0.9531, 0.9609, 0.9688, 0.9766),
)
GHIA = (
    *(-0.03717, -0.04192, -0.04775, -0.06434, -0.10150, -0.15662, -0.21090, -0.20581),
    *(-0.13641, 0.00332, 0.23151, 0.68717, 0.73722, 0.78871, 0.84123),
)
"""Ghia, Ghia and Shin 1982, J. Comput. Phys. 48, table I: u at x = 0.5, Re = 100."""


def cavity() -> Problem:
    """Navier and Stokes' equations in a square whose lid moves at speed one."""
    square = dde.geometry.Rectangle([0, 0], [1, 1])

    def flux(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        w = u[:, :2]
        push = u[:, 2, None, None] * torch.eye(2, dtype=u.dtype, device=u.device)
        momentum = w[:, :, None] * w[:, None, :] + push - p[:, :2] / REYNOLDS
        return torch.cat([momentum, w[:, None, :]], dim=1)

    def lid(x: np.ndarray) -> np.ndarray:
        inner = ~np.isclose(x[:, :1] * (1 - x[:, :1]), 0)  # else corners would leak
        return (np.isclose(x[:, 1:], 1) & inner).astype(x.dtype)

    conditions = [
        dde.icbc.DirichletBC(square, lid, lambda x, on: on, component=0),
        dde.icbc.DirichletBC(
            square, lambda x: 0 * x[:, :1], lambda x, on: on, component=1
        ),
        Mean(Mesh(square, 4), 0.0, component=2),
    ]
    return Problem(square, flux, conditions=conditions, components=3)


def graded(count: int) -> list[float]:
    """Edges that are denser at both walls: a cosine."""
    return ((1 - np.cos(pi * np.arange(count + 1) / count)) / 2).tolist()


def profile(predict: Callable[[Tensor], Tensor]) -> Tensor:
    """Evaluate u at Ghia's heights."""
    y = torch.tensor(HEIGHTS, dtype=torch.float64)
    return predict(torch.stack([torch.full_like(y, 0.5), y], dim=1))[:, 0]


def by_elements(problem: Problem, count: int) -> FEMSolution:
    """Solve the cavity on a graded mesh."""
    return fem(problem, Mesh(problem.geometry, [graded(count), graded(count)]))


def poisson(dim: int, kind: str) -> Problem:
    """``-lap u = s`` on a cube, values given on its border."""
    cube = dde.geometry.Hypercube([0.0] * dim, [1.0] * dim)

    def add(x: Tensor) -> Tensor:
        return torch.sin(pi * x).sum(1, keepdim=True)

    def multiply(x: Tensor) -> Tensor:
        return torch.sin(pi * x).prod(1, keepdim=True)

    def mixed(x: Tensor) -> Tensor:
        return 1 / (1 + (x - 0.3).square().sum(1, keepdim=True))

    def bend(x: Tensor) -> Tensor:
        q = 1 + (x - 0.3).square().sum(1, keepdim=True)
        return 2 * dim / q**2 - 8 * (q - 1) / q**3

    exact, load = {
        "sum": (add, lambda x: pi**2 * add(x)),
        "product": (multiply, lambda x: dim * pi**2 * multiply(x)),
        "hill": (mixed, bend),
    }[kind]
    conditions = [
        dde.icbc.DirichletBC(
            cube, lambda x: exact(torch.as_tensor(x)).numpy(), lambda x, on: on
        )
    ]
    return Problem(cube, lambda x, u, p: -p, lambda x, u: load(x), conditions, exact)


def polynomials(problem: Problem, degree: int, seed: int = 0) -> dict:
    """Fit all polynomials of a total degree to Poisson's equation and its border.

    Least squares on the residual at points, products of Legendre polynomials: what a
    network of as many numbers is compared with.
    """
    start = time.process_time()
    dim = problem.dim
    powers = np.array(list(_powers(dim, degree)))
    count = 3 * len(powers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        x = torch.rand(count, dim, dtype=torch.float64)
        b = torch.rand(count, dim, dtype=torch.float64)
    rows = torch.arange(count)
    b[rows, rows % dim] = (rows // dim % 2).double()
    assert problem.source is not None, "Poisson's equation has one"
    with torch.no_grad():
        wanted = torch.cat([problem.source(x, x[:, :1]), problem.exact(b)])
    A = torch.cat([-_basis(x, powers, True), _basis(b, powers, False)])
    c = torch.linalg.lstsq(A, wanted).solution
    seconds = time.process_time() - start
    z = test_points(problem, 4000)
    found, exact = _basis(z, powers, False) @ c, problem.exact(z)
    error = ((found - exact).norm() / exact.norm()).item()
    return {"numbers": len(powers), "error": error, "seconds": round(seconds, 2)}


def _powers(dim: int, degree: int) -> Iterator[tuple[int, ...]]:
    """Yield all degrees per coordinate whose sum is at most the total degree."""
    for bars in itertools.combinations(range(dim + degree), dim):
        edges = (-1, *bars)
        yield tuple(b - a - 1 for a, b in itertools.pairwise(edges))


def _basis(x: Tensor, powers: np.ndarray, laplacian: bool) -> Tensor:
    """Evaluate products of Legendre polynomials, or their Laplacian."""
    s, top = (2 * x - 1).numpy(), int(powers.max())
    value = np.polynomial.legendre.legvander(s, top)  # (points, dim, degree + 1)
    coordinates = range(x.shape[1])
    picked = [value[:, d, powers[:, d]] for d in coordinates]
    if not laplacian:
        return torch.as_tensor(math.prod(picked))
    second = np.stack(
        [
            np.polynomial.legendre.legval(
                s, np.polynomial.legendre.legder(np.eye(top + 1)[k], 2)
            )
            for k in range(top + 1)
        ],
        axis=-1,
    )
    total = np.zeros((len(x), len(powers)))
    for d in coordinates:
        others = math.prod(picked[e] for e in coordinates if e != d)
        total += 4 * second[:, d, powers[:, d]] * others
    return torch.as_tensor(total)
