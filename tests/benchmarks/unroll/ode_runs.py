"""What the benchmark of neural ODEs fits and races: stiff reactions, adaptive steps.

Used by ``python -m tests.benchmarks.unroll.ode``.
"""

import time
from collections.abc import Callable

import torch
from scipy.integrate import solve_ivp
from torch import Tensor, nn

from unroll.ode import (
    DOPRI5,
    RK4,
    SDIRK2,
    Adaptive,
    Discrete,
    Through,
    odeint,
)

RATES = torch.tensor([0.04, 3e7, 1e4], dtype=torch.float64)
TIMES = torch.cat([torch.zeros(1), torch.logspace(-5, 2, 8)]).double()
SCALE = torch.tensor([1.0, 1e4, 1.0], dtype=torch.float64)
TOLERANCES = {"rtol": 1e-5, "atol": 1e-7}
SAME_STEPS = {  # whose autograd goes through the steps of each side
    "Discrete": "Through",
    "Discrete(8)": "Through",
    "Continuous": "Through",
    "torchdiffeq odeint_adjoint": "torchdiffeq odeint",
    "torchode BacksolveAdjoint": "torchode AutoDiffAdjoint",
    "torchode JointBacksolveAdjoint": "torchode AutoDiffAdjoint, joint",
}
BETWEEN = 6  # steps from one time of the data to the next


class Robertson(nn.Module):
    """Three substances and three rate constants (Robertson 1966)."""

    def __init__(self, rates: Tensor) -> None:
        super().__init__()
        self.logs = nn.Parameter(rates.log())

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        a, b, c = y.unbind(dim=1)
        k1, k2, k3 = self.logs.exp()
        first, second, third = k1 * a, k2 * b**2, k3 * b * c
        return torch.stack([third - first, first - third - second, second], dim=1)


def _path(field: nn.Module) -> Tensor:
    """Return the scaled state at every time but the first."""
    y, states = torch.tensor([[1.0, 0.0, 0.0]]).double(), []
    for start, end in zip(TIMES, TIMES[1:], strict=False):
        t = torch.linspace(0, 1, BETWEEN + 1).double() * (end - start) + start
        y = odeint(field, y, t, SDIRK2, Discrete())
        states.append(y)
    return torch.cat(states) * SCALE


def robertson() -> dict:
    """Let an explicit method try; find the rates again from SciPy's Radau solution."""
    field, y0 = Robertson(RATES), torch.tensor([[1.0, 0.0, 0.0]]).double()
    told = {}
    for name, method in (("RK4", RK4), ("Dopri5, adaptive", Adaptive(DOPRI5))):
        try:
            with torch.no_grad():
                odeint(field, y0, TIMES if name == "RK4" else TIMES[[0, -1]], method)
            told[name] = "reached the end"
        except FloatingPointError as error:
            told[name] = str(error).partition(": expected")[0]

    def right(t: float, y: list[float]) -> list[float]:
        with torch.no_grad():
            return field(t, torch.tensor(y)[None])[0].tolist()

    found = solve_ivp(
        right,
        (0, TIMES[-1].item()),
        [1.0, 0.0, 0.0],
        method="Radau",
        t_eval=TIMES[1:].tolist(),
        rtol=1e-9,
        atol=1e-13,
    )
    data = torch.tensor(found.y.T) * SCALE
    field = Robertson(RATES * torch.tensor([1.3, 0.7, 1.2]).double())
    before = (field.logs.exp() / RATES - 1).abs().tolist()
    search = torch.optim.LBFGS(
        field.parameters(),
        max_iter=30,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        search.zero_grad()
        misfit = (_path(field) - data).square().sum()
        misfit.backward()
        return misfit

    start = time.process_time()
    search.step(loss)
    return {
        "explicit": told,
        "steps": BETWEEN * (len(TIMES) - 1),
        "error_before": before,
        "error_after": (field.logs.exp() / RATES - 1).abs().tolist(),
        "seconds": round(time.process_time() - start, 1),
    }


def adaptive_sides(field: nn.Module, t: Tensor) -> dict[str, Callable]:
    """Return what maps the first state to the last with Dopri5 at one tolerance."""
    import torchdiffeq

    method = Adaptive(DOPRI5, **TOLERANCES)
    ours = {"Through": Through(), "Discrete": Discrete(), "Discrete(8)": Discrete(8)}
    found = {
        name: lambda x, a=adjoint: odeint(field, x, t, method, a)
        for name, adjoint in ours.items()
    }
    theirs = {
        "torchdiffeq odeint": torchdiffeq.odeint,
        "torchdiffeq odeint_adjoint": torchdiffeq.odeint_adjoint,
    }
    return (
        found
        | {
            name: lambda x, solve=solve: solve(field, x, t, **TOLERANCES)[-1]
            for name, solve in theirs.items()
        }
        | torchode_sides(field, t)
    )


class Joined(nn.Module):
    """A field that sees the batch as one long state, so that all take the same step."""

    def __init__(self, field: nn.Module, shape: torch.Size) -> None:
        super().__init__()
        self.field, self.shape = field, shape

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return self.field(t, x.view(self.shape)).view(1, -1)


def torchode_sides(field: nn.Module, t: Tensor) -> dict[str, Callable]:
    """Return the same by torchode, whose samples have steps of their own, or joint."""
    import torchode

    def solved(adjoint: Callable, x: Tensor) -> Tensor:
        ends = t.expand(len(x), 2)
        return adjoint.solve(torchode.InitialValueProblem(y0=x, t_eval=ends)).ys[:, -1]

    def parts(look: nn.Module) -> tuple:
        term = torchode.ODETerm(look)
        control = torchode.IntegralController(term=term, **TOLERANCES)
        return term, torchode.Dopri5(term=term), control

    def joint(x: Tensor) -> Tensor:
        _, *rest = parts(Joined(field, x.shape))
        return solved(torchode.AutoDiffAdjoint(*rest), x.view(1, -1)).view(x.shape)

    term, *rest = parts(field)
    kinds = {
        "torchode AutoDiffAdjoint": torchode.AutoDiffAdjoint(*rest),
        "torchode BacksolveAdjoint": torchode.BacksolveAdjoint(term, *rest),
        "torchode JointBacksolveAdjoint": torchode.JointBacksolveAdjoint(term, *rest),
    }
    return {"torchode AutoDiffAdjoint, joint": joint} | {
        name: lambda x, kind=kind: solved(kind, x) for name, kind in kinds.items()
    }
