"""Race methods against each other in CPU seconds."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pinn.plot import plot_race
from pinn.problem import Problem
from pinn.solution import Solution
from pinn.solve import solve
from pinn.weak_methods import FEM

__all__ = ["Race", "race"]


@dataclass(frozen=True, eq=False)
class Race:
    """What :func:`pinn.race` found.

    Why several seeds, and finite elements beside them: McGreivy and Hakim 2024, Nat.
    Mach. Intell. 6.

    Args:
        solutions: Per method, one solution per seed.

    Example:
        >>> from pinn import FEM, solve, zoo
        >>> found = Race({"FEM": [solve(zoo.heat(), FEM(8))]})
        >>> found.table().splitlines()[0]
        '| method | error, median | worst | CPU seconds | parameters |'
    """

    solutions: Mapping[str, Sequence[Solution]]

    def table(self) -> str:
        """Tell median error, spread, CPU seconds and parameters.

        Returns:
            A table in Markdown.
        """
        rows = [
            "| method | error, median | worst | CPU seconds | parameters |",
            "|---|---|---|---|---|",
        ]
        for name, runs in self.solutions.items():
            errors = [float(run.history.error[-1]) for run in runs]
            seconds = np.median([run.seconds for run in runs])
            rows.append(
                f"| {name} | {np.median(errors):.1e} | {max(errors):.1e} | "
                f"{seconds:.2g} | {runs[0].parameters} |"
            )
        return "\n".join(rows)

    def plot(self) -> object:
        """Draw error against CPU seconds: median, band, and a line for finite elements.

        Returns:
            A matplotlib figure.
        """
        return plot_race(self.solutions)


def race(
    problem: Problem,
    methods: Mapping[str, object],
    seconds: float,
    seeds: Sequence[int] = (0, 1, 2),
    *,
    progress: bool = False,
) -> Race:
    """Give every method the same CPU seconds, several times; an interrupt ends it.

    Why finite elements belong into every race: McGreivy and Hakim 2024, Nat. Mach.
    Intell. 6.

    Args:
        problem: The problem, with an exact solution.
        methods: Methods by name.
        seconds: CPU seconds per run.
        seeds: One run per seed; finite elements run once.
        progress: Whether to show a bar per run.

    Returns:
        All solutions.

    Raises:
        ValueError: If there is no method or no seed, or no exact solution.
        KeyboardInterrupt: If it was interrupted before the end of the first run.

    Warns:
        UserWarning: If it was interrupted: in which run, which is left out.

    Example:
        >>> from pinn import FEM, HPVPINN, zoo
        >>> methods = {"FEM": FEM(8), "VPINN": HPVPINN(1, hidden=(6,))}
        >>> found = race(zoo.heat(), methods, seconds=0.2, seeds=[0])
        >>> len(found.table().splitlines())
        4
    """
    if not methods or not seeds:
        raise ValueError(
            f"there are {len(methods)} methods and {len(seeds)} seeds: expected some"
        )
    if problem.exact is None:
        raise ValueError("the problem has no exact solution: expected exact=...")
    found: dict[str, list[Solution]] = {}
    for name, method in methods.items():
        own = seeds[:1] if isinstance(method, FEM) else seeds
        for seed in own:
            one = solve(problem, method, seconds=seconds, seed=seed, progress=progress)
            if one.interrupted:
                return Race(_whole(found, name, seed))
            found.setdefault(name, []).append(one)
    return Race(found)


def _whole(
    found: dict[str, list[Solution]], name: str, seed: int
) -> dict[str, list[Solution]]:
    """Return the runs before an interrupted one; without any there is no race."""
    if not found:
        raise KeyboardInterrupt
    warnings.warn(
        f"race was interrupted in {name!r}, seed {seed}: that run and what would "
        "follow are left out",
        stacklevel=3,
    )
    return found
