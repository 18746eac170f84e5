"""LARS, LAMB, the noise scale and the rates, by hand and by torch's optimisers."""

import copy
import math

import pytest
import torch
from torch import nn

from modular.communication import LAMB, LARS, linear_rate, noise_scale, root_rate

W = [[1.0, 2.0], [-2.0, 4.0]]  # of length 5
G = [[3.0, 0.0], [0.0, 4.0]]  # of length 5


def weight(values: list = W) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


def test_lars_by_hand() -> None:
    w = weight()
    step = LARS([w], lr=0.5, momentum=0.5, weight_decay=0.2, trust=0.1)
    expected, v = torch.tensor(W).double(), torch.zeros(2, 2).double()
    for _ in range(2):
        w.grad = torch.tensor(G).double()
        step.step()
        size = math.sqrt(sum(x * x for x in expected.flatten().tolist()))
        ratio = 0.1 * size / (5 + 0.2 * size)
        v = 0.5 * v + 0.5 * ratio * (torch.tensor(G).double() + 0.2 * expected)
        expected = expected - v
        torch.testing.assert_close(w.data, expected, rtol=0, atol=1e-14)


def test_lamb_by_hand() -> None:
    w = weight()
    step = LAMB([w], lr=0.1, betas=(0.5, 0.75), eps=1e-2, weight_decay=0.2)
    expected = torch.tensor(W).double()
    m, v = torch.zeros(2, 2).double(), torch.zeros(2, 2).double()
    for t in (1, 2, 3):
        g = torch.tensor(G).double() * t
        w.grad = g.clone()
        step.step()
        m, v = 0.5 * m + 0.5 * g, 0.75 * v + 0.25 * g**2
        u = m / (1 - 0.5**t) / ((v / (1 - 0.75**t)).sqrt() + 1e-2) + 0.2 * expected
        length = math.sqrt((expected**2).sum().item() / (u**2).sum().item())
        expected = expected - 0.1 * length * u
        torch.testing.assert_close(w.data, expected, rtol=0, atol=1e-13)


def pair(kind: type, other: type, mine: dict, theirs: dict) -> tuple:
    """Train equal biases with both: one axis, so the ratio is 1."""
    start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    a, b = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    one, two = kind([a], **mine), other([b], **theirs)
    for t in range(8):
        a.grad = torch.sin(a.detach() + t)
        b.grad = torch.sin(b.detach() + t)
        one.step()
        two.step()
    return a.data, b.data


def test_lars_is_sgd_where_the_ratio_is_one() -> None:
    options = {"lr": 0.1, "momentum": 0.9}
    a, b = pair(LARS, torch.optim.SGD, options | {"weight_decay": 0.1}, options)
    torch.testing.assert_close(a, b, rtol=0, atol=1e-14)


def test_lamb_is_adam_where_the_ratio_is_one() -> None:
    options = {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-6}
    a, b = pair(LAMB, torch.optim.Adam, options | {"weight_decay": 0.1}, options)
    torch.testing.assert_close(a, b, rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", [LARS, LAMB])
def test_the_step_does_not_feel_the_size_of_the_gradient(kind: type) -> None:
    moves = []
    for scale in (1.0, 1e4):
        w = weight()
        w.grad = scale * torch.tensor(G).double()
        kind([w], lr=0.1).step()
        moves.append(w.data)
    torch.testing.assert_close(*moves, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", [LARS, LAMB])
@pytest.mark.parametrize(
    ("w", "g"), [([[0.0, 0.0]], [[1.0, 1.0]]), ([[1.0, 1.0]], [[0.0, 0.0]])]
)
def test_zero_weights_and_zero_gradients_take_the_ratio_one(kind, w, g) -> None:
    w = weight(w)
    before = w.data.clone()
    w.grad = torch.tensor(g).double()
    kind([w], lr=0.1).step()
    moved = (before - w.data).norm().item()
    size = {LARS: 0.1 * 2**0.5, LAMB: 0.1 * 2**0.5}[kind] if w.grad.any() else 0.0
    assert moved == pytest.approx(size, rel=1e-5)


@pytest.mark.parametrize("kind", [LARS, LAMB])
def test_state_survives_and_a_closure_is_called(kind: type) -> None:
    w = weight()
    step = kind([w], lr=0.1)

    def closure() -> torch.Tensor:
        step.zero_grad()
        loss = w.square().sum()
        loss.backward()
        return loss

    assert step.step(closure).item() == 25.0
    twin = weight()
    twin.data = w.data.clone()
    again = kind([twin], lr=0.1)
    again.load_state_dict(copy.deepcopy(step.state_dict()))
    for one, optimiser in ((w, step), (twin, again)):
        one.grad = torch.tensor(G).double()
        optimiser.step()
    assert torch.equal(w.data, twin.data)


def test_wrong_options_are_refused() -> None:
    for kind in (LARS, LAMB):
        with pytest.raises(ValueError, match=r"lr is 0\.0: expected a positive"):
            kind([weight()], lr=0.0)
        with pytest.raises(ValueError, match="weight_decay is -1: expected a finite"):
            kind([weight()], lr=0.1, weight_decay=-1)
    with pytest.raises(ValueError, match="momentum is 1: expected a number in"):
        LARS([weight()], lr=0.1, momentum=1)
    with pytest.raises(ValueError, match="trust is -1: expected a positive"):
        LARS([weight()], lr=0.1, trust=-1)
    with pytest.raises(ValueError, match=r"betas is \(0\.9, 1\.0\): expected two"):
        LAMB([weight()], lr=0.1, betas=(0.9, 1.0))
    with pytest.raises(ValueError, match="eps is 0: expected a positive"):
        LAMB([weight()], lr=0.1, eps=0)


def test_noise_scale_is_the_unbiased_variance_of_samples() -> None:
    g = torch.randn(12, 5, generator=torch.Generator().manual_seed(0)).double() + 1
    found = noise_scale(
        g.square().sum(dim=1).mean().item(), g.mean(dim=0).square().sum().item(), 1, 12
    )
    variance = g.var(dim=0).sum().item()
    assert found.noise == pytest.approx(variance, rel=1e-12)
    signal = g.mean(dim=0).square().sum().item() - variance / 12
    assert found.signal == pytest.approx(signal, rel=1e-12)
    assert found.batch == pytest.approx(variance / signal, rel=1e-12)


def test_noise_scale_of_equal_gradients_is_zero_and_of_no_signal_infinite() -> None:
    assert noise_scale(2.0, 2.0, 4, 8).batch == 0
    assert noise_scale(4.0, 1.0, 1, 4).batch == math.inf


def test_rates() -> None:
    assert linear_rate(0.1, 1024, 256) == pytest.approx(0.4)
    assert root_rate(0.1, 1024, 256) == pytest.approx(0.2)
    assert linear_rate(0.1, 64, 256) == pytest.approx(0.025)


def test_wrong_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="large is 4: expected at least 5"):
        noise_scale(1.0, 1.0, 4, 4)
    with pytest.raises(ValueError, match="small is 0: expected at least 1"):
        noise_scale(1.0, 1.0, 0, 4)
    with pytest.raises(ValueError, match=r"small_square is -1\.0: expected a finite"):
        noise_scale(-1.0, 1.0, 1, 4)
    with pytest.raises(ValueError, match="large_square is nan: expected a finite"):
        noise_scale(1.0, math.nan, 1, 4)
    for rule in (linear_rate, root_rate):
        with pytest.raises(ValueError, match="rate is 0: expected a positive"):
            rule(0, 2, 1)
        with pytest.raises(ValueError, match="batch is 0: expected at least 1"):
            rule(0.1, 0, 1)
        with pytest.raises(TypeError, match=r"base is 1\.5: expected an int"):
            rule(0.1, 2, 1.5)
