"""Damped equations by any factorisation, and the rules that choose the damping."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pinn import GainRatio, HardPINN, JetFNN, LevenbergMarquardt, TargetRatio, zoo
from pinn.optimizers.normal_equations import NormalEquations
from pinn.optimizers.trust_region import Marquardt, Spectrum, Trial, longest
from tests.pinn.cases import rough, seeded

SHAPES = {"tall": (30, 7), "wide": (5, 9), "square": (6, 6)}
CONTROLS = [None, GainRatio(), TargetRatio(0.075), TargetRatio(0.5, probes=4)]


def linear(shape: str, scale: float = 1.0) -> tuple[Tensor, Tensor, NormalEquations]:
    """Residuals ``A p + b`` at ``p = 0``: the Jacobian is ``A``."""
    m, n = SHAPES[shape]
    A = scale * torch.randn(m, n, generator=seeded(), dtype=torch.float64)
    b = torch.randn(m, generator=seeded(1), dtype=torch.float64)
    p = torch.zeros(n, dtype=torch.float64, requires_grad=True)
    return A, b, NormalEquations(lambda: A @ p + b, [p], 10**6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("lam", [1e-30, 1e-3, 10.0])
def test_damped_equations_are_solved_by_any_factorisation(
    shape: str, lam: float
) -> None:
    """The smallest damping is below what is safe for Cholesky: QR and SVD."""
    A, b, equations = linear(shape)
    assert (lam < equations.safe) == (lam == 1e-30)
    n = A.shape[1]
    stacked = torch.cat([A, math.sqrt(lam) * torch.eye(n).double()])
    right = torch.cat([-b, torch.zeros(n).double()])
    expected = torch.linalg.lstsq(stacked, right[:, None], driver="gelsd").solution
    assert torch.allclose(equations.solve(lam), expected[:, 0], rtol=1e-9, atol=1e-11)
    if lam == 1e-30:
        return
    other = torch.randn(n, generator=seeded(2), dtype=torch.float64)
    found = equations.solve_for(other, lam)
    damped = A.T @ A + lam * torch.eye(n).double()
    assert torch.allclose(damped @ found, -other, atol=1e-11)


def test_cholesky_is_left_where_it_goes_wrong() -> None:
    """Singular values of 1 to 1e-7: at small damping the formed matrix misleads."""
    A, b, _ = linear("tall")
    U, _, Vh = torch.linalg.svd(A, full_matrices=False)
    A = U @ torch.diag(torch.logspace(0, -7, 7, dtype=torch.float64)) @ Vh
    p = torch.zeros(7, dtype=torch.float64, requires_grad=True)
    equations = NormalEquations(lambda: A @ p + b, [p], 10**6)
    lam = 1e-15
    assert lam < equations.safe < 1e-13
    stacked = torch.cat([A, math.sqrt(lam) * torch.eye(7).double()])
    right = torch.cat([-b, torch.zeros(7).double()])[:, None]
    exact = torch.linalg.lstsq(stacked, right, driver="gelsd").solution[:, 0]
    assert torch.allclose(equations.solve(lam), exact, rtol=1e-7)
    gram = A.T @ A + lam * torch.eye(7).double()
    formed = torch.linalg.solve(gram, -A.T @ b)
    assert (formed - exact).norm() > 1e-5 * exact.norm()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_secular_equation_gives_every_radius_its_damping(shape: str) -> None:
    _, _, equations = linear(shape)
    spectrum = Spectrum(*equations.spectrum())
    whole = spectrum.length(1e-9)
    for share in (0.9, 0.3, 1e-2, 1e-5):
        lam = spectrum.damping(share * whole, 1e-9)
        assert spectrum.length(lam) == pytest.approx(share * whole, rel=1e-10)
        assert torch.allclose(spectrum.step(lam), equations.solve(lam), atol=1e-11)
    assert spectrum.damping(2 * whole, 1e-9) == 1e-9, "no step is as long"


@pytest.mark.parametrize("shape", SHAPES)
def test_a_linear_problem_falls_as_the_model_expects(shape: str) -> None:
    A, b, equations = linear(shape)
    before = b.square().sum().item()
    trial = Trial(equations, before, lambda d: 0.0, lambda d, lam: d, 1)
    spectrum = Spectrum(*equations.spectrum())
    for lam in (1e-2, 1.0, 50.0):
        d = equations.solve(lam)
        fall = before - (A @ d + b).square().sum().item()
        assert trial.expected(d, lam) == pytest.approx(fall, rel=1e-10)
        assert spectrum.expected(lam) == pytest.approx(fall, rel=1e-10)


def test_the_longest_radius_that_reaches_the_target_is_taken() -> None:
    radii = np.geomspace(1, 16, 5)
    falling = [0.9, 0.7, 0.5, 0.3, 0.1]
    assert longest(radii, falling, 0.5) == pytest.approx(4.0, rel=0.02)
    assert longest(radii, falling, 0.05) == pytest.approx(16.0)
    assert longest(radii, falling, 0.95) == pytest.approx(1.0)
    again = [0.9, 0.2, 0.8, 0.8, 0.8]  # what comes back does not count
    assert longest(radii, again, 0.5) < 2.0


def rosenbrock(x: Tensor) -> Tensor:
    return torch.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("geodesic", [False, True])
def test_every_rule_solves_rosenbrock_and_never_climbs(
    control: object, geodesic: bool
) -> None:
    x = torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True)
    optimizer = LevenbergMarquardt(
        [x], lambda: rosenbrock(x), geodesic=geodesic, control=control
    )
    losses = [optimizer.step().item() for _ in range(60)]
    assert all(b <= a for a, b in zip(losses, losses[1:], strict=False))
    assert losses[-1] < 1e-20 and torch.allclose(x, torch.ones(2).double())


@pytest.mark.parametrize("wide", [False, True])
def test_the_acceleration_is_that_of_a_quadratic(wide: bool) -> None:
    """For residuals of second degree the difference is exact: r_vv = 2 q(d)."""
    n = 4
    m = 3 if wide else 9
    A = torch.randn(m, n, generator=seeded(), dtype=torch.float64)
    Q = 0.02 * torch.randn(m, n, n, generator=seeded(1), dtype=torch.float64)
    b = torch.randn(m, generator=seeded(2), dtype=torch.float64)
    p = torch.zeros(n, dtype=torch.float64, requires_grad=True)

    def residuals() -> Tensor:
        return A @ p + torch.einsum("mij,i,j->m", Q, p, p) + b

    optimizer = LevenbergMarquardt([p], residuals, damping=0.5, geodesic=True)
    optimizer.step()
    damped = A.T @ A + 0.5 * torch.eye(n).double()
    d = -torch.linalg.solve(damped, A.T @ b)
    bent = 2 * torch.einsum("mij,i,j->m", Q, d, d)
    a = -torch.linalg.solve(damped, A.T @ bent)
    assert a.norm() < 0.75 * d.norm() and a.norm() > 1e-3 * d.norm()
    assert torch.allclose(p, d + a / 2, atol=1e-11)


def test_curvature_that_is_too_strong_is_not_followed() -> None:
    p = torch.zeros(1, dtype=torch.float64, requires_grad=True)

    def residuals() -> Tensor:
        return torch.cat([p - 1, 100 * p**2, 0 * p])

    steps = []
    optimizer = LevenbergMarquardt([p], residuals, damping=1e-3, geodesic=True)
    move = optimizer._move
    optimizer._move = lambda x, d: (steps.append(d.clone()), move(x, d))[1]
    optimizer.step()
    tried = [d for d in steps if d.abs().max() > 0]
    assert torch.allclose(tried[2], 10 * tried[0], rtol=1e-12), "the plain step"


def test_dampings_follow_their_rules() -> None:
    A, b, equations = linear("tall")

    def state_after(control: object, falls: list[float]) -> tuple[bool, float]:
        before = b.square().sum().item()
        left = iter(falls)
        state = {"damping": 1.0}

        def loss(d: Tensor) -> float:
            return before - next(left) * trial.expected(d, state["damping"])

        trial = Trial(equations, before, loss, lambda d, lam: d, 3)
        return control.search(trial, state), state["damping"]

    assert state_after(GainRatio(), [1.0]) == (True, pytest.approx(0.2))
    assert state_after(GainRatio(), [0.6]) == (True, pytest.approx(1 - 0.2**3))
    assert state_after(GainRatio(), [0.1]) == (True, 2.0)
    assert state_after(GainRatio(), [-1.0, 1e-4, 1.0]) == (True, pytest.approx(3.2))
    assert state_after(GainRatio(), [-1.0] * 3) == (False, 64.0)
    assert state_after(Marquardt(), [0.1]) == (True, pytest.approx(1 / 3))
    assert state_after(Marquardt(), [-1.0, -1.0, 0.1])[1] == pytest.approx(4 / 3)
    assert state_after(Marquardt(), [math.nan] * 3) == (False, 8.0)


@pytest.mark.parametrize("control", [GainRatio(), TargetRatio()])
def test_pinns_are_trained_by_every_rule(control: object) -> None:
    problem = zoo.heat()
    data = HardPINN(80).data(problem)
    net = JetFNN([2, 6, 1], generator=seeded())
    net.apply_output_transform(problem.hard)
    optimizer = LevenbergMarquardt(
        rough(net).parameters(),
        lambda: data.residual_vector(net),
        geodesic=True,
        control=control,
    )
    losses = [optimizer.step().item() for _ in range(24)]
    assert losses[-1] < 0.1 * losses[0]


def test_what_is_no_rule_is_refused() -> None:
    x = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    with pytest.raises(TypeError, match="control.search is 'gain': expected a func"):
        LevenbergMarquardt([x], lambda: x, control="gain")
    for target in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match=f"target is {target}: expected a number"):
            TargetRatio(target)
    with pytest.raises(ValueError, match="probes is 1: expected at least 2"):
        TargetRatio(0.5, probes=1)
    with pytest.raises(TypeError, match="probes is 2.5: expected an int"):
        TargetRatio(0.5, probes=2.5)
