"""Read a solution that :meth:`pinn.Solution.save` has written."""

import os
from pathlib import Path
from typing import Any

import torch

from pinn.checkpoint import read
from pinn.forms.fem import zero_function
from pinn.metrics import test_points
from pinn.prepare import check_solvable, make_net
from pinn.problem import Problem
from pinn.slabs import Slabs, slab, times_of
from pinn.solution import WITNESSES, History, Solution
from pinn.weak_methods import FEM

__all__ = ["load"]

_PARTS = ("witness", "state", "history", "seconds")


def load(
    path: str | os.PathLike,
    problem: Problem,
    method: Any,
    *,
    net: torch.nn.Module | None = None,
) -> Solution:
    """Read a solution; problem, method and network are stated as for ``solve``.

    Nothing in the file is run: it holds numbers only. As in DeepXDE's own restore (Lu,
    Meng, Mao and Karniadakis 2021, SIAM Rev. 63(1)), but what does not belong together
    is refused.

    A march is read like any solution: how its time was cut stands in the file. Of an
    interrupted one, the solution's problem ends where it was interrupted.

    Args:
        path: A file of :meth:`pinn.Solution.save`.
        problem: The problem that was solved, all of its time.
        method: The method that solved it.
        net: A network like the one that was given to ``solve``; None if there was none.

    Returns:
        The solution, without its ``model``.

    Raises:
        TypeError: If the problem, method or network is of another kind.
        ValueError: If the file cannot be read or is of something else, or the network
            does not take its weights, or gives other values with them.

    Example:
        >>> import tempfile
        >>> from pinn import FEM, solve, zoo
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     solve(zoo.heat(), FEM(8)).save(folder + "/heat.pt")
        ...     again = load(folder + "/heat.pt", zoo.heat(), FEM(8))
        >>> again.error() < 0.01
        True
    """
    check_solvable(problem, method, exactly=isinstance(method, FEM))
    kept = read(Path(path), "solution", _PARTS, "Solution.save")
    made: Any
    if "edges" in kept["state"]:
        made, problem = _marched(path, kept, problem, method, net)
    elif isinstance(method, FEM):
        made = zero_function(problem, method.mesh(problem), method.degree)
    else:
        made = make_net(problem, method, net, seed=0)
    try:
        made.load_state_dict(kept["state"])
    except RuntimeError as error:
        why = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"solution {path} does not fit this problem and {method!r}: {why}; "
            "expected the method that solved it, and net= if there was one"
        ) from error
    seconds, history = kept["seconds"], History(*kept["history"])
    count = sum(t.numel() for t in _learned(made))
    known = problem.known()
    stopped = kept.get("interrupted", False)
    solution = Solution(
        problem, made, count, seconds, history, unknowns=known, interrupted=stopped
    )
    _check_values(solution, kept["witness"], path)
    return solution


def _marched(
    path: Any, kept: dict, problem: Problem, method: Any, net: Any
) -> tuple[Slabs, Problem]:
    """Make networks for the slabs of a march, and the problem that it solved."""
    edges, (start, end) = kept["state"]["edges"].tolist(), times_of(problem)
    stopped = kept.get("interrupted", False) and edges[-1] <= end
    if isinstance(method, FEM) or net is not None:
        given = "FEM" if isinstance(method, FEM) else "net="
        raise ValueError(
            f"solution {path} is of a march, with a network a slab, and {given} is "
            "given: expected the method that made them, and no net="
        )
    if edges[0] != start or not (stopped or edges[-1] == end):
        raise ValueError(
            f"solution {path} is from time {edges[0]:g} to {edges[-1]:g}, the problem "
            f"from {start:g} to {end:g}: expected the problem that was marched"
        )
    nets = [
        make_net(slab(problem, a, b, None), method, None, seed=0)
        for a, b in zip(edges, edges[1:], strict=False)
    ]
    if edges[-1] < end:
        problem = slab(problem, start, edges[-1], None)
    return Slabs(nets, edges), problem


def _learned(made: Any) -> list[torch.Tensor]:
    """List parameters, or a finite-element function's unknowns."""
    if isinstance(made, torch.nn.Module):
        return list(made.parameters())
    return list(made.state_dict().values())


def _check_values(solution: Solution, kept: torch.Tensor, path: Any) -> None:
    """Refuse a solution that is not the one that was saved."""
    found = solution.predict(test_points(solution.problem, WITNESSES))
    if found.shape == kept.shape and torch.allclose(found, kept, rtol=1e-7, atol=1e-9):
        return
    raise ValueError(
        f"solution {path} gives {found.flatten()[0].item():.6g} with this problem and "
        f"network where it gave {kept.flatten()[0].item():.6g}: expected the same "
        "domain, hard constraint, features and activation"
    )
