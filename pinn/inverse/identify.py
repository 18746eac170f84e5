"""Find unknowns by training a network with the equation and the data."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pinn.inverse.data import Data, Known, with_data
from pinn.problem import Problem
from pinn.solution import Solution
from pinn.solve import solve

__all__ = ["Identified", "identify"]


@dataclass(frozen=True, eq=False)
class Identified:
    """What several runs found: published tables are one draw each, this is a spread.

    Raissi, Perdikaris and Karniadakis 2019, J. Comput. Phys. 378, section 4.

    Args:
        names: Of the unknowns.
        values: Per seed. Shape ``(seeds, unknowns)``.
        solutions: Per seed.
    """

    names: tuple[str, ...]
    values: Tensor
    solutions: Sequence[Solution]

    @property
    def median(self) -> dict[str, float]:
        """Median over the seeds, by name."""
        return dict(zip(self.names, self.values.median(0).values.tolist(), strict=True))

    @property
    def interval(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest value over the seeds, by name.

        What training leaves open, the data held fixed; what noise leaves open is
        :func:`pinn.inverse.information`.
        """
        low, high = self.values.amin(0).tolist(), self.values.amax(0).tolist()
        pairs = zip(low, high, strict=True)
        return dict(zip(self.names, pairs, strict=True))


def identify(
    problem: Problem,
    data: Data | Sequence[Known],
    method: Any,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    optimizer: Callable | None = None,
    seconds: float | None = None,
    iterations: int | None = None,
) -> Identified:
    """Train network and unknowns together, once per seed; an interrupt ends it.

    The loss of each list of data is the mean of ``(u - value)^2``, last in
    ``method.weights``. Raissi, Perdikaris and Karniadakis 2019, J. Comput. Phys. 378,
    section 4.

    Args:
        problem: The problem, with unknowns.
        data: Measurements of one component, or a list of such and of smoothness.
        method: As of :func:`pinn.solve`, but not finite elements: for those see
            :func:`pinn.inverse.classical`.
        seeds: Seeds of the networks and points.
        optimizer: As of :func:`pinn.solve`.
        seconds: CPU seconds of a run.
        iterations: Steps of a run.

    Returns:
        Values and solutions of all seeds; of those before an interrupt.

    Raises:
        TypeError: If the method is none of a network.
        ValueError: If there are no unknowns, data or seeds, and as ``solve`` does.

    Warns:
        UserWarning: If it was interrupted: in which run, which is left out unless it is
            the first.

    Example:
        >>> import deepxde as dde
        >>> import torch
        >>> from pinn import HardPINN, Problem
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
        >>> identify(rod, data, method, iterations=2).values.shape  # of three seeds
        torch.Size([3, 1])
    """
    if not seeds:
        raise ValueError("seeds is empty: expected some")
    if not hasattr(method, "optimizer"):
        raise TypeError(
            f"method is of type {type(method).__name__}: expected a network's; finite "
            "elements are fitted by pinn.inverse.classical"
        )
    whole = with_data(problem, data)
    found: list[Solution] = []
    for seed in seeds:
        options: dict = {"seconds": seconds, "iterations": iterations, "seed": seed}
        one = solve(whole, method, optimizer=optimizer, **options)
        if not one.interrupted or not found:
            found.append(one)
        if one.interrupted:
            warnings.warn(
                f"identify was interrupted in seed {seed}: there are {len(found)} runs "
                f"of {len(seeds)}{', cut short' if one in found else ''}",
                stacklevel=2,
            )
            break
    names = tuple(unknown.name for unknown in problem.unknowns)
    values = [[solution.unknowns[name] for name in names] for solution in found]
    return Identified(names, torch.tensor(values, dtype=torch.float64), found)
