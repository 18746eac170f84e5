"""Meshes that find thin layers: solve, estimate, mark, halve, until it is enough."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pinn._checks import check_count, check_positive
from pinn.derivatives.jets import Jet, jet_of
from pinn.domains.mesh import Mesh, check_boxes
from pinn.forms.fem import FEMSolution, fem
from pinn.forms.weak_form import WeakForm
from pinn.problem import Problem

__all__ = ["Adapted", "adapt"]

_DEGREE = (
    2  # of the finite elements; tests of one degree more and two have not been met
)


@dataclass(frozen=True, eq=False)
class Adapted:
    """What :func:`pinn.adapt` found.

    Args:
        mesh: The last mesh; its ``elements`` are what a method such as
            :class:`pinn.HPVPINN` takes.
        solution: Finite elements on it.
        elements: How many there were in each round. Shape ``(rounds,)``.
        estimates: Of the relative error of the flux, round by round. Shape
            ``(rounds,)``.
        seconds: CPU seconds of all solutions.
    """

    mesh: Mesh
    solution: FEMSolution
    elements: Tensor
    estimates: Tensor
    seconds: float


def adapt(
    problem: Problem,
    mesh: Mesh,
    *,
    tol: float = 1e-3,
    share: float = 0.5,
    most: int = 4000,
) -> Adapted:
    r"""Refine a tensor mesh where finite elements miss the equation most.

    .. math:: \eta_{a,i}^2 = \sum_e \sum_k R_{e,k}^2, \qquad
              \sum_{(a,i) \text{ marked}} \eta_{a,i}^2 \ge \theta \sum \eta_{a,i}^2

    with the weak residuals ``R`` of tests that the elements have not been solved for,
    of unit norm: bubbles of a higher degree along the axis ``a``, over the elements
    ``e`` that share its interval ``i``. As few intervals as possible are marked that
    hold the share (Dorfler 1996, SIAM J. Numer. Anal. 33(3)), and halved. What flows
    between elements is not asked: with biquadratic elements the error shows inside
    (Babuska and Yu 1987, Finite Elem. Anal. Des. 3(4)). It is an estimate and no bound,
    and of the flux: the solution itself can be further off.

    Args:
        problem: Balance laws, as for :func:`pinn.fem`.
        mesh: Where to begin: a tensor grid or a union of its boxes.
        tol: Largest estimate of the error of the flux, relative to it.
        share: Of the squared estimate, held by the marked; above 0, at most 1.
        most: Elements at most.

    Returns:
        The mesh, finite elements on it, and how it went.

    Raises:
        TypeError: If the mesh is made of triangles, or a count is no int.
        ValueError: If a number is out of range, or as :func:`pinn.fem`.

    Warns:
        UserWarning: If ``most`` elements are not enough.

    Example:
        >>> import deepxde as dde
        >>> line, layer = dde.geometry.Interval(0, 1), 0.01
        >>> ends = dde.icbc.DirichletBC(line, lambda x: 0 * x, lambda x, on: on)
        >>> problem = Problem(
        ...     line,
        ...     lambda x, u, p: u[..., None] - layer * p,
        ...     lambda x, u: 1 + 0 * x,
        ...     [ends],
        ... )
        >>> found = adapt(problem, Mesh(line, 4))
        >>> width = (found.mesh.upper - found.mesh.lower).flatten()
        >>> (found.mesh.lower.flatten()[width < 0.01] > 0.8).all().item()
        True
    """
    check_boxes("adapt", mesh)
    check_positive("tol", tol)
    check_count("most", most, least=1)
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}: expected above 0, at most 1")
    rows, seconds = [], 0.0
    while True:
        found = fem(problem, mesh, degree=_DEGREE)
        seconds += found.seconds
        squares, size = _squares(problem, mesh, found)
        estimate = float(torch.cat(squares).sum().sqrt())
        rows.append((len(mesh), estimate / max(size, 1e-300)))
        if estimate <= tol * size:
            break
        marks = marked(torch.cat(squares), share).split([len(s) for s in squares])
        finer = _halved(mesh, marks)
        if len(finer) > most:
            warnings.warn(
                f"adapt stops at {len(mesh)} elements, where the estimate is "
                f"{rows[-1][1]:.2g} and tol {tol:g}: the next mesh has {len(finer)}, "
                f"and most is {most}",
                stacklevel=2,
            )
            break
        mesh = finer
    elements, estimates = zip(*rows, strict=True)
    return Adapted(
        mesh, found, torch.tensor(elements), torch.tensor(estimates).double(), seconds
    )


def marked(squares: Tensor, share: float) -> Tensor:
    """Mark as few as possible that hold a share of the sum.

    Args:
        squares: What each holds. Shape ``(all,)``.
        share: Of the sum.

    Returns:
        Booleans, the largest first. Shape ``(all,)``.
    """
    order = squares.argsort(descending=True, stable=True)
    before = squares[order].cumsum(0) - squares[order]
    marks = torch.zeros_like(squares, dtype=torch.bool)
    marks[order[before < share * squares.sum()]] = True
    return marks


def _edges(mesh: Mesh) -> list[Tensor]:
    """Return the positions of the edges along every axis."""
    ends = torch.cat([mesh.lower, mesh.upper])
    return [along.unique() for along in ends.unbind(1)]


def _squares(
    problem: Problem, mesh: Mesh, found: FEMSolution
) -> tuple[list[Tensor], float]:
    """Return what the intervals of every axis hold, and the norm of the flux."""
    edges = _edges(mesh)
    tests = Mesh(mesh.geometry, [e.tolist() for e in edges], degree=_DEGREE + 1)
    form = WeakForm(problem, tests)
    jet = jet_of(found.predict, form.x, form.wanted)
    R = form.residual(jet).square().sum(1)
    element, *numbers = form.active.nonzero().T
    beyond = torch.stack([number >= _DEGREE - 1 for number in numbers], 1).to(R)
    parts = R[:, None] * beyond / beyond.sum(1, keepdim=True).clamp(min=1)
    middles = (tests.lower + tests.upper) / 2
    squares = []
    for axis, along in enumerate(edges):
        interval = torch.searchsorted(along, middles[:, axis].contiguous()) - 1
        empty = R.new_zeros(len(along) - 1)
        squares.append(empty.index_add(0, interval[element], parts[:, axis]))
    return squares, _norm(problem, form, jet)


def _norm(problem: Problem, form: WeakForm, jet: Jet) -> float:
    """Return the root of the integral of the squared flux."""
    flux = problem.check_balance_law("adapt")
    here = jet[: len(form.inner)]
    squares = flux(form.inner, here.u, here.p).square().flatten(1).sum(1)
    weights = torch.cartesian_prod(*[form.rule.weights / 2] * form.dim)
    weights = weights.view(-1, form.dim).prod(1)
    return float((form.h.prod(1) @ squares.view(len(form.h), -1) @ weights).sqrt())


def _halved(mesh: Mesh, marks: tuple[Tensor, ...]) -> Mesh:
    """Cut the marked intervals in the middle."""
    edges = [
        np.sort(np.append(along, (along[:-1] + along[1:])[marks_.numpy()] / 2))
        for along, marks_ in zip((e.numpy() for e in _edges(mesh)), marks, strict=True)
    ]
    return Mesh(mesh.geometry, [e.tolist() for e in edges], degree=mesh.degree)
