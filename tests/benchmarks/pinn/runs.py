"""Runs of the benchmark of ``pinn`` that are told by their error: ``methods.py``."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from pinn import (
    CPINN,
    HPVPINN,
    RAD,
    Conservative,
    HardConstraint,
    HardPINN,
    Jet,
    JetFNN,
    LevenbergMarquardt,
    PeriodicFeatures,
    Problem,
    Solution,
    SSBroyden,
    Strong,
    SubdomainFNN,
    Wanted,
    solve,
    zoo,
)
from pinn._backend import dde
from pinn.forms.collocation import Collocation

Row = dict[str, object]
POINTS = 6000  # of the Burgers run, 200 more on the border
MANY = 16_000  # of the same after 200 CPU seconds


def in_turns(ways: dict[str, Callable[[], object]], rounds: int = 7) -> Row:
    """Median CPU milliseconds of each way, taken in turns."""
    for way in ways.values():
        way()
    times = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.process_time()
            way()
            times[name].append(1e3 * (time.process_time() - start))
    return {name: statistics.median(found) for name, found in times.items()}


class Seeds:
    """A row of several runs, each written as soon as it is there.

    Args:
        run: Makes the record of one seed.
        seeds: The seeds.
    """

    def __init__(self, run: Callable[[int], Row], seeds: range) -> None:
        self.run, self.seeds = run, seeds

    def missing(self, row: Row) -> list[int]:
        """Name the seeds that a row lacks."""
        return [s for s in self.seeds if str(s) not in row.get("runs", {})]

    def add(self, row: Row, seed: int) -> Row:
        """Run a seed, and take the medians anew."""
        runs = row.get("runs", {}) | {str(seed): self.run(seed)}
        names = [n for n, v in runs[str(seed)].items() if isinstance(v, float)]
        median = {n: statistics.median(r[n] for r in runs.values()) for n in names}
        worst = {n: max(r[n] for r in runs.values()) for n in names}
        return {"median": median, "worst": worst, "runs": runs}


def accuracy(
    problem: Problem, method: object, seconds: float, seeds: range, **options: object
) -> Seeds:
    """Errors of several runs of the same length."""

    def run(seed: int) -> Row:
        return record_of(solve(problem, method, seconds=seconds, seed=seed, **options))

    return Seeds(run, seeds)


def record_of(found: Solution) -> Row:
    """Put a run into numbers."""
    return {
        "error": found.error(),
        "cpu_seconds": found.seconds,
        "parameters": found.parameters,
        "mass_defect": found.mass_defect(),
        "curve_seconds": [round(t, 2) for t in found.history.seconds.tolist()],
        "curve_error": found.history.error.tolist(),
    }


class Errors(dde.callbacks.Callback):
    """Measure an error whenever another stretch of CPU seconds has passed."""

    def __init__(self, every: float, error: Callable[[torch.nn.Module], float]):
        super().__init__()
        self.every, self.error, self.found = every, error, {}

    def on_train_begin(self) -> None:
        self.started = time.process_time()

    def on_epoch_end(self) -> None:
        mark = self.every * (len(self.found) + 1)
        if time.process_time() - self.started >= mark:
            self.found[mark] = self.error(self.model.net)
            print(f"  {mark:.0f} s: {self.found[mark]:.2e}", flush=True)


class Growing(RAD):
    """RAD with more points after a while: few are faster, but fit between them less."""

    def __init__(self, after: float, many: int, seed: int) -> None:
        super().__init__(10, candidates=60_000, seed=seed)
        self.after, self.many = after, many

    def on_train_begin(self) -> None:
        self.started = time.process_time()

    def on_epoch_end(self) -> None:
        if self.model.train_state.step % self.period:
            return
        if time.process_time() - self.started > self.after:
            data = self.model.data
            data.replace_with_anchors(data.problem.geometry.random_points(self.many))
        super().on_epoch_end()


def burgers(seed: int) -> Row:
    """Hard constraint, 4 x 20, SSBroyden; error on the 256 x 100 grid of Raissi."""
    problem = zoo.burgers()
    axes = [torch.linspace(-1, 1, 256), torch.linspace(0, 0.99, 100)]
    x = torch.cartesian_prod(*[axis.double() for axis in axes])
    exact = problem.exact(x)

    def error(net: torch.nn.Module) -> float:
        with torch.no_grad():
            return ((net(x) - exact).norm() / exact.norm()).item()

    errors = Errors(50.0, error)

    class Watched(HardPINN):
        def callbacks(self, seed: int) -> list:
            return [Growing(200, MANY, seed), errors]

    found = solve(
        problem,
        Watched(POINTS, hidden=(20, 20, 20, 20)),
        optimizer=by_broyden,
        seconds=900,
        seed=seed,
    )
    row = record_of(found)
    steps = found.model.opt.state[next(found.net.parameters())]["n_iter"]
    row |= {"error": error(found.net), "error_150s": errors.found[150.0]}
    row |= {
        "curve_seconds": list(errors.found),
        "curve_error": [*errors.found.values()],
    }
    return row | {"iterations": steps, "points": [POINTS, MANY]}


class WrongFlux(Conservative):
    """The published program's flux: ``u_xx`` instead of ``u_x`` on one side."""

    def _wanted_at_interfaces(self) -> Wanted:
        return self.problem.wanted

    def _coupling(self, left: Jet, right: Jet) -> torch.Tensor:
        nu = 0.01 / torch.pi
        wrong = right.u**2 / 2 - nu * right.H[..., 0, 0]
        return left.u**2 / 2 - nu * left.p[..., 0] - wrong


def cpinn(kind: type[Conservative]) -> Callable[[int], Row]:
    """Cuts of the paper, the conditions fulfilled, a wider network around the shock."""

    class Own(CPINN):
        def data(self, problem: Problem) -> Conservative:
            return self._data(kind, problem)

        def callbacks(self, seed: int) -> list:
            return [Growing(100, 10_000, seed)]

    def run(seed: int) -> Row:
        problem = zoo.burgers()
        method = Own([[-0.6, 0.2, 0.5]], 4000, hard=True)
        sizes = [[2, 10, 10, 1], [2, 20, 20, 20, 1], [2, 10, 10, 1], [2, 10, 10, 1]]
        generator = torch.Generator().manual_seed(seed)
        partition = method.partition(problem)
        net = SubdomainFNN(partition, sizes, compiled=True, generator=generator)
        net.apply_output_transform(problem.hard)
        found = solve(
            problem,
            method,
            net=net,
            optimizer=by_broyden,
            seconds=600,
            seed=seed,
        )
        data = found.model.data
        return record_of(found) | {
            "flux_jump": found.flux_jump(),
            "losses": [
                b.square().mean().item()
                for b in data.blocks(net, data.points(next(net.parameters())))
            ],
        }

    return run


def damped(problem: Problem, viscosity: float = 2e-3) -> Problem:
    """Choose the entropy solution by a little viscosity in the flux."""

    def flux(x: torch.Tensor, u: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        F = problem.flux(x, u, p)
        return torch.stack([F[..., 0] - viscosity * p[..., 0], F[..., 1]], dim=-1)

    return Problem(
        problem.geometry, flux, conditions=problem.conditions, exact=problem.exact
    )


@dataclass(frozen=True)
class PeriodicPINN(HardPINN):
    """Periodic by its features, so that only the initial value needs a constraint."""

    def net(self, problem: Problem, generator: torch.Generator) -> torch.nn.Module:
        net = JetFNN([3, *self.hidden, 1], generator=generator)
        net.apply_feature_transform(PeriodicFeatures(0, period=2.0))
        net.apply_output_transform(problem.hard)
        return net


def fronts() -> Problem:
    """Allen and Cahn's equation, its initial value fulfilled by construction."""
    problem = zoo.allen_cahn()
    start = HardConstraint(
        lambda x: x[:, :1] ** 2 * torch.cos(torch.pi * x[:, :1]), lambda x: x[:, 1:]
    )
    given = problem.geometry, problem.flux, problem.source, problem.conditions
    return Problem(*given, exact=problem.exact, hard=start)


# Weights of a mean over the tests: with them these rows were measured.
WEAK = HPVPINN(
    [16, 8],
    degree=3,
    points=6,
    hidden=(20, 20),
    hats=True,
    weights=[1 / 3200, 1, 1],
)


def by_broyden(net: torch.nn.Module, data: object) -> SSBroyden:
    """Train by SSBroyden whatever the method would take."""
    return SSBroyden(net.parameters(), max_iter=50)


@dataclass(frozen=True)
class ByLevenberg(HPVPINN):
    """hp-VPINN with the optimiser that was its default when a row was measured."""

    def optimizer(self, net: torch.nn.Module, data: Collocation) -> LevenbergMarquardt:
        return LevenbergMarquardt(
            net.parameters(), lambda: data.residual_vector(net, self.weights)
        )


def by_gauss_newton(control: object) -> Callable[..., LevenbergMarquardt]:
    """Train by Levenberg-Marquardt with geodesic acceleration and a rule."""

    def make(net: torch.nn.Module, data: Strong) -> LevenbergMarquardt:
        return LevenbergMarquardt(
            net.parameters(),
            lambda: data.residual_vector(net),
            geodesic=True,
            control=control,
        )

    return make
