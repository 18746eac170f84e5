"""References against each other and against closed forms, to the stated accuracy."""

import math

import numpy as np
import pytest
import torch

from pinn import buckley_leverett_fan, cole_hopf, etdrk4, jet_of, zoo
from pinn.zoo.reference import _Stepper


def test_cole_hopf_agrees_with_a_spectral_solution() -> None:
    nu = 0.05
    # u_t = nu u_xx - (u^2 / 2)_x; the derivative by Fourier inside the nonlinear part.
    k = np.pi * np.arange(129)

    def convection(u: np.ndarray) -> np.ndarray:
        return -np.fft.irfft(1j * k * np.fft.rfft(u**2 / 2), 256)

    spectral = etdrk4(
        lambda x: -np.sin(np.pi * x),
        lambda k: -nu * k**2,
        convection,
        interval=(-1, 1),
        end=1.0,
        modes=256,
    )
    x = torch.rand(300, 2, generator=torch.Generator().manual_seed(1)).double()
    x[:, 0] = 2 * x[:, 0] - 1
    assert (cole_hopf(x, nu) - spectral(x)).abs().max() < 1e-9


def test_cole_hopf_has_converged_at_the_default_nodes() -> None:
    x = torch.rand(500, 2, generator=torch.Generator().manual_seed(2)).double()
    x[:, 0] = 0.2 * x[:, 0] - 0.1
    few, default, many = (cole_hopf(x, 0.01 / np.pi, nodes=n) for n in (30, 100, 160))
    assert (default - many).abs().max() < 1e-12
    assert (few - many).abs().max() > 1e-4, "the nodes do matter"


def test_cole_hopf_starts_with_the_sine_and_is_odd() -> None:
    x = torch.linspace(-1, 1, 41, dtype=torch.float64)[:, None]
    first = torch.cat([x, torch.zeros_like(x)], dim=1)
    assert torch.allclose(cole_hopf(first, 0.01), -torch.sin(torch.pi * x), atol=1e-14)
    later = torch.cat([x, torch.full_like(x, 0.7)], dim=1)
    flipped = later * torch.tensor([-1.0, 1.0], dtype=torch.float64)
    assert torch.allclose(cole_hopf(later, 0.01), -cole_hopf(flipped, 0.01), atol=1e-13)


def test_etdrk4_is_of_fourth_order() -> None:
    def error(steps: int) -> float:
        # u' = u - u^3 from 0.3 to t = 2, in closed form.
        stepper = _Stepper(np.ones(5), lambda u: -(u**3), 2.0 / steps)
        v = np.fft.rfft(np.full(8, 0.3))
        for _ in range(steps):
            v = stepper(v)
        exact = 1 / math.sqrt(1 + (1 / 0.09 - 1) * math.exp(-4.0))
        return abs(np.fft.irfft(v)[0] - exact)

    assert math.log2(error(20) / error(40)) == pytest.approx(4, abs=0.2)


def test_etdrk4_integrates_the_linear_part_exactly() -> None:
    wave = etdrk4(
        lambda x: np.sin(3 * x),
        lambda k: -(k**2),
        np.zeros_like,
        interval=(0, 2 * math.pi),
        end=0.5,
        modes=16,
        step=0.5,
    )
    x = torch.tensor([[0.7, 0.31]], dtype=torch.float64)
    assert wave(x).item() == pytest.approx(
        math.sin(2.1) * math.exp(-9 * 0.31), abs=1e-13
    )


def test_allen_cahn_has_converged() -> None:
    def solve(modes: int, step: float) -> object:
        return etdrk4(
            lambda x: x**2 * np.cos(np.pi * x),
            lambda k: 5 - 1e-4 * k**2,
            lambda u: -5 * u**3,
            interval=(-1, 1),
            end=1.0,
            modes=modes,
            step=step,
        )

    x = torch.rand(200, 2, generator=torch.Generator().manual_seed(1)).double()
    x[:, 0] = 2 * x[:, 0] - 1
    late = x[x[:, 1] > 0.1]
    gap = solve(2048, 5e-4)(late) - zoo.allen_cahn().exact(late)
    assert gap.abs().max() < 1e-6


def test_the_fan_is_a_solution_up_to_its_shock() -> None:
    fan = zoo.buckley_leverett().exact
    x = torch.tensor([[0.3, 0.4], [0.1, 0.25]], dtype=torch.float64)
    ahead = jet_of(fan, x, zoo.buckley_leverett().wanted)
    step = 1e-6
    moved = x + torch.tensor([step, 0.0])
    slope = (fan(moved) - fan(x)) / step
    assert torch.allclose(ahead.p[..., 0], slope, atol=1e-5)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: cole_hopf(torch.zeros(3, 1), 0.1), r"x has shape \(3, 1\)"),
        (lambda: cole_hopf(torch.zeros(3, 2), -0.1), "nu is -0.1"),
        (lambda: cole_hopf(torch.full((1, 2), torch.nan), 0.1), r"x\[0, 0\] is nan"),
        (lambda: buckley_leverett_fan(torch.zeros(1, 2), 0.0), "mobility is 0.0"),
        (
            lambda: etdrk4(np.cos, abs, abs, interval=(0, 1), end=1.0, modes=9),
            "modes is 9",
        ),
        (
            lambda: etdrk4(np.cos, abs, abs, interval=(0, 1), end=-1.0),
            "end is -1.0",
        ),
    ],
)
def test_bad_input_is_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
    with pytest.raises(TypeError, match="torch.int64"):
        cole_hopf(torch.zeros(3, 2, dtype=torch.int64), 0.1)
