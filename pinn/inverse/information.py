r"""What data can tell of unknowns: Fisher information.

With the sensitivities ``S = du / dtheta`` at the points of measurement and independent
noise of deviation ``sigma``,

.. math:: I = \frac{S^T S}{\sigma^2}, \qquad
          \operatorname{cov} \hat\theta \succeq I^{-1}

for every unbiased estimate: Rao 1945; Cramer 1946. A network's sensitivities follow
from its own equations, linearised: if ``theta`` moves, weights move so that residuals
and conditions stay met.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from pinn._backend import dde
from pinn.inverse.data import Data, Known, listed
from pinn.inverse.smoothness import SmoothnessLoss
from pinn.optimizers.jacobian import jacobian
from pinn.solution import Solution

__all__ = ["Information", "information"]

_CUT = 1e-9  # singular values of the network's equations below this share are dropped


@dataclass(frozen=True, eq=False)
class Information:
    """Fisher information of some unknowns, and what follows from it.

    Rao 1945, Bull. Calcutta Math. Soc. 37; Cramer 1946.

    Args:
        names: Of the unknowns.
        values: Where it was computed. Shape ``(unknowns,)``.
        fisher: The matrix. Shape ``(unknowns, unknowns)``.
    """

    names: tuple[str, ...]
    values: Tensor
    fisher: Tensor

    @property
    def deviations(self) -> Tensor:
        """Least standard deviations of any unbiased estimate. Shape ``(unknowns,)``."""
        return self._covariance().diagonal().sqrt()

    @property
    def identifiability(self) -> float:
        """Relative deviation of the worst combination of the unknowns.

        In relative units, so that sizes do not matter; infinite if the data leave a
        combination free.
        """
        relative = self.fisher * self.values * self.values[:, None]
        least, most = torch.linalg.eigvalsh(relative)[[0, -1]].tolist()
        singular = least <= len(self.names) * 2e-14 * most
        return float("inf") if singular else least**-0.5

    def _covariance(self) -> Tensor:
        """Invert; infinite if the data leave a combination free."""
        if self.identifiability == float("inf"):
            return torch.full_like(self.fisher, torch.inf)
        return torch.linalg.inv(self.fisher)


def information(solution: Solution, data: Data | Sequence[Known]) -> Information:
    """Compute the Fisher information of a network's unknowns.

    Start and ends must be known, by conditions or a hard constraint: what is not known
    of them would count as known. A :class:`pinn.inverse.Smoothness` counts as data, the
    deviations are the posterior's then. Rao 1945, Bull. Calcutta Math. Soc. 37; Cramer
    1946.

    Args:
        solution: What ``solve`` or ``identify`` found, a network.
        data: Measurements, made or planned: their values are not read. Or a list.

    Returns:
        The information, at the values that the solution has found.

    Raises:
        ValueError: If the solution has no unknowns, no model or no conditions but the
            data, or the data do not fit.

    Example:
        >>> import deepxde as dde
        >>> import torch
        >>> from pinn import HardPINN, Problem, solve
        >>> from pinn.inverse import Data, Unknown
        >>> C, line = Unknown("C", start=1.0), dde.geometry.Interval(0, 1)
        >>> rod = Problem(
        ...     line,
        ...     lambda x, u, p: -C() * p,
        ...     lambda x, u: 1 + 0 * x,
        ...     hard=lambda x, y: x * (1 - x) * y,
        ...     unknowns=[C],
        ... )
        >>> x = torch.tensor([[0.25], [0.5]], dtype=torch.float64)
        >>> data = Data(x, x * (1 - x) / 4, sigma=0.01)  # u for C = 2
        >>> method = HardPINN(20, hidden=(4,), resample=None)
        >>> solution = solve(rod, method, iterations=2)
        >>> bool(information(solution, data).deviations > 0)
        True
    """
    problem = solution.problem
    known = listed(problem, data)
    model: Any = solution.model
    if model is None:
        raise ValueError("solution has no model: expected a network just trained")
    given = [c for c in problem.conditions if not _measured(c)]
    if problem.hard is None and not given:
        raise ValueError(
            "the problem has no conditions but its data: start and ends are unknown as "
            "well, and deviations would be too small; expected conditions or hard=..."
        )
    for unknown in problem.unknowns:
        unknown.set(solution.unknowns[unknown.name])
    net = cast(torch.nn.Module, solution.net)
    learned = [unknown.theta for unknown in problem.unknowns]
    weights = [p for p in net.parameters() if all(p is not t for t in learned)]
    slopes = torch.tensor([unknown.slope() for unknown in problem.unknowns])
    counts = _without_data(model.data, net)

    def equations() -> Tensor:
        return model.data.residual_vector(net, counts)

    J = jacobian(equations, [*weights, *learned], 10**9)[1]
    count = len(learned)
    options = {"rcond": _CUT, "driver": "gelsd"}
    moves = -torch.linalg.lstsq(J[:, :-count], J[:, -count:], **options).solution
    fisher = J.new_zeros(count, count)
    for one in known:
        if isinstance(one, Data):

            def values(one: Data = one) -> Tensor:
                return net(one.points.to(J))[:, one.component]

            S = jacobian(values, weights, 10**9)[1] @ moves / slopes.to(J) / one.sigma
        else:
            S = jacobian(one.rows, learned, 10**9)[1].to(J) / slopes.to(J)
        fisher += S.T @ S
    found = [solution.unknowns[u.name] for u in problem.unknowns]
    names = tuple(u.name for u in problem.unknowns)
    return Information(names, torch.tensor(found, dtype=J.dtype), fisher)


def _without_data(data: Any, net: torch.nn.Module) -> list[float]:
    """Weigh every loss by its number of rows, and measurements by nothing."""
    like = next(net.parameters())
    rows = [float(len(b)) for b in data.blocks(net, data.points(like))]
    kept = [0.0 if _measured(bc) else 1.0 for bc in data.bcs]
    return rows + [k * n for k, n in zip(kept, data.num_bcs, strict=True)]


def _measured(condition: Any) -> bool:
    """Tell data from what the equation's solution must meet."""
    return type(condition) in (dde.icbc.PointSetBC, SmoothnessLoss)
