"""Solve a problem by a method."""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from pinn._backend import dde
from pinn._checks import check_count, check_positive
from pinn.blind_spots import warn_of_jumps, warn_of_quadrature
from pinn.checkpoint import load, put_back, save
from pinn.forms.fem import fem
from pinn.metrics import relative_error, test_points
from pinn.prepare import (
    check_conditions_are_fixed,
    check_solvable,
    fingerprint,
    make_net,
    make_optimizer,
)
from pinn.problem import Problem
from pinn.solution import History, Solution
from pinn.weak_methods import FEM

__all__ = ["solve"]

_LOOKS = 40  # how often a run with a time limit looks at its error


class _Watch(dde.callbacks.Callback):
    """Count training time, look at the error, stop in time, keep checkpoints."""

    def __init__(
        self,
        problem: Problem,
        seconds: float | None,
        iterations: int,
        progress: bool,
        path: Path | None,
    ) -> None:
        super().__init__()
        self.problem, self.seconds, self.iterations = problem, seconds, iterations
        self.every = max(1, iterations // _LOOKS)
        self.rows: list[tuple[float, float, float]] = []
        self.used, self.looked = 0.0, -float("inf")
        self.x = test_points(problem, 4000)
        self.bar = tqdm(total=iterations, disable=not progress)
        self.about: dict[str, object] = {}
        self.path = path
        self.kept: dict | None = None

    def resume(self, model: Any) -> None:
        """Go on from the checkpoint, if there is one; first of all load it."""
        if self.path is None or not self.path.exists():
            return
        self.kept = state = load(self.path, model, self.about)
        run = state["run"]
        self.used, self.looked = run["used"], run["looked"]
        self.rows = run["rows"]
        self.bar.update(model.train_state.step)

    def remaining(self, model: Any) -> int:
        """Tell how many steps are left to do."""
        if self.seconds is not None and self.used >= self.seconds:
            return 0
        return max(0, self.iterations - model.train_state.step)

    def on_train_begin(self) -> None:
        """Start the clock."""
        if self.kept is None:
            self.look()
        self.started = time.process_time()

    def on_epoch_begin(self) -> None:
        """Put back, once, what other callbacks set at the start."""
        if self.kept is not None:
            put_back(self.kept, self.model)
            self.kept = None
            self.started = time.process_time()

    def on_epoch_end(self) -> None:
        """Stop the clock, look if it is time, start it again."""
        self.used += time.process_time() - self.started
        self.bar.update()
        if self.seconds is not None:
            due = self.used - self.looked >= self.seconds / _LOOKS
            over = self.used >= self.seconds
            self.model.stop_training = self.model.stop_training or over
        else:
            due = over = self.model.train_state.step % self.every == 0
        if due or over:
            self.look()
        self.started = time.process_time()

    def look(self) -> None:
        """Note time, loss and error."""
        self.looked = self.used
        data, net = self.model.data, self.model.net
        weights = self.model.loss_weights
        loss = data.residual_vector(net, weights).square().sum().item()
        error = float("nan")
        if self.problem.exact is not None:
            error = relative_error(self.problem, net, self.x)
        self.rows.append((self.used, loss, error))

    def history(self) -> History:
        """Return what was noted."""
        self.bar.close()
        return History(*torch.tensor(self.rows, dtype=torch.float64).unbind(1))


class _Keeper(dde.callbacks.Callback):
    """Write a checkpoint after each look: the last callback, when all is done."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self.watch, self.rows = watch, len(watch.rows)

    def on_epoch_end(self) -> None:
        """Write, if there was a look."""
        watch = self.watch
        if watch.path is not None and len(watch.rows) != self.rows:
            self.rows = len(watch.rows)
            run = {"used": watch.used, "looked": watch.looked, "rows": watch.rows}
            save(watch.path, self.model, watch.about | run)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators that DeepXDE draws from; put them back after."""
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        dde.config.set_random_seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


def solve(  # noqa: PLR0913 - the options of a run
    problem: Problem,
    method: Any,
    *,
    net: torch.nn.Module | None = None,
    optimizer: Callable | None = None,
    seconds: float | None = None,
    iterations: int | None = None,
    seed: int = 0,
    progress: bool = False,
    checkpoint: str | os.PathLike | None = None,
) -> Solution:
    """Solve a problem by a method; an interrupt returns what there is so far.

    Training is that of DeepXDE: Lu, Meng, Mao and Karniadakis 2021, SIAM Rev. 63(1).

    Args:
        problem: The problem.
        method: ``Vanilla``, ``HardPINN``, ``CPINN``, ``XPINN``, ``VPINN``, ``HPVPINN``
            or ``FEM``, or an object like them.
        net: Network; None is the method's own.
        optimizer: ``optimizer(net, data)``; None is the method's own.
        seconds: Stop after so many CPU seconds of training.
        iterations: Stop after so many steps of the optimiser.
        seed: Seed of the network and of the points.
        progress: Whether to show a bar.
        checkpoint: File that is written at each of about 40 looks at the error. If it
            exists, the run goes on from there: the same losses and weights as without
            a break, bit for bit (with ``iterations``). Finite elements need none.

    Returns:
        The solution, with its history.

    Raises:
        TypeError: If ``iterations`` or ``seed`` is not an int, or the problem, method,
            network or optimiser is of another kind.
        ValueError: If neither ``seconds`` nor ``iterations`` is given, or one is not
            positive, ``checkpoint`` is of another run, a network is not in float64, or
            it misses a condition that ``hard`` leaves to it.

    Warns:
        UserWarning: If no condition fixes the solution, or the flux jumps where the
            method does not look, or a quadrature misses the source, or a second
            derivative in time has one condition at the first time only.

    Example:
        >>> from pinn import HPVPINN, zoo
        >>> solution = solve(zoo.heat(), HPVPINN(2, hidden=(12, 12)), iterations=10)
        >>> solution.error() < 0.1
        True
    """
    check_solvable(problem, method, exactly=isinstance(method, FEM))
    if isinstance(method, FEM):
        return _by_elements(problem, method)
    if seconds is None and iterations is None:
        raise ValueError("neither seconds nor iterations given: expected one of them")
    if seconds is not None:
        check_positive("seconds", seconds)
    steps = 10**7 if iterations is None else iterations
    check_count("iterations", steps, least=1)
    check_count("seed", seed, least=0)
    with _seeded(seed):
        data = method.data(problem)
        check_conditions_are_fixed(data)
        warn_of_jumps(problem, data)
        warn_of_quadrature(problem, data)
        net = make_net(problem, method, net, seed)
        made = make_optimizer(optimizer, method, net, data)
        about = fingerprint(problem, method, data, net, seed)
        model = dde.Model(data, net)
        model.compile(made, loss_weights=method.weights, verbose=0)
        path = None if checkpoint is None else _writable(Path(checkpoint))
        watch = _Watch(problem, seconds, steps, progress, path)
        watch.about = about
        watch.resume(model)
        stopped = _train(model, watch, method.callbacks(seed))
    count = sum(p.numel() for p in net.parameters())
    history, known = watch.history(), problem.known()
    return Solution(problem, net, count, watch.used, history, model, known, stopped)


def _writable(path: Path) -> Path:
    """Refuse a file in no folder now, not after minutes of training."""
    if not path.parent.is_dir():
        raise ValueError(f"checkpoint is {path}: expected a file in an existing folder")
    return path


def _train(model: Any, watch: _Watch, callbacks: list) -> bool:
    """Train for what is left to do; an interrupt ends it, and is told."""
    steps = watch.remaining(model)
    watch.set_model(model)
    callbacks = [watch, *callbacks, _Keeper(watch)]
    stopped = False
    try:
        if steps:
            model.train(
                iterations=steps, display_every=10**9, verbose=0, callbacks=callbacks
            )
    except KeyboardInterrupt:
        stopped = True  # return what there is so far
    watch.look()
    return stopped


def _by_elements(problem: Problem, method: FEM) -> Solution:
    """Solve by finite elements."""
    mesh = method.mesh(problem)
    warn_of_jumps(problem, mesh)
    found = fem(problem, mesh, degree=method.degree)
    error = float("nan")
    if problem.exact is not None:
        error = relative_error(problem, found.predict, test_points(problem, 4000))
    rows = torch.tensor([[found.seconds, 0.0, error]], dtype=torch.float64)
    history = History(*rows.unbind(1))
    known = problem.known()
    return Solution(
        problem, found.predict, found.unknowns, found.seconds, history, unknowns=known
    )
