"""SNOpt: its matrices against dense ones, and that it trains."""

import pytest
import torch
from torch import Tensor, nn

from unroll.ode import EULER, RK4, Discrete, odeint
from unroll.ode.snopt import SNOpt, gauss_newton


class Net(nn.Module):
    """Two layers; depends on time."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Linear(2, width, dtype=torch.float64)
        self.outer = nn.Linear(width, 2, dtype=torch.float64)

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return self.outer(torch.tanh(self.inner(x) + t))


class Still(nn.Module):
    """Moves the second half of the state along a layer of the first, which rests."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Linear(2, 3, bias=bias, dtype=torch.float64)

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(x[:, :2]), self.layer(x[:, :2])], dim=1)


@pytest.mark.parametrize("method", [EULER, RK4], ids=["EULER", "RK4"])
def test_low_rank_terms_are_the_dense_ones(method) -> None:
    """The matrix equations, step by step with dense Jacobians, against vectors."""
    field, g = Net(), torch.Generator().manual_seed(2)
    x0 = torch.randn(3, 2, generator=g, dtype=torch.float64)
    t = torch.linspace(0, 1, 6, dtype=torch.float64) ** 1.5
    y = torch.randn(2, 3, 2, generator=g, dtype=torch.float64)
    q, p = gauss_newton(field, x0, t, y, method)
    names, values = zip(*field.named_parameters(), strict=True)
    flat = torch.cat([v.detach().flatten() for v in values])

    def step(x: Tensor, theta: Tensor, k: int) -> Tensor:
        parts = theta.split([v.numel() for v in values])
        named = {
            n: part.view_as(v) for n, part, v in zip(names, parts, values, strict=True)
        }
        look = lambda t, x: torch.func.functional_call(field, named, (t, x))  # noqa: E731
        return method.step(look, t[k], t[k + 1] - t[k], x)

    states = [x0]
    for k in range(5):
        states.append(step(states[-1], flat, k))
    rows = y.flatten(1)
    Qxx = rows.T @ rows
    Qxo, Qoo = torch.zeros(6, len(flat)).double(), torch.zeros(len(flat), len(flat))
    for k in reversed(range(5)):
        by_x, by_theta = torch.autograd.functional.jacobian(
            lambda x, theta, k=k: step(x, theta, k), (states[k], flat)
        )
        F, G = by_x.reshape(6, 6), by_theta.reshape(6, -1)
        Qoo = Qoo + G.T @ Qxo + Qxo.T @ G + G.T @ Qxx @ G
        Qxo = F.T @ (Qxo + Qxx @ G)
        Qxx = F.T @ Qxx @ F
    q = q.flatten(1)
    for low, dense in ((q.T @ q, Qxx), (q.T @ p, Qxo), (p.T @ p, Qoo)):
        torch.testing.assert_close(low, dense, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bias", [False, True])
def test_factors_are_the_dense_block_where_inputs_and_adjoints_are_independent(
    bias,
) -> None:
    """All pairs of five inputs and four adjoints, which stay the same in time."""
    field, g = Still(bias), torch.Generator().manual_seed(3)
    z = torch.randn(5, 2, generator=g, dtype=torch.float64)
    v = torch.randn(4, 3, generator=g, dtype=torch.float64)
    x0 = torch.cat(
        [z.repeat_interleave(4, dim=0), torch.zeros(20, 3).double()], dim=1
    ).requires_grad_()
    pull = torch.cat([torch.zeros(20, 2).double(), v.repeat(5, 1)], dim=1)
    snopt, t = SNOpt(field, eps=0.3, decay=1.0), torch.linspace(0, 1.5, 7).double()
    x = odeint(field, x0, t, RK4, Discrete(2, watch=snopt))
    (x * pull).sum(dim=1).mean().backward()
    inputs = torch.cat([z, torch.ones(5, 1).double()], dim=1) if bias else z
    samples = [
        1.5 * torch.outer(b, a).flatten() for a in inputs for b in v
    ]  # gradients of single samples
    dense = torch.stack(samples).T @ torch.stack(samples) / 20
    grad = field.layer.weight.grad
    if bias:
        grad = torch.cat([grad, field.layer.bias.grad[:, None]], dim=1)
    solved = torch.linalg.solve(dense + 0.3 * torch.eye(len(dense)), grad.flatten())
    snopt.step()
    factors = snopt.factors["layer"]
    torch.testing.assert_close(
        torch.kron(factors.B, factors.A), dense, rtol=1e-12, atol=1e-12
    )
    ours = field.layer.weight.grad
    if bias:
        ours = torch.cat([ours, field.layer.bias.grad[:, None]], dim=1)
    torch.testing.assert_close(ours.flatten(), solved, rtol=1e-11, atol=1e-12)


def test_a_convolution_of_one_pixel_is_a_linear_layer() -> None:
    class Pixel(nn.Module):
        def __init__(self, inner: nn.Linear) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 1, dtype=torch.float64)
            self.conv.weight.data.copy_(inner.weight[:, :, None, None])
            self.conv.bias.data.copy_(inner.bias)

        def forward(self, t: Tensor, x: Tensor) -> Tensor:
            return torch.tanh(self.conv(x))

    class Plain(nn.Module):
        def __init__(self, inner: nn.Linear) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, t: Tensor, x: Tensor) -> Tensor:
            return torch.tanh(self.inner(x))

    torch.manual_seed(4)
    inner = nn.Linear(2, 2, dtype=torch.float64)
    pixel, plain = Pixel(inner), Plain(inner)
    x0, t = torch.randn(6, 2).double(), torch.linspace(0, 1, 4).double()
    found = []
    for field, start in ((plain, x0), (pixel, x0[:, :, None, None])):
        snopt = SNOpt(field)
        odeint(field, start, t, RK4, Discrete(watch=snopt)).square().sum().div(
            6
        ).backward()
        snopt.step()
        found.append([p.grad.flatten() for p in field.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


def test_it_trains() -> None:
    field, t = Net(16), torch.linspace(0, 1, 6, dtype=torch.float64)
    g = torch.Generator().manual_seed(5)
    x0 = torch.randn(64, 2, generator=g, dtype=torch.float64)
    goal = x0.flip(1) * torch.tensor([0.5, -1.5]).double()
    snopt, losses = SNOpt(field, every=10), []
    sgd = torch.optim.SGD(field.parameters(), lr=0.1)
    for _ in range(40):
        x = odeint(field, x0, t, EULER, Discrete(watch=snopt))
        losses.append((x - goal).square().sum(dim=1).mean())
        sgd.zero_grad()
        losses[-1].backward()
        snopt.step()
        sgd.step()
    assert losses[-1] < losses[0] / 10


def test_refuses_by_name() -> None:
    class Odd(nn.Module):
        def __init__(self, layer: nn.Module) -> None:
            super().__init__()
            self.layer = layer
            self.again = layer if isinstance(layer, nn.Linear) else None

        def forward(self, t: Tensor, x: Tensor) -> Tensor:
            return self.layer(self.layer(x))

    with pytest.raises(ValueError, match=r"layer\.weight belongs to a LayerNorm"):
        SNOpt(Odd(nn.LayerNorm(2)))
    with pytest.raises(ValueError, match=r"layer has 2 groups and padding \(0, 0\)"):
        SNOpt(Odd(nn.Conv2d(2, 2, 3, groups=2)))
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    with pytest.raises(ValueError, match=r"1\.weight is 0's, too"):
        SNOpt(tied)
    with pytest.raises(ValueError, match="decay is 2: expected"):
        SNOpt(Net(), decay=2)
    with pytest.raises(ValueError, match="eps is 0"):
        SNOpt(Net(), eps=0)
    field = Odd(nn.Linear(2, 2, dtype=torch.float64))
    snopt, t = SNOpt(field), torch.linspace(0, 1, 3).double()
    with pytest.raises(RuntimeError, match="no backward solve was watched"):
        snopt.step()
    x = odeint(field, torch.ones(3, 2).double(), t, RK4, Discrete(watch=snopt))
    with pytest.raises(ValueError, match="layer 'layer' is used twice in one look"):
        x.sum().backward()
    with pytest.raises(ValueError, match=r"y has shape \(1, 2\) and x0 \(3, 2\)"):
        gauss_newton(Net(), torch.ones(3, 2).double(), t, torch.ones(1, 2).double())
