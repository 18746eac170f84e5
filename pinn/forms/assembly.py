"""What the weak form needs to know of its mesh and of its problem, computed once."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pinn.derivatives.jets import Wanted
from pinn.domains.basis import RuleOf, gauss_legendre, gauss_lobatto, lobatto
from pinn.domains.mesh import Mesh
from pinn.domains.triangulation import Triangulation
from pinn.problem import Problem

__all__ = [
    "active_tests",
    "against",
    "check_domain",
    "derivatives_of",
    "inward",
    "leading_part",
    "points_of",
    "unit_norm",
    "warn_if_few",
]


def check_domain(
    problem: Problem, mesh: Mesh | Triangulation, *, whole: bool = True
) -> None:
    """Refuse a mesh of another domain; of the whole one, a mesh of a part, too."""
    if isinstance(mesh, Triangulation):
        corners = mesh.corners.numpy()
        cells = corners[mesh.triangles.numpy()]
        middles, size = cells.mean(1), np.ptp(cells, axis=1).max()
    else:
        corners = torch.cat([mesh.lower, mesh.upper]).numpy()
        middles, size = ((mesh.lower + mesh.upper) / 2).numpy(), 1e-9
    ends, bounds = np.stack([corners.min(0), corners.max(0)]), np.stack(problem.bounds)
    same = ends.shape == bounds.shape
    if same:
        beyond = np.stack([bounds[0] - ends[0], ends[1] - bounds[1]])
        same = (abs(beyond) if whole else beyond).max() <= size / 2
    if not same or not problem.inside(torch.as_tensor(middles)).all():
        what = "fill" if whole else "lie in"
        raise ValueError(
            f"mesh runs from {ends[0].tolist()} to {ends[1].tolist()} and does not "
            f"{what} the problem's domain, from {bounds[0].tolist()} to "
            f"{bounds[1].tolist()}: expected a mesh of this geometry"
        )


def place(mesh: Mesh, along: Sequence[Tensor]) -> Tensor:
    """Map a tensor grid of [-1, 1]^dim into all elements: ``(points, dim)``."""
    grid = torch.cartesian_prod(*along).view(-1, len(along))
    lower, upper = mesh.lower[:, None], mesh.upper[:, None]
    return (lower + (upper - lower) * (grid + 1) / 2).reshape(-1, len(along))


def points_of(mesh: Mesh, nodes: Tensor, faces: bool) -> tuple[Tensor, int]:
    """Place the points: those in the elements, then face after face.

    Args:
        mesh: Elements.
        nodes: Of the rule. Shape ``(points,)``.
        faces: Whether faces are needed.

    Returns:
        All points, shape ``(all, dim)``, and how many are in the elements.
    """
    dim = mesh.lower.shape[1]
    blocks = [place(mesh, [nodes] * dim)]
    if faces:
        for axis in range(dim):
            for end in (-1.0, 1.0):
                along = [nodes] * dim
                along[axis] = nodes.new_tensor([end])
                blocks.append(place(mesh, along))
    return torch.cat(blocks), len(blocks[0])


def _axis_view(values: Tensor, axis: int, dim: int) -> Tensor:
    """Put ``(rows, tests)`` along a test axis of ``(elements, tests, tests, ...)``."""
    shape = [values.shape[0]] + [1] * dim
    shape[1 + axis] = values.shape[1]
    return values.view(shape)


def derivatives_of(problem: Problem, integrations: int, *, hats: bool) -> Wanted:
    """Name the derivatives that a form reads."""
    if integrations == 0:
        return problem.wanted
    return Wanted() if integrations == 2 and not hats else problem.flux_wanted


def against(field: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Sum over the points of ``(elements, points..., equations)``, axis by axis."""
    for matrix in matrices:
        field = torch.tensordot(field, matrix, dims=([1], [1]))
    return field


def inward(x: Tensor, h: Tensor, axis: int, sign: float) -> Tensor:
    """Move a face's points a hair into their elements: coefficients may jump there."""
    size = h.repeat_interleave(len(x) // len(h)) + x[:, axis].abs()
    moved = x.clone()
    moved[:, axis] -= sign * 64 * torch.finfo(x.dtype).eps * size
    return moved


def active_tests(mesh: Mesh, *, hats: bool) -> Tensor:
    """Tell which tests an element of lower degree than the highest uses."""
    extra = 2 if hats else 0
    number = torch.arange(int(mesh.degrees.max()) + extra, device="cpu") - extra
    enough = number < mesh.degrees[:, None]  # hats always
    dim = mesh.lower.shape[1]
    active = torch.ones(1, dtype=torch.bool, device="cpu")
    for axis in range(dim):
        active = active & _axis_view(enough, axis, dim)
    return active


def unit_norm(mesh: Mesh, *, hats: bool) -> Tensor:
    """Return the factor that makes ``int |grad v|^2 = 1`` for every test."""
    bubbles, h = int(mesh.degrees.max()), mesh.upper - mesh.lower
    dim = h.shape[1]
    exact = gauss_legendre(bubbles + 2)
    tests = lobatto(bubbles, exact.nodes, hats=hats)
    mass, stiffness = (
        (f**2 @ exact.weights)[None] for f in (tests.values, tests.first)
    )
    total = torch.zeros(1, dtype=torch.float64, device="cpu")
    for axis in range(dim):
        factor = (2 / h[:, axis]) ** 2 * (h / 2).prod(1)
        product = _axis_view(factor[:, None], 0, dim)
        for other in range(dim):
            gram = stiffness if other == axis else mass
            product = product * _axis_view(gram, other, dim)
        total = total + product
    return total.rsqrt()


def warn_if_few(points: int, bubbles: int, rule: RuleOf) -> None:
    """Warn when a rule cannot integrate products of the tests' slopes."""
    needed = bubbles + (2 if rule is gauss_lobatto else 1)
    if points < needed:
        warnings.warn(
            f"{points} quadrature points are too few for {bubbles} tests: at least "
            f"{needed} per axis and element are needed, or the network can fulfil the "
            "sums without fulfilling the integrals",
            stacklevel=3,
        )


def leading_part(problem: Problem) -> Tensor:
    """Return ``A`` of ``F = G(x, u) + A grad u``, or refuse a flux that is not so."""
    x, u, p = problem.probes()
    flux = problem.check_balance_law("integrations=2")

    def one(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        return flux(x[None], u[None], p[None])[0]

    slopes = torch.func.vmap(torch.func.jacrev(one, argnums=2))(x, u, p)
    A = slopes.mean(0)  # (equations, dim, components, dim)
    spread = (slopes - A).abs().max().item()
    if not spread <= 1e-12 * max(1.0, A.abs().max().item()):
        raise ValueError(
            "integrations is 2 but the flux is not linear in the gradient with "
            f"constant coefficients (its slope varies by {spread:.2g}): "
            "expected integrations=1"
        )
    return A
