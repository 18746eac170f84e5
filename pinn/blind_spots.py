"""What a discretisation does not see of a problem: said before it trains."""

import warnings
from collections.abc import Sequence
from typing import Any

import torch

from pinn.domains.mesh import Mesh
from pinn.domains.triangulation import Triangulation
from pinn.forms.cpinn import Conservative
from pinn.forms.vpinn import Variational
from pinn.forms.weak_form import WeakForm
from pinn.metrics import test_points
from pinn.probing import find_jump
from pinn.problem import Problem

__all__ = ["warn_of_jumps", "warn_of_quadrature"]

_MOST_POINTS = 2_000_000  # of a finer quadrature
_FINE = 50_000  # points that look for peaks of a source


def warn_of_jumps(problem: Problem, form: Any) -> None:
    """Say that a method cannot see what a jump of the flux asks for.

    Args:
        problem: The problem.
        form: The method's data; finite elements' mesh.

    Warns:
        UserWarning: If the flux jumps where the method does not match both sides.
    """
    if problem.flux is None:
        return
    matched: Sequence[Sequence[float]] = ()
    name, why = type(form).__name__, "a smooth network has no kink"
    if isinstance(form, Conservative):
        matched, why = form.partition.cuts, "only its cuts match both sides"
    elif isinstance(form, Mesh):
        ends = torch.cat([form.lower, form.upper]).T
        matched, name = [axis.unique().tolist() for axis in ends], "FEM"
        why = "a polynomial has no kink inside an element"
    elif isinstance(form, Triangulation):
        name, why = "FEM on triangles", "their sides need not lie there"
    jump = find_jump(problem.flux, problem.probes(), matched)
    if jump is not None:
        axis, place = jump
        warnings.warn(
            f"the flux jumps at x[{axis}] = {place:.6g}, and {name} cannot make what "
            f"flows in there flow out again ({why}): expected CPINN with a cut there, "
            "or FEM with an edge there",
            stacklevel=4,
        )


def warn_of_quadrature(problem: Problem, data: Any) -> None:
    """Say that a quadrature does not see what the source holds.

    Args:
        problem: The problem.
        data: The method's data.

    Warns:
        UserWarning: If four times the points give another load, or the source is far
            larger between the points than at them.
    """
    if not isinstance(data, Variational) or problem.source is None:
        return
    form, count = data.form, len(data.form.rule.nodes)
    seen, found = _largest(problem, form.inner), _largest(problem)
    if found > 4 * seen:
        warnings.warn(
            f"points is {count} per axis and element, and the source is {found:.2g} "
            f"between them, where they see {seen:.2g} at most: expected elements as "
            "small as the source, or a point source as a jump of the flux, as "
            "lambda x, u, p: -p - (x > a).to(x)[..., None]",
            stacklevel=4,
        )
        return
    if problem.source_uses_u or len(form.x) * 4**problem.dim > _MOST_POINTS:
        return
    finer = WeakForm(problem, form.mesh, points=4 * count, hats=form.hats)
    here, there = form.load(), finer.load()
    off = ((here - there).norm() / there.norm().clamp_min(1e-300)).item()
    if off > 1e-2:
        warnings.warn(
            f"points is {count} per axis and element, and the integrals of the source "
            f"are off by {off:.0%} of those with {4 * count}: expected more points, or "
            "more elements where the source is",
            stacklevel=4,
        )


def _largest(problem: Problem, x: torch.Tensor | None = None) -> float:
    """Evaluate the largest size of the source at ``u = 0``, on a fine grid if not at x.

    The grid is no multiple of any rule's, so a peak of 2e-5 of a line is found.
    """
    source = problem.source
    assert source is not None, "asked for only where there is one"
    if x is None:
        x = test_points(problem, _FINE)
    with torch.no_grad():
        s = source(x, x.new_zeros(len(x), problem.components))
    return s.abs().nan_to_num(0.0, 0.0, 0.0).max().item()
