"""FastVPINNs' own accuracy tests by the hp-VPINN, and a step of theirs: ``methods.py``.

The tests (``tests/integration`` of FastVPINNs 1.0.2, unit square, 8 x 8 elements) ask
for a root mean square and a mean absolute error below 0.06 on 100 x 100 points. Their
network is 3 x 30, trained by Adam on the settings of the tests; ours has its defaults,
so fewer and larger elements, other points and another optimiser: what is compared is
what a user of either gets. Finite elements stand beside both.
"""

import json
import statistics
import subprocess
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pinn import (
    FEM,
    HPVPINN,
    FourierFeatures,
    JetFNN,
    Mesh,
    Problem,
    Variational,
    gauss_lobatto,
    solve,
    zoo,
)
from pinn._backend import dde
from tests.benchmarks.pinn.runs import ByLevenberg, Row

PEER = Path(__file__).parent / "peers" / "fastvpinns_own.py"
TOLERANCE = 6e-2
LIMIT = 20.0  # seconds, after which a test counts as not passed
SEEDS = range(3)
pi, sin, cos = torch.pi, torch.sin, torch.cos


def waves() -> Problem:
    """FastVPINNs' test: -lap u = s, u = -sin(4 pi x) sin(4 pi y) on the unit square."""
    problem = zoo.helmholtz_2d()

    def exact(x: Tensor) -> Tensor:
        return -problem.exact(x)

    return Problem(
        problem.geometry,
        lambda x, u, p: -p,
        lambda x, u: 32 * pi**2 * exact(x),
        problem.conditions,
        exact,
        hard=problem.hard,
    )


def layer() -> Problem:
    """FastVPINNs' test: -lap u + (0.2, -0.1) grad u = s, u = tanh(pi x) cos(2 pi y)."""
    wind = torch.tensor([0.2, -0.1], dtype=torch.float64)

    def exact(x: Tensor) -> Tensor:
        return torch.tanh(pi * x[:, :1]) * cos(2 * pi * x[:, 1:])

    def source(x: Tensor, u: Tensor) -> Tensor:
        th, angle = torch.tanh(pi * x[:, :1]), 2 * pi * x[:, 1:]
        rise = pi * (1 - th**2)
        bend = -2 * pi * th * rise - 4 * pi**2 * th
        return (0.2 * rise - bend) * cos(angle) + 0.2 * pi * th * sin(angle)

    return _on_the_square(lambda x, u, p: wind.to(x) * u[..., None] - p, source, exact)


def hill() -> Problem:
    """FastVPINNs' test: lap u + u = f, u = (x + y) sin(pi x) sin(pi y)."""

    def exact(x: Tensor) -> Tensor:
        return x.sum(1, keepdim=True) * sin(pi * x).prod(1, keepdim=True)

    def source(x: Tensor, u: Tensor) -> Tensor:
        a, b = pi * x[:, :1], pi * x[:, 1:]
        slopes = 2 * pi * (cos(b) * sin(a) + cos(a) * sin(b))
        return u - slopes - (1 - 2 * pi**2) * exact(x)

    return _on_the_square(lambda x, u, p: -p, source, exact)


def _on_the_square(flux: Callable, source: Callable, exact: Callable) -> Problem:
    """State a problem whose values are given on the border."""
    square = dde.geometry.Rectangle([0, 0], [1, 1])
    border = dde.icbc.DirichletBC(
        square, lambda x: exact(torch.as_tensor(x)).numpy(), lambda x, on: on
    )
    return Problem(square, flux, source, [border], exact)


TESTS = {"Poisson": waves, "CD2D": layer, "Helmholtz": hill}


class Until(dde.callbacks.Callback):
    """Stop when both errors are small; looking at them is not counted."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        axis = torch.linspace(0, 1, 100, dtype=torch.float64)
        self.x = torch.cartesian_prod(axis, axis)
        self.exact = problem.exact(self.x)
        self.used, self.steps = 0.0, 0

    def errors(self, predict: Callable) -> tuple[float, float]:
        """Return the root mean square and the mean absolute error."""
        with torch.no_grad():
            off = torch.as_tensor(predict(self.x)) - self.exact
        return off.square().mean().sqrt().item(), off.abs().mean().item()

    def on_epoch_begin(self) -> None:
        """Start the clock."""
        self.started = time.process_time()

    def on_epoch_end(self) -> None:
        """Stop it, and look."""
        self.used += time.process_time() - self.started
        self.steps += 1
        self.found = self.errors(self.model.net)
        passed = max(self.found) < TOLERANCE
        self.model.stop_training = passed or self.used > LIMIT


def ours(problem: Problem, seed: int) -> Row:
    """Train the hp-VPINN, everything at its default, to the tolerance."""
    until = Until(problem)

    class Watched(HPVPINN):
        def callbacks(self, seed: int) -> list:
            return [until]

    solve(problem, Watched(), iterations=10_000, seed=seed)
    return {"seconds": until.used, "steps": until.steps, "rms": until.found[0]}


def own_test(name: str) -> Callable[[str], Row]:
    """Make the row of a test: both sides to the tolerance, in turns."""

    def row(python: str) -> Row:
        problem = TESTS[name]()
        runs = {"ours": [], "fastvpinns": []}
        for seed in SEEDS:
            with serving(python, name, seed) as (about, ask):
                runs["fastvpinns"].append(json.loads(ask("until")))
            runs["ours"].append(ours(problem, seed))
        elements = solve(problem, FEM(16))
        row = about | {"runs": runs, "fem_seconds": elements.seconds}
        row["fem_rms"] = Until(problem).errors(elements.predict)[0]
        for side, found in runs.items():
            row[f"{side}_seconds"] = statistics.median(run["seconds"] for run in found)
            row[f"{side}_worst"] = max(run["rms"] for run in found)
        return row

    return row


@contextmanager
def serving(python: str, name: str, seed: int) -> object:
    """Start FastVPINNs in its own Python; yield what it tells, and a way to ask."""
    process = subprocess.Popen(
        [python, PEER, name, str(seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    about = next(line for line in process.stdout if line.startswith("{"))

    def ask(line: str) -> str:
        process.stdin.write(f"{line}\n")
        return process.stdout.readline()

    yield json.loads(about), ask  # the package prints before that, too
    process.stdin.close()
    process.wait()


@dataclass(frozen=True)
class RandomFeatures(ByLevenberg):
    """hp-VPINN on random Fourier features, only their weights learned."""

    def net(self, problem: Problem, generator: torch.Generator) -> torch.nn.Module:
        net = JetFNN([128, 1], generator=generator)
        features = FourierFeatures(2, 64, scale=10.0, generator=generator)
        net.apply_feature_transform(features)
        net.apply_output_transform(problem.hard)
        return net


FAST = RandomFeatures(8, degree=2, points=5, hats=False, hard=True, weights=[1 / 256])


def fastvpinns_steps(python: str) -> Row:
    """Steps of FastVPINNs' own test, in turns: 8 x 8 elements, net 3 x 30, Adam.

    Theirs runs in float32, as ours beside it; ours in float64 is told too.
    """
    times = {"fastvpinns_ms": [], "ours_ms": [], "ours_float64_ms": []}
    with serving(python, "Poisson", 0) as (about, ask):
        own = {kind: _waves_step(kind, about) for kind in ("float32", "float64")}
        for _ in range(7):
            times["fastvpinns_ms"].append(float(ask("20")))
            for kind, name in (("float32", "ours_ms"), ("float64", "ours_float64_ms")):
                start = time.process_time()
                for _ in range(20):
                    own[kind]()
                times[name].append(50 * (time.process_time() - start))
    return about | {name: statistics.median(found) for name, found in times.items()}


def _waves_step(kind: str, about: Row) -> Callable[[], None]:
    """Make our step of the same size."""
    dde.config.set_default_float(kind)
    problem = waves()
    mesh = Mesh(problem.geometry, 8, degree=4)
    borders, points = about["boundary_points"], round((about["points"] / 64) ** 0.5)
    data = Variational(
        problem, mesh, borders, points=points, rule=gauss_lobatto, hats=False
    )
    net = JetFNN([2, 30, 30, 30, 1])
    model = dde.Model(data, net)
    model.compile(torch.optim.Adam(net.parameters(), 1e-3, fused=True), verbose=0)
    model.train(iterations=1, verbose=0, display_every=10**6)
    dde.config.set_default_float("float64")
    state = model.train_state
    return lambda: model._train_step(state.X_train, state.y_train, state.train_aux_vars)
