"""The classical twin: the equation solved by finite elements for every guess."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.optimize
import torch

from pinn.domains.triangulation import Triangulation
from pinn.forms.fem import fem
from pinn.inverse.data import Data, Known, listed
from pinn.inverse.information import Information
from pinn.problem import Problem
from pinn.weak_methods import FEM

__all__ = ["Classical", "classical"]

_STEP = 1e-4  # of the difference quotients; relative where a value is large


@dataclass(frozen=True, eq=False)
class Classical:
    """What least squares on finite elements found.

    Nocedal and Wright 2006, Numerical Optimization, chapter 10.

    Args:
        values: By name.
        information: Fisher information there, and with it the deviations.
        evaluations: Solutions of the equation, those for difference quotients left out.
        seconds: CPU seconds, all included.
    """

    values: dict[str, float]
    information: Information
    evaluations: int
    seconds: float


def classical(
    problem: Problem,
    data: Data | Sequence[Known],
    *,
    elements: int | Sequence | Triangulation = 32,
    degree: int = 2,
) -> Classical:
    r"""Fit the unknowns by nonlinear least squares on finite elements.

    .. math:: \min_\theta \sum_k \frac{(u_\theta(x_k) - y_k)^2}{\sigma_k^2}

    from the same start, with the same knowledge, as a network has: a
    :class:`pinn.inverse.Smoothness` adds the squares of its rows. scipy's
    ``least_squares``: Branch, Coleman and Li 1999, SIAM J. Sci. Comput. 21(1).

    Args:
        problem: A problem that :func:`pinn.fem` can solve, with unknowns.
        data: Measurements, or a list of such and of smoothness.
        elements: As of :class:`pinn.FEM`.
        degree: 1 or 2.

    Returns:
        Values, deviations, and what it took; the unknowns hold the values.

    Raises:
        ValueError: If there are no unknowns or no data, or ``fem`` cannot solve it.

    Example:
        >>> import deepxde as dde
        >>> import torch
        >>> from pinn import Problem
        >>> from pinn.inverse import Data, Unknown
        >>> C, line = Unknown("C", start=1.0), dde.geometry.Interval(0, 1)
        >>> rod = Problem(
        ...     line,
        ...     lambda x, u, p: -C() * p,
        ...     lambda x, u: 1 + 0 * x,
        ...     [dde.icbc.DirichletBC(line, lambda x: 0 * x, lambda x, on: on)],
        ...     unknowns=[C],
        ... )
        >>> x = torch.tensor([[0.25], [0.5]], dtype=torch.float64)
        >>> data = Data(x, x * (1 - x) / 4, sigma=0.01)  # u for C = 2
        >>> round(classical(rod, data, elements=2).values["C"], 6)
        2.0
    """
    known = listed(problem, data)
    mesh, start = FEM(elements).mesh(problem), time.process_time()
    unknowns = problem.unknowns
    for unknown in unknowns:
        unknown.reset()

    def misfit(theta: np.ndarray) -> np.ndarray:
        for unknown, value in zip(unknowns, theta, strict=True):
            unknown.theta.data.fill_(float(value))
        predict = fem(problem, mesh, degree=degree).predict
        off = [
            (predict(one.points.double()) - one.values).flatten() / one.sigma
            if isinstance(one, Data)
            else one.rows()
            for one in known
        ]
        return torch.cat(off).detach().numpy()

    def slopes_at(theta: np.ndarray) -> np.ndarray:
        steps = _STEP * np.diag(np.maximum(1.0, abs(theta)))
        columns = [misfit(theta + h) - misfit(theta - h) for h in steps]
        return np.stack(columns, 1) / (2 * steps.diagonal())

    first = [unknown.theta.item() for unknown in unknowns]
    found = scipy.optimize.least_squares(misfit, first, slopes_at, x_scale="jac")
    misfit(found.x)
    values = torch.tensor([u().item() for u in unknowns], dtype=torch.float64)
    slopes = torch.tensor([u.slope() for u in unknowns], dtype=torch.float64)
    S = torch.as_tensor(found.jac) / slopes
    names = tuple(u.name for u in unknowns)
    return Classical(
        dict(zip(names, values.tolist(), strict=True)),
        Information(names, values, S.T @ S),
        int(found.nfev),
        time.process_time() - start,
    )
