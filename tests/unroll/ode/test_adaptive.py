"""Steps of chosen lengths: their errors, their counts, and gradients through them."""

import math

import pytest
import torch
from torch import Tensor, nn

from unroll.ode import (
    BOSH3,
    DOPRI5,
    RK4,
    Adaptive,
    Continuous,
    Discrete,
    Embedded,
    Online,
    Through,
    odeint,
)
from unroll.ode.schedule import extra_steps

PAIRS = pytest.mark.parametrize("pair", [BOSH3, DOPRI5], ids=["BOSH3", "DOPRI5"])
ENDS = torch.tensor([0.0, 0.4, 2.0], dtype=torch.float64)


class Net(nn.Module):
    """A field with a sharp bend, so that steps differ; counts looks at it."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.W = nn.Parameter(torch.randn(3, 2, generator=generator).double())
        self.V = nn.Parameter(torch.randn(2, 3, generator=generator).double())
        self.looks = 0

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        self.looks += 1
        kick = torch.exp(-100 * (t - 1) ** 2)
        return torch.tanh(x @ self.W.T + 20 * kick) @ self.V.T


@pytest.fixture
def x0() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 2, generator=generator, dtype=torch.float64)


def gradients(field: Net, x0: Tensor, t: Tensor, method, adjoint) -> Tensor:
    """Return all gradients of a loss of the last state, and that state, in a row."""
    x0 = x0.clone().requires_grad_()
    x = odeint(field, x0, t, method, adjoint)
    loss = (x**2 * torch.arange(1.0, 9.0, dtype=x.dtype).view(4, 2)).sum()
    found = torch.autograd.grad(loss, (x0, field.W, field.V))
    return torch.cat([x.detach().flatten(), *(g.flatten() for g in found)])


@PAIRS
@pytest.mark.parametrize("checkpoints", [None, 1, 2, 5, 300])
def test_the_gradient_is_autograd_with_the_accepted_steps_frozen(
    x0, pair, checkpoints
) -> None:
    field, method = Net(), Adaptive(pair, rtol=1e-4, atol=1e-5)
    steps = method.steps(field, x0, ENDS)
    assert steps.rejected > 0, "the kick makes some steps too long"
    exact = gradients(field, x0, steps.t, pair, Through())
    for adjoint in (Discrete(checkpoints), Through()):
        ours = gradients(field, x0, ENDS, method, adjoint)
        torch.testing.assert_close(ours, exact, rtol=1e-12, atol=1e-13)


@PAIRS
def test_lengths_are_not_differentiated(x0, pair) -> None:
    """So finite differences agree where the lengths stay, and only there."""
    field, method = Net(), Adaptive(pair, rtol=1e-4, atol=1e-5)
    t = method.steps(field, x0, ENDS).t
    x = x0.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: odeint(field, x, t, pair), x)


def test_the_continuous_adjoint_is_near(x0) -> None:
    field, method = Net(), Adaptive(rtol=1e-9, atol=1e-10)
    exact = gradients(field, x0, ENDS, method, Discrete())
    near = gradients(field, x0, ENDS, method, Continuous())
    error = ((near - exact).norm() / exact.norm()).item()
    assert 1e-14 < error < 1e-5


@PAIRS
def test_the_estimate_is_of_the_order_of_the_lower_solution(pair) -> None:
    """And is the difference to it: for ``x' = x`` both are polynomials in h."""
    x, sizes = torch.ones(1, 1, dtype=torch.float64), []
    for h in (0.1, 0.05):
        h = torch.tensor(h, dtype=torch.float64)
        new, error, last = pair.attempt(lambda t, x: x, 0 * h, h, x, x)
        assert torch.equal(new, pair.step(lambda t, x: x, 0 * h, h, x))
        assert torch.equal(last, new), "the field at the new state"
        sizes.append(abs(error.item()))
    assert math.log2(sizes[0] / sizes[1]) == pytest.approx(pair.order, abs=0.2)


@PAIRS
def test_the_error_follows_the_tolerance(pair) -> None:
    t = torch.tensor([0.0, 3.0], dtype=torch.float64)
    x0 = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    exact = torch.tensor([[math.cos(3.0), math.sin(3.0)]], dtype=torch.float64)

    def circle(t: Tensor, x: Tensor) -> Tensor:
        return torch.stack([-x[:, 1], x[:, 0]], dim=1)

    for tol in (1e-3, 1e-5, 1e-7):
        method = Adaptive(pair, rtol=tol, atol=tol)
        error = (odeint(circle, x0, t, method) - exact).norm().item()
        assert error < 20 * tol
        assert odeint(circle, x0, t, method).dtype == torch.float64


def test_steps_are_counted(x0) -> None:
    field, method = Net(), Adaptive(BOSH3, rtol=1e-4, atol=1e-5)
    steps = method.steps(field, x0, ENDS)
    assert field.looks == steps.looks
    tried = steps.accepted + steps.rejected
    assert steps.looks == 2 + 3 * tried, "the first look is the last of the step before"
    assert (steps.t[1:] > steps.t[:-1]).all() and steps.accepted == len(steps.t) - 1
    assert (steps.t[:, None] == ENDS).any(dim=0).all(), "asked times are hit exactly"
    back = method.steps(field, x0, ENDS.flip(0))
    assert (back.t[1:] < back.t[:-1]).all()


@pytest.mark.parametrize("checkpoints", [2, 5, None])
def test_it_looks_as_often_as_the_plan_says(x0, checkpoints) -> None:
    field, method = Net(), Adaptive(BOSH3, rtol=1e-4, atol=1e-5)
    steps = method.steps(field, x0, ENDS)
    field.looks = 0
    x = odeint(field, x0.requires_grad_(), ENDS, method, Discrete(checkpoints))
    _, _, (*_, plan, memory) = x.grad_fn.all
    assert field.looks == steps.looks + 1  # one to see what it depends on
    assert memory.most == (checkpoints or steps.accepted)
    x.sum().backward()
    again = (field.looks - steps.looks - 1) // 3
    if checkpoints is None:
        assert again == steps.accepted
    else:
        keep = Online(checkpoints)
        for step in range(steps.accepted):
            keep.before(step)
        assert plan == keep.reversal(steps.accepted)
        assert again <= 1.4 * (extra_steps(steps.accepted, checkpoints) + len(steps.t))


def test_without_gradients_and_twice(x0) -> None:
    field, method = Net(), Adaptive()
    with torch.no_grad():
        plain = odeint(field, x0, ENDS, method)
    assert not plain.requires_grad
    x = x0.clone().requires_grad_()
    out = odeint(field, x, ENDS, method, Discrete(3))
    assert torch.equal(out.detach(), plain)
    first = torch.autograd.grad(out.sum(), (x, field.W), retain_graph=True)
    for one, other in zip(
        first, torch.autograd.grad(out.sum(), (x, field.W)), strict=True
    ):
        assert torch.equal(one, other)


def test_float32_and_images_are_welcome() -> None:
    x = torch.rand(2, 1, 3, 3, requires_grad=True, dtype=torch.float32)
    t = torch.tensor([1.0, 0.0], dtype=torch.float32)
    out = odeint(lambda t, x: -t * x, x, t, Adaptive(BOSH3, rtol=1e-4, atol=1e-5))
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, x * math.exp(0.5), rtol=1e-3, atol=1e-4)


def test_what_cannot_be_is_refused(x0) -> None:
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)

    def stiff(t: Tensor, x: Tensor) -> Tensor:
        return -1e6 * (x - torch.cos(t))

    with pytest.raises(FloatingPointError, match=r"300 steps have come to t = 0\.00"):
        odeint(stiff, x0, t, Adaptive(limit=300))
    with pytest.raises(FloatingPointError, match=r"and the next is .* long: expected"):
        Adaptive(limit=300).steps(stiff, x0, t)
    with pytest.raises(FloatingPointError, match=r"is too short at t = 0\.5"):
        odeint(
            lambda t, x: torch.where(t < 0.5, x, torch.full_like(x, torch.nan)),
            x0,
            t,
            Adaptive(),
        )
    with pytest.raises(ValueError, match=r"rtol is 1e-17 and atol 1e-18, below"):
        odeint(Net(), x0, t, Adaptive(rtol=1e-17, atol=1e-18))
    with pytest.raises(ValueError, match=r"rtol is 1e-08 .* rounding of torch\.float3"):
        odeint(Net().float(), x0.float(), t.float(), Adaptive(rtol=1e-8, atol=1e-9))
    with pytest.raises(TypeError, match="expected a method that estimates its error"):
        Adaptive(RK4)
    with pytest.raises(ValueError, match=r"rtol is -1 and atol 1e-08"):
        Adaptive(rtol=-1)
    with pytest.raises(ValueError, match=r"atol 0: expected rtol >= 0 and atol > 0"):
        Adaptive(atol=0)
    with pytest.raises(ValueError, match="limit is 0"):
        Adaptive(limit=0)
    with pytest.raises(TypeError, match="rtol is 'small'"):
        Adaptive(rtol="small")
    with pytest.raises(ValueError, match="error has 1 entries and a 1 rows"):
        Embedded(a=((),), b=(1.0,), order=1, error=(0.0,))
    with pytest.raises(ValueError, match=r"error has the sum 0\.5: expected 0"):
        Embedded(a=((),), b=(1.0,), order=1, error=(0.5, 0.0))
