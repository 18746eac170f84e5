"""How wrong a solution is: error, flux jump, mass defect."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pinn._checks import check_count, check_shape
from pinn.derivatives.jets import Flux, Jet, Wanted, jet_of
from pinn.domains.border import border_points
from pinn.domains.partition import Partition
from pinn.forms.interfaces import Interfaces
from pinn.problem import Problem

__all__ = ["beside", "flux_jump", "mass_defect", "relative_error", "test_points"]

Net = Callable[[Tensor], "Tensor"]
_GRIDS = 3  # coordinates at most in which an even grid is fine enough to see anything


def test_points(problem: Problem, count: int = 10_000) -> Tensor:
    """Spread points evenly over a domain, its border left out.

    An even grid, as the errors of Raissi, Perdikaris and Karniadakis 2019 are taken on;
    in more than three coordinates, where a grid has two or three places per axis, the
    points of Sobol 1967, USSR Comput. Math. Math. Phys. 7(4), scrambled.

    Args:
        problem: The problem.
        count: Points asked for; the answer has about as many.

    Returns:
        The points, in float64. Shape ``(points, dim)``.

    Raises:
        ValueError: If ``count`` is not positive.

    Example:
        >>> from pinn import zoo
        >>> test_points(zoo.burgers(), 100).shape
        torch.Size([100, 2])
    """
    check_count("count", count, least=1)
    lower, upper = (torch.as_tensor(corner) for corner in problem.bounds)
    x = lower + (upper - lower) * _even(count, problem.dim)
    return x[problem.inside(x)]


vars(test_points)["__test__"] = False  # not a test, whatever pytest thinks of its name


def _even(count: int, dim: int) -> Tensor:
    """Spread about so many points over the unit cube."""
    if dim > _GRIDS:
        engine = torch.quasirandom.SobolEngine(dim, scramble=True, seed=0)
        return engine.draw(count, dtype=torch.float64).cpu()
    per_axis = max(1, round(count ** (1 / dim)))
    share = (torch.arange(per_axis, dtype=torch.float64, device="cpu") + 0.5) / per_axis
    return torch.cartesian_prod(*[share] * dim).view(-1, dim)


def relative_error(problem: Problem, net: Net, x: Tensor | None = None) -> float:
    r"""Compare with the exact solution: ``|u - u_exact| / |u_exact|`` over points.

    The measure of Raissi, Perdikaris and Karniadakis 2019, J. Comput. Phys. 378.

    Args:
        problem: The problem.
        net: A function of points, for instance a network.
        x: Points; None is :func:`pinn.test_points`. Shape ``(points, dim)``.

    Returns:
        The relative L2 error over all components.

    Raises:
        ValueError: If the problem has no exact solution.

    Example:
        >>> from pinn import zoo
        >>> relative_error(zoo.heat(), lambda x: 1.01 * zoo.heat().exact(x))
        0.01...
    """
    if problem.exact is None:
        raise ValueError("the problem has no exact solution: expected exact=...")
    x = test_points(problem) if x is None else x
    with torch.no_grad():
        exact = problem.exact(x)
        difference = net(beside(net, x)).to(exact) - exact
        check_shape("net(x)", difference, tuple(exact.shape))
        return (difference.norm() / exact.norm()).item()


def beside(net: Net, x: Tensor) -> Tensor:
    """Move points to the device and dtype of a network's parameters."""
    parameters = net.parameters() if isinstance(net, torch.nn.Module) else ()
    return next((x.to(p) for p in parameters), x)


def flux_jump(problem: Problem, net: torch.nn.Module, partition: Partition) -> float:
    """Measure the largest jump of the normal flux over all interfaces.

    Zero is what Jagtap, Kharazmi and Karniadakis 2020, CMAME 365, 113028, train for.

    Args:
        problem: The balance law.
        net: A :class:`pinn.SubdomainFNN`.
        partition: Its subdomains.

    Returns:
        Largest absolute jump over 200 points per interface and all equations; 0 without
        an interface.

    Example:
        >>> from pinn import SubdomainFNN, zoo
        >>> partition = Partition(zoo.heat().geometry, [[0.5]])
        >>> net = SubdomainFNN(partition, [2, 4, 1])
        >>> flux_jump(zoo.heat(), net, partition) > 0
        True
    """
    faces = Interfaces(partition, 200).to(next(net.parameters()))
    with torch.no_grad():
        sides = faces.sides(net, problem.flux_wanted)
        left, right = (
            problem.normal_flux(x, side, faces.normal)
            for x, side in zip((faces.before, faces.behind), sides, strict=True)
        )
    return (left - right).abs().max().item() if len(faces.x) else 0.0


def mass_defect(problem: Problem, net: Net, *, elements: int = 40) -> float:
    r"""Measure how far a network is from conserving what the law says is conserved.

    .. math:: D(t) = \frac{d}{dt} \int u \, dx + \int_{\partial \Omega} F \cdot n
              - \int s \, dx

    by composite Gauss quadrature in space, at 21 times; at rest without the first term.

    LeVeque 2002, Finite Volume Methods for Hyperbolic Problems, chapter 2.

    Args:
        problem: The balance law on a box.
        net: A function of points, for instance a network.
        elements: Per axis in space, of 6 points each.

    Returns:
        Largest ``|D|`` over the times and equations.

    Raises:
        ValueError: If the problem is not a balance law, has more than two coordinates
            in space, or its domain is no box.

    Example:
        >>> from pinn import zoo
        >>> bool(mass_defect(zoo.heat(), zoo.heat().exact) < 1e-12)
        True
    """
    problem.check_balance_law("mass_defect")
    lower, upper = problem.bounds
    space = problem.dim - problem.in_time
    if space > 2:
        raise ValueError(f"problem has {space} coordinates in space: expected 1 or 2")
    _check_box(problem, space)
    times = np.linspace(lower[-1], upper[-1], 23)[1:-1] if problem.in_time else [None]
    return max(_defect(problem, net, space, time, elements) for time in times)


def _check_box(problem: Problem, space: int) -> None:
    """Refuse a domain whose border runs through its bounding box."""
    lower, upper = (corner[:space] for corner in problem.bounds)
    border = border_points(problem.geometry)
    margin = 1e-6 * (upper - lower)
    inner = ((border > lower + margin) & (border < upper - margin)).all(axis=1)
    if inner.any():
        raise ValueError(
            f"the border of the geometry runs through {border[inner][0].round(3)}, "
            "inside its bounding box: mass_defect expects a box"
        )


def _defect(
    problem: Problem, net: Net, space: int, time: float | None, elements: int
) -> float:
    """Evaluate the defect at one time."""
    lower, upper = problem.bounds
    rules = [
        [beside(net, t) for t in _composite(lower[a], upper[a], elements)]
        for a in range(space)
    ]
    x, w = _tensor_rule(rules, time)
    wanted = Wanted((problem.dim - 1,)) if problem.in_time else Wanted()
    jet = jet_of(net, x, Wanted(tuple({*wanted.first, *problem.flux_wanted.first})))
    flux = problem.check_balance_law("mass_defect")
    total = x.new_zeros(problem.equations)
    if problem.in_time:
        total = total + w @ _along_time(flux, x, jet)
    if problem.source is not None:
        total = total - w @ problem.source(x, jet.u)
    for axis in range(space):
        for side, sign in ((lower[axis], -1.0), (upper[axis], 1.0)):
            end = [w.new_tensor([side]), w.new_ones(1)]
            face, area = _tensor_rule(rules[:axis] + [end] + rules[axis + 1 :], time)
            jet = jet_of(net, face, problem.flux_wanted)
            F = flux(face, jet.u, jet.p)[..., axis]
            total = total + sign * (area @ F)
    return total.detach().abs().max().item()


def _along_time(flux: Flux, x: Tensor, jet: Jet) -> Tensor:
    """Differentiate the flux along time by time."""
    steps = torch.zeros_like(x)
    steps[:, -1] = 1
    moves = (steps, jet.p[..., -1], torch.zeros_like(jet.p))
    return torch.func.jvp(flux, (x, jet.u, jet.p), moves)[1][..., -1]


def _composite(low: float, high: float, elements: int) -> tuple[Tensor, Tensor]:
    """Make a composite Gauss rule of 6 points per element."""
    nodes, weights = np.polynomial.legendre.leggauss(6)
    edges = np.linspace(low, high, elements + 1)
    half = (edges[1:] - edges[:-1])[:, None] / 2
    x = edges[:-1, None] + half * (nodes + 1)
    w = np.broadcast_to(half * weights, x.shape)
    return torch.as_tensor(x.ravel()), torch.as_tensor(w.ravel().copy())


def _tensor_rule(rules: list, time: float | None) -> tuple[Tensor, Tensor]:
    """Combine rules per axis, and put a time behind."""
    x = torch.cartesian_prod(*[nodes for nodes, _ in rules]).view(-1, len(rules))
    w = rules[0][1]
    for _, weights in rules[1:]:
        w = torch.outer(w, weights).flatten()
    if time is not None:
        x = torch.cat([x, torch.full_like(x[:, :1], float(time))], dim=1)
    return x, w
