"""A learned horizon against the optimum of linear-quadratic problems."""

import math

import pytest
import torch
from torch import Tensor, nn

from unroll.ode import RK4, Discrete, Horizon, odeint


class Push(nn.Module):
    """``x' = theta``: linear, so that the loss is known in closed form."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.full((1,), theta, dtype=torch.float64))

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return self.theta.expand_as(x)


def once(field: Push, horizon: Horizon, goal: float) -> tuple[Tensor, Tensor]:
    """Return ``x(T)``, and the gradient of ``(x(T) - goal)^2 / 2`` by it."""
    x0 = torch.zeros(1, 1, dtype=torch.float64)
    x = odeint(field, x0, horizon.times(4, x0), RK4, Discrete())
    x.retain_grad()
    (0.5 * (x - goal) ** 2).sum().backward()
    return x.detach(), x.grad


@pytest.mark.parametrize(("theta", "goal", "price"), [(1.5, 2.0, 0.7), (0.4, 3.0, 0.1)])
def test_it_reaches_the_best_horizon(theta, goal, price) -> None:
    """Of ``(theta T - goal)^2 / 2 + price T^2 / 2``."""
    field, horizon = Push(theta), Horizon(1.0, price, lr=0.3, memory=0.5)
    for _ in range(300):
        horizon.step(field, *once(field, horizon, goal))
    assert horizon.time == pytest.approx(theta * goal / (theta**2 + price), abs=1e-8)


@pytest.mark.parametrize("feedback", [False, True])
def test_it_reaches_the_best_horizon_and_parameter(feedback) -> None:
    """With ``price theta^2 / 2``, too: both are ``sqrt(goal - price)``."""
    goal, price = 2.0, 0.5
    field, horizon = Push(0.8), Horizon(1.0, price, lr=0.2, memory=0.5)
    for _ in range(400):
        field.zero_grad()
        x, by_x = once(field, horizon, goal)
        change = -0.1 * (field.theta.grad + price * field.theta.detach())
        moved = (field.theta.grad * change).sum().item() if feedback else 0.0
        with torch.no_grad():
            field.theta += change
        horizon.step(field, x, by_x, moved)
    best = math.sqrt(goal - price)
    assert horizon.time == pytest.approx(best, abs=1e-6)
    assert field.theta.item() == pytest.approx(best, abs=1e-6)


def test_the_slope_is_that_of_the_loss_by_the_horizon() -> None:
    field, horizon = Push(0.8), Horizon(1.3, 0.5, memory=0.0)
    x, by_x = once(field, horizon, 2.0)

    def loss(T: float) -> float:
        return 0.5 * (0.8 * T - 2) ** 2 + 0.25 * T**2

    horizon.step(field, x, by_x)
    slope = (loss(1.3 + 1e-6) - loss(1.3 - 1e-6)) / 2e-6
    assert horizon.slope == pytest.approx(slope, abs=1e-8)
    assert horizon.time == pytest.approx(1.3 - 0.1 * horizon.slope / horizon.bend)


def test_bounds_and_refusals() -> None:
    x = torch.ones(2, 1, dtype=torch.float64)
    horizon = Horizon(0.2, 100.0, lr=1.0)
    assert horizon.step(lambda t, x: x, x, x) == horizon.least
    with pytest.raises(ValueError, match=r"x has shape \(2, 1\) and by_x \(1, 1\)"):
        horizon.step(lambda t, x: x, x, x[:1])
    with pytest.raises(FloatingPointError, match="changes with the horizon by nan"):
        horizon.step(lambda t, x: x * float("nan"), x, x)
    with pytest.raises(ValueError, match="memory is 1: expected"):
        Horizon(1.0, 1.0, memory=1)
    with pytest.raises(ValueError, match="price is 0"):
        Horizon(1.0, 0)
