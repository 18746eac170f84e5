"""What :func:`pinn.solve` is given: refused at the door, or made ready to train."""

import warnings
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any

import numpy as np
import torch

from pinn._backend import dde
from pinn._checks import check_shape
from pinn.forms.conditions import check_conditions, half_started, unfixed
from pinn.methods import far_from_one
from pinn.problem import Problem

__all__ = [
    "check_conditions_are_fixed",
    "check_solvable",
    "fingerprint",
    "make_net",
    "make_optimizer",
]

_VERBS = ("data", "net", "optimizer", "callbacks")
_EXAMPLE = "lambda net, data: torch.optim.Adam(net.parameters(), lr=1e-3)"


def check_solvable(problem: Problem, method: Any, *, exactly: bool) -> None:
    """Refuse what is no problem or no method; say what no condition fixes.

    Args:
        problem: What should be a problem.
        method: What should be a method.
        exactly: Whether a freedom that the conditions leave is an error: for solvers
            of linear systems. Networks pick some solution, and are warned.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If ``exactly`` and something is free, or ``exact`` returns a wrong
            shape.
    """
    if not isinstance(problem, Problem):
        kind = type(problem).__name__
        raise TypeError(
            f"problem is of type {kind}: expected a pinn.Problem, as in "
            "solve(problem, method, ...)"
        )
    if isinstance(method, type):
        name = method.__name__
        raise TypeError(
            f"method is the class {name}: expected an object of it, {name}(...)"
        )
    missing = [verb for verb in _VERBS if not callable(getattr(method, verb, None))]
    if missing and not exactly:
        kind = type(method).__name__
        raise TypeError(
            f"method is of type {kind}, without {missing[0]}(): expected a method such "
            "as Vanilla() or HPVPINN()"
        )
    if problem.exact is not None:
        x = problem.probes()[0]
        check_shape("exact(x)", problem.exact(x), (len(x), problem.components))
    found = None if getattr(method, "hard", False) else _free(problem)
    if found is None:
        return
    if exactly:
        raise ValueError(found)
    warnings.warn(found, stacklevel=4)


def _free(problem: Problem) -> str | None:
    """Say what no condition fixes."""
    count = len(problem.conditions)
    if half_started(problem):
        return (
            "nothing fixes the solution: the equation is of second order in time, and "
            f"of its {count} conditions fewer than two hold at the first time; "
            "expected an IC for the value and an OperatorBC for the velocity"
        )
    freedom = unfixed(problem)
    if freedom is None:
        return None
    return (
        f"nothing fixes the solution: adding {freedom} changes neither the equation "
        f"nor any of the {count} conditions; expected one more "
        "condition, for instance on a value or the mean (pinn.Mean)"
    )


def check_conditions_are_fixed(data: Any) -> None:
    """Refuse a condition whose value learns: DeepXDE keeps what it was at first.

    Args:
        data: The method's data.

    Raises:
        ValueError: If there is one.
    """
    stops = np.cumsum([0, *data.num_bcs]).tolist()
    cached = dde.icbc.DirichletBC, dde.icbc.NeumannBC, dde.icbc.IC
    for k, condition in enumerate(data.bcs):
        if not isinstance(condition, cached):
            continue
        condition.__dict__.setdefault("_arrays_seen", []).append(data.train_x)
        value = condition.func(data.train_x, stops[k], stops[k + 1], None)
        if getattr(value, "requires_grad", False):
            kind = type(condition).__name__
            raise ValueError(
                f"conditions[{k}], a {kind}, has a value that learns, and DeepXDE "
                "would keep its first one: expected an OperatorBC, as OperatorBC("
                "geometry, lambda x, y, X: y[:, :1] - unknown, on_boundary)"
            )


def make_net(
    problem: Problem, method: Any, net: torch.nn.Module | None, seed: int
) -> torch.nn.Module:
    """Make the network, or make a given one fulfil what the method leaves to it.

    Args:
        problem: The problem.
        method: The method.
        net: A network, or None for the method's own.
        seed: Seed of the method's own.

    Returns:
        The network.

    Raises:
        TypeError: If the network is not one of DeepXDE's.
        ValueError: If it is in float32 or misses a hard condition.

    Warns:
        UserWarning: If a given network gets inputs far from the size of one.
    """
    hard = getattr(method, "hard", False)
    if net is None:
        net = method.net(problem, torch.Generator().manual_seed(seed))
    elif not isinstance(net, dde.nn.NN):
        kind = type(net).__name__
        raise TypeError(
            f"net is of type {kind}: expected a deepxde.nn.NN, such as pinn.JetFNN or "
            "deepxde.nn.FNN"
        )
    else:
        _warn_of_scale(problem, net)
        if hard and problem.hard is not None and net._output_transform is None:
            net.apply_output_transform(problem.hard)
    for p in net.parameters():
        if p.dtype != torch.float64:
            raise ValueError(
                f"net has parameters in {p.dtype}: expected torch.float64, in which "
                "pinn computes (net.double())"
            )
    if hard:
        check_conditions(problem, net)
    if problem.unknowns:
        for unknown in problem.unknowns:
            unknown.reset()
        net.unknowns = torch.nn.ModuleList(problem.unknowns)
    return net


def _warn_of_scale(problem: Problem, net: Any) -> None:
    """Say that a given network sees inputs that saturate it, or hardly vary."""
    if hasattr(net, "partition") or net._input_transform is not None:
        return
    if far_from_one(problem):
        lower, upper = (corner.tolist() for corner in problem.bounds)
        warnings.warn(
            f"net gets inputs from {lower} to {upper}, far from the size of one: "
            f"expected net.apply_feature_transform(pinn.BoxFeatures({lower}, {upper}))",
            stacklevel=4,
        )


def make_optimizer(
    make: Callable | None, method: Any, net: torch.nn.Module, data: Any
) -> torch.optim.Optimizer:
    """Make the optimiser.

    Args:
        make: ``make(net, data)``; None is the method's own.
        method: The method.
        net: The network.
        data: The data.

    Returns:
        The optimiser.

    Raises:
        TypeError: If it is none.
    """
    if make is None:
        return method.optimizer(net, data)
    if not callable(make) or isinstance(make, type):
        raise TypeError(f"optimizer is {make!r}: expected a function, as {_EXAMPLE}")
    made = make(net, data)
    if not isinstance(made, torch.optim.Optimizer):
        raise TypeError(
            f"optimizer(net, data) returned {made!r}: expected a torch optimizer, as "
            f"{_EXAMPLE} does"
        )
    return made


def fingerprint(
    problem: Problem, method: Any, data: Any, net: torch.nn.Module, seed: int
) -> dict[str, object]:
    """Say what run this is, so that a checkpoint of another one is refused.

    The residuals of the method's own network before training tell equations, conditions
    and points apart, whatever functions state them.

    Args:
        problem: The problem.
        method: The method.
        data: Its data, before training.
        net: The network.
        seed: The seed.

    Returns:
        Names, counts and sums, comparable by :func:`pinn.checkpoint.load`.
    """
    first = net
    with torch.random.fork_rng(devices=[]):
        if problem.hard is not None or not getattr(method, "hard", False):
            first = method.net(problem, torch.Generator().manual_seed(seed))
    residuals = data.residual_vector(first, method.weights).detach().double()
    waves = torch.arange(len(residuals), dtype=torch.float64).cos().to(residuals)
    exact = 0.0
    if problem.exact is not None:
        exact = problem.exact(problem.probes()[0]).detach().norm().item()
    return {
        "method": type(method).__name__,
        "options": repr(method) if is_dataclass(method) else "",
        "seed": seed,
        "parameters": sum(p.numel() for p in net.parameters()),
        "residuals": [len(residuals), residuals.norm().item(), exact],
        "mixed": [(residuals * waves).sum().item()],
    }
