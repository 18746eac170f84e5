"""Solve a problem by a method."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from tqdm.auto import tqdm

from pinn._backend import dde
from pinn._checks import check_count, check_positive
from pinn.fem import fem
from pinn.mesh import Mesh
from pinn.methods import FEM
from pinn.metrics import relative_error, test_points
from pinn.problem import Problem
from pinn.solution import History, Solution

__all__ = ["solve"]

_LOOKS = 40  # how often a run with a time limit looks at its error


class _Watch(dde.callbacks.Callback):
    """Count training time, look at the error, stop in time."""

    def __init__(
        self, problem: Problem, seconds: float | None, iterations: int, progress: bool
    ) -> None:
        super().__init__()
        self.problem, self.seconds, self.iterations = problem, seconds, iterations
        self.every = max(1, iterations // _LOOKS)
        self.rows: list[tuple[float, float, float]] = []
        self.used, self.looked = 0.0, -float("inf")
        self.x = test_points(problem, 4000)
        self.bar = tqdm(total=iterations, disable=not progress)

    def on_train_begin(self) -> None:
        """Start the clock."""
        self.look()
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
            due = over = self.bar_step() % self.every == 0
        if due or over:
            self.look()
        self.started = time.process_time()

    def bar_step(self) -> int:
        """Return the steps so far."""
        return self.model.train_state.step

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
    method: object,
    *,
    net: torch.nn.Module | None = None,
    optimizer: Callable | None = None,
    seconds: float | None = None,
    iterations: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Solution:
    """Solve a problem by a method; an interrupt returns what there is so far.

    Args:
        problem: The problem.
        method: ``Vanilla``, ``HardPINN``, ``CPINN``, ``XPINN``, ``VPINN``, ``HPVPINN``
            or ``FEM`` from ``pinn.methods``, or an object like them.
        net: Network; None is the method's own.
        optimizer: ``optimizer(net, data)``; None is the method's own.
        seconds: Stop after so many CPU seconds of training.
        iterations: Stop after so many steps of the optimiser.
        seed: Seed of the network and of the points.
        progress: Whether to show a bar.

    Returns:
        The solution, with its history.

    Raises:
        TypeError: If ``iterations`` or ``seed`` is not an int.
        ValueError: If neither ``seconds`` nor ``iterations`` is given, or one is not
            positive.

    Example:
        >>> from pinn import HPVPINN, zoo
        >>> solution = solve(zoo.heat(), HPVPINN(2, hidden=(12, 12)), iterations=40)
        >>> solution.error() < 0.1
        True
    """
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
        if net is None:
            net = method.net(problem, torch.Generator().manual_seed(seed))
        made = (optimizer or method.optimizer)(net, data)
        model = dde.Model(data, net)
        model.compile(made, loss_weights=method.weights, verbose=0)
        watch = _Watch(problem, seconds, steps, progress)
        callbacks = [watch, *method.callbacks(seed)]
        try:
            model.train(
                iterations=steps, display_every=10**9, verbose=0, callbacks=callbacks
            )
        except KeyboardInterrupt:
            pass  # return what there is so far
        watch.look()
    count = sum(p.numel() for p in net.parameters())
    return Solution(problem, net, count, watch.used, watch.history(), model)


def _by_elements(problem: Problem, method: FEM) -> Solution:
    """Solve by finite elements."""
    mesh = Mesh(problem.geometry, method.elements)
    found = fem(problem, mesh, degree=method.degree)
    error = float("nan")
    if problem.exact is not None:
        error = relative_error(problem, found.predict, test_points(problem, 4000))
    rows = torch.tensor([[found.seconds, 0.0, error]], dtype=torch.float64)
    history = History(*rows.unbind(1))
    return Solution(problem, found.predict, found.unknowns, found.seconds, history)
