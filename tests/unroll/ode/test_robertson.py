"""Robertson's reactions, whose rates differ by nine powers of ten."""

import pytest
import torch
from torch import Tensor, nn

from tests.benchmarks.unroll.ode_runs import RATES, TIMES, Robertson
from unroll.ode import RK4, SDIRK2, Discrete, odeint


def path(field: nn.Module) -> Tensor:
    """The state at every time, scaled to about 1: ``(times, 3)``."""
    y = torch.tensor([[1.0, 0.0, 0.0]]).double()
    states = []
    for k in range(len(TIMES) - 1):
        y = odeint(field, y, TIMES[k : k + 2], SDIRK2, Discrete())
        states.append(y)
    return torch.cat(states) * torch.tensor([1.0, 1e4, 1.0]).double()


def test_mass_is_kept_and_an_explicit_method_cannot_do_it() -> None:
    field = Robertson(RATES)
    with torch.no_grad():
        mass = (path(field) / torch.tensor([1.0, 1e4, 1.0])).sum(dim=1)
    torch.testing.assert_close(mass, torch.ones_like(mass), rtol=0, atol=1e-12)
    y = torch.tensor([[1.0, 0.0, 0.0]]).double()
    with pytest.raises(FloatingPointError, match="not finite after 8 steps"):
        odeint(field, y, TIMES, RK4)


def test_the_rates_are_found_again_from_the_states() -> None:
    """The data come from the same steps: what is tried is the gradient."""
    with torch.no_grad():
        data = path(Robertson(RATES))
    field = Robertson(RATES * torch.tensor([1.3, 0.7, 1.2]).double())
    search = torch.optim.LBFGS(
        field.parameters(),
        max_iter=60,
        tolerance_change=1e-16,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        search.zero_grad()
        misfit = (path(field) - data).square().sum()
        misfit.backward()
        return misfit

    search.step(loss)
    torch.testing.assert_close(field.logs.exp(), RATES, rtol=1e-4, atol=0)
