"""Gradients of a solution against autograd through the solver, in float64."""

import math

import pytest
import torch
from torch import Tensor, nn

from unroll.ode import (
    BOSH3,
    DOPRI5,
    EULER,
    MIDPOINT,
    RK4,
    Continuous,
    Discrete,
    Through,
    odeint,
)

METHODS = {
    "EULER": EULER,
    "MIDPOINT": MIDPOINT,
    "BOSH3": BOSH3,
    "RK4": RK4,
    "DOPRI5": DOPRI5,
}
EACH = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


class Net(nn.Module):
    """A small field that depends on time; counts how often it is looked at."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.W = nn.Parameter(torch.randn(3, 2, generator=generator).double())
        self.V = nn.Parameter(torch.randn(2, 3, generator=generator).double())
        self.unused = nn.Parameter(torch.zeros(2).double())
        self.looks = 0

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        self.looks += 1
        return torch.tanh(x @ self.W.T + torch.sin(3 * t)) @ self.V.T


@pytest.fixture
def x0() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 2, generator=generator, dtype=torch.float64)


def times(steps: int) -> Tensor:
    """Uneven ones, so that no step may be taken for another."""
    return torch.linspace(0, 1, steps + 1, dtype=torch.float64) ** 1.5


def gradients(field: Net, x0: Tensor, t: Tensor, method, adjoint) -> Tensor:
    """Return all gradients of a loss of the last state, and that state, in a row."""
    x0 = x0.clone().requires_grad_()
    x = odeint(field, x0, t, method, adjoint)
    loss = (x**2 * torch.arange(1.0, 9.0, dtype=x.dtype).view(4, 2)).sum()
    found = torch.autograd.grad(
        loss, (x0, field.W, field.V, field.unused), materialize_grads=True
    )
    return torch.cat([x.detach().flatten(), *(g.flatten() for g in found)])


@EACH
@pytest.mark.parametrize("checkpoints", [None, 1, 2, 4, 50])
def test_the_discrete_adjoint_is_autograd_through_the_solver(
    x0, method, checkpoints
) -> None:
    field, t = Net(), times(13)
    exact = gradients(field, x0, t, method, Through())
    ours = gradients(field, x0, t, method, Discrete(checkpoints))
    torch.testing.assert_close(ours, exact, rtol=1e-12, atol=1e-13)


def test_through_agrees_with_finite_differences(x0) -> None:
    field, t = Net(), times(5)
    x = x0.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: odeint(field, x, t, MIDPOINT, Discrete(2)), x
    )


@EACH
def test_a_parameters_gradient_agrees_with_finite_differences(x0, method) -> None:
    field, t = Net(), times(7)

    def loss() -> Tensor:
        return odeint(field, x0, t, method, Discrete(3)).square().sum()

    loss().backward()
    for parameter, place in ((field.W, (2, 1)), (field.V, (0, 2))):
        ends = []
        for h in (1e-6, -1e-6):
            with torch.no_grad():
                parameter[place] += h
                ends.append(loss().item())
                parameter[place] -= h
        slope = (ends[0] - ends[1]) / 2e-6
        assert parameter.grad[place].item() == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize(("checkpoints", "extra"), [(1, 45), (3, 15), (10, 9)])
def test_it_does_no_step_more_than_the_plan(x0, checkpoints, extra) -> None:
    field = Net()
    gradients(field, x0, times(10), EULER, Discrete(checkpoints))
    assert field.looks == 1 + 10 + extra  # one to see what it depends on


def test_no_more_states_are_kept_than_allowed(x0) -> None:
    """At the end of the first sweep, and the last step with its graph."""
    field, kept = Net(), []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    x = x0.clone().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        for steps in (20, 40):
            kept.clear()
            odeint(field, x, times(steps), EULER, Discrete(4))
            several = len(kept)
            if steps == 20:
                few = several
    assert several == few  # does not grow with the steps
    node = odeint(field, x, times(40), EULER, Discrete(4)).grad_fn
    _, _, (*_, memory) = node.all
    assert memory.most == 4


@EACH
def test_the_continuous_adjoint_errs_by_the_order_of_the_method(x0, method) -> None:
    field, errors = Net(), []
    for steps in (10, 20, 40):
        t = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
        exact = gradients(field, x0, t, method, Through())
        ours = gradients(field, x0, t, method, Continuous())
        errors.append(((ours - exact).norm() / exact.norm()).item())
    assert errors[0] > 1e-9, "it is another gradient"
    slope = math.log2(errors[1] / errors[2])
    assert slope > method.order - 0.4


def test_the_continuous_adjoint_is_wrong_where_steps_are_coarse(x0) -> None:
    field = Net()
    t = torch.linspace(0, 1, 21, dtype=torch.float64)
    exact = gradients(field, x0, t, EULER, Through())
    wrong = (gradients(field, x0, t, EULER, Continuous()) - exact).norm()
    assert wrong / exact.norm() > 1e-3


def test_backward_twice_gives_the_same(x0) -> None:
    x = x0.clone().requires_grad_()
    field = Net()
    out = odeint(field, x, times(9), RK4, Discrete(3)).sum()
    first = torch.autograd.grad(out, (x, field.W), retain_graph=True)
    for one, other in zip(first, torch.autograd.grad(out, (x, field.W)), strict=True):
        assert torch.equal(one, other)


def test_images_and_falling_times_are_welcome() -> None:
    x = torch.rand(2, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    t = torch.linspace(1, 0, 6, dtype=torch.float64)
    for adjoint in (Discrete(2), Continuous()):
        out = odeint(lambda t, x: -t * x**2, x, t, RK4, adjoint)
        assert out.shape == x.shape
        (slope,) = torch.autograd.grad(out.sum(), x)
        through = odeint(lambda t, x: -t * x**2, x, t, RK4, Through())
        (exact,) = torch.autograd.grad(through.sum(), x)
        torch.testing.assert_close(slope, exact, rtol=1e-3, atol=1e-4)


def test_without_gradients_nothing_is_kept(x0) -> None:
    with torch.no_grad():
        for adjoint in (Discrete(), Continuous(), Through()):
            assert not odeint(Net(), x0, times(3), RK4, adjoint).requires_grad


def test_through_has_second_derivatives_and_the_others_refuse() -> None:
    x = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    out = odeint(lambda t, x: -(x**2), x, t, RK4, Through())
    (first,) = torch.autograd.grad(out.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert second.item() == pytest.approx(-1 / 4, abs=1e-6)  # of x / (1 + x)
    for adjoint, name in ((Discrete(), "Discrete"), (Continuous(), "Continuous")):
        out = odeint(lambda t, x: -(x**2), x, t, RK4, adjoint)
        with pytest.raises(RuntimeError, match=f"{name} knows first derivatives only"):
            torch.autograd.grad(out.sum(), x, create_graph=True)


@pytest.mark.parametrize("adjoint", [Discrete(), Continuous(), Through()])
def test_a_state_that_runs_away_is_told(adjoint) -> None:
    x0, t = torch.full((1, 1), 1e3, dtype=torch.float64), times(20)
    with pytest.raises(FloatingPointError, match="not finite after 20 steps: expected"):
        odeint(lambda t, x: 9 * x**3, x0, t, EULER, adjoint)


def test_refuses_by_name(x0) -> None:
    t, rate = times(3), torch.ones(2, dtype=torch.float64, requires_grad=True)
    with pytest.raises(ValueError, match=r"a tensor of shape \(2,\) that asks for"):
        odeint(lambda t, x: -rate * x, x0, t)
    assert odeint(lambda t, x: -rate * x, x0, t, RK4, Through()).requires_grad
    with pytest.raises(ValueError, match="the field draws random numbers"):
        odeint(lambda t, x: nn.functional.dropout(x, 0.5), x0, t)
    with pytest.raises(ValueError, match=r"x0 has shape \(2,\): expected \(batch"):
        odeint(Net(), torch.zeros(2), t)
    with pytest.raises(TypeError, match=r"t has dtype torch\.float32 but x0"):
        odeint(Net(), x0, t.float())
    with pytest.raises(ValueError, match="expected at least two times"):
        odeint(Net(), x0, t[:1])
    with pytest.raises(ValueError, match="expected times that rise, or that fall"):
        odeint(Net(), x0, t[[0, 2, 1]])
    with pytest.raises(ValueError, match="t asks for gradients"):
        odeint(Net(), x0, t.clone().requires_grad_())
    with pytest.raises(TypeError, match="method is 'rk4': expected a tableau"):
        odeint(Net(), x0, t, "rk4")
    with pytest.raises(TypeError, match="adjoint is <class .*Discrete"):
        odeint(Net(), x0, t, RK4, Discrete)
    with pytest.raises(ValueError, match="checkpoints is 0"):
        Discrete(0)
