"""One statement, and what follows from it."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pinn import Jet, Problem, Wanted, divergence, jet_of, zoo
from pinn._backend import dde
from pinn.probing import find_jump

LINE = dde.geometry.Interval(0, 1)
pi = math.pi


def network(dim: int, components: int = 1) -> torch.nn.Module:
    torch.manual_seed(0)
    return dde.nn.FNN([dim, 12, 12, components], "tanh", "Glorot normal")


def burgers_pde(x: Tensor, y: Tensor) -> Tensor:
    """DeepXDE's example Burgers.py."""
    dy_x = dde.grad.jacobian(y, x, i=0, j=0)
    dy_t = dde.grad.jacobian(y, x, i=0, j=1)
    dy_xx = dde.grad.hessian(y, x, i=0, j=0)
    return dy_t + y * dy_x - 0.01 / np.pi * dy_xx


def poisson_pde(x: Tensor, y: Tensor) -> Tensor:
    """DeepXDE's Poisson_Dirichlet_1d.py with the steep problem's source."""
    dy_xx = dde.grad.hessian(y, x)
    return -dy_xx - zoo.poisson_1d_steep().source(x, y)


def heat_pde(x: Tensor, y: Tensor) -> Tensor:
    """DeepXDE's heat.py."""
    dy_t = dde.grad.jacobian(y, x, i=0, j=1)
    dy_xx = dde.grad.hessian(y, x, i=0, j=0)
    return dy_t - 0.4 * dy_xx


def helmholtz_pde(x: Tensor, y: Tensor) -> Tensor:
    """DeepXDE's Helmholtz_Dirichlet_2d.py."""
    dy_xx = dde.grad.hessian(y, x, i=0, j=0)
    dy_yy = dde.grad.hessian(y, x, i=1, j=1)
    k0 = 2 * np.pi * 2
    f = k0**2 * torch.sin(k0 * x[:, 0:1]) * torch.sin(k0 * x[:, 1:2])
    return -dy_xx - dy_yy - k0**2 * y - f


def kovasznay_pde(x: Tensor, u: Tensor) -> list[Tensor]:
    """DeepXDE's Kovasznay_flow.py."""
    u_vel, v_vel, _ = u[:, 0:1], u[:, 1:2], u[:, 2:]
    J, H = dde.grad.jacobian, dde.grad.hessian
    u_x, u_y = J(u, x, i=0, j=0), J(u, x, i=0, j=1)
    v_x, v_y = J(u, x, i=1, j=0), J(u, x, i=1, j=1)
    p_x, p_y = J(u, x, i=2, j=0), J(u, x, i=2, j=1)
    lap_u = H(u, x, component=0, i=0, j=0) + H(u, x, component=0, i=1, j=1)
    lap_v = H(u, x, component=1, i=0, j=0) + H(u, x, component=1, i=1, j=1)
    mass = u_x + v_y
    # In the balance law the convection is div(w w) = w . grad w + w div w.
    momentum_x = u_vel * u_x + v_vel * u_y + p_x - lap_u / 20 + u_vel * mass
    momentum_y = u_vel * v_x + v_vel * v_y + p_y - lap_v / 20 + v_vel * mass
    return [momentum_x, momentum_y, mass]


@pytest.mark.parametrize(
    "problem, pde",
    [
        (zoo.burgers(), burgers_pde),
        (zoo.poisson_1d_steep(), poisson_pde),
        (zoo.heat(), heat_pde),
        (zoo.helmholtz_2d(), helmholtz_pde),
        (zoo.kovasznay(), kovasznay_pde),
    ],
    ids=["burgers", "poisson", "heat", "helmholtz", "kovasznay"],
)
def test_the_residual_is_that_of_deepxdes_own_script(problem: Problem, pde) -> None:
    net = network(problem.dim, problem.components)
    x, _, _ = problem.probes()
    ours = problem.strong_residual(x, jet_of(net, x, problem.wanted))
    inputs = x.clone().requires_grad_()
    theirs = pde(inputs, net(inputs))
    dde.grad.clear()
    theirs = torch.cat(theirs, dim=1) if isinstance(theirs, list) else theirs
    assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_the_divergence_of_a_variable_coefficient_equals_nested_autograd() -> None:
    def flux(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        k = 1 + x[:, :1] ** 2 * torch.sin(x[:, 1:])
        return torch.stack([u**2 / 2 - k * p[..., 0], u * torch.exp(p[..., 1])], dim=-1)

    net = network(2)
    x = torch.rand(20, 2, dtype=torch.float64, requires_grad=True)
    u = net(x)
    p = torch.autograd.grad(u.sum(), x, create_graph=True)[0][:, None, :]
    F = flux(x, u, p)
    rows = [torch.autograd.grad(F[:, 0, i].sum(), x, create_graph=True)[0][:, i]
            for i in (0, 1)]  # fmt: skip
    jet = jet_of(net, x, Wanted.all(2))
    assert torch.allclose(divergence(flux, x, jet)[:, 0], sum(rows), atol=1e-14)


def test_only_the_derivatives_that_a_problem_reads_are_computed() -> None:
    problem = zoo.burgers()
    x, _, _ = problem.probes()
    jet = jet_of(network(2), x, problem.wanted)
    assert jet.H[..., 0, 0].isfinite().all()
    assert jet.H[..., 0, 1].isnan().all() and jet.H[..., 1, 1].isnan().all()
    assert problem.strong_residual(x, jet).isfinite().all()


def test_the_normal_flux_is_the_flux_along_the_normal() -> None:
    problem = zoo.burgers(nu=0.1)
    x = torch.rand(5, 2, dtype=torch.float64)
    jet = jet_of(network(2), x, problem.flux_wanted)
    along_x = torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(5, 2)
    expected = jet.u**2 / 2 - 0.1 * jet.p[..., 0]  # u_x, and not u_xx
    assert torch.allclose(problem.normal_flux(x, jet, along_x), expected)
    along_t = along_x.flip(1)
    assert torch.allclose(problem.normal_flux(x, jet, along_t), jet.u)


def test_the_divergence_theorem_on_a_box() -> None:
    problem = zoo.kovasznay()
    net = network(2, 3)
    q, w = np.polynomial.legendre.leggauss(24)
    q, w = torch.tensor(q), torch.tensor(w)
    inner = torch.cartesian_prod(q, q)
    weights = torch.outer(w, w).reshape(-1, 1)
    jet = jet_of(net, inner, problem.wanted)
    volume = (weights * problem.strong_residual(inner, jet)).sum(0)
    total = torch.zeros(3, dtype=torch.float64)
    for axis in (0, 1):
        for side in (-1.0, 1.0):
            face = torch.stack([q, torch.full_like(q, side)], 1)
            face = face if axis == 1 else face.flip(1)
            normal = torch.zeros_like(face)
            normal[:, axis] = side
            jet = jet_of(net, face, problem.wanted)
            total += (w[:, None] * problem.normal_flux(face, jet, normal)).sum(0)
    assert torch.allclose(volume, total, atol=1e-10)


def test_what_the_source_reads_is_noticed() -> None:
    assert not zoo.poisson_1d_steep().source_uses_u
    assert zoo.helmholtz_2d().source_uses_u


@pytest.mark.parametrize(
    "make, error, message",
    [
        (
            lambda: Problem("line", lambda x, u, p: p),
            TypeError,
            "geometry is of type str",
        ),
        (lambda: Problem(LINE), ValueError, "neither of flux and residual given"),
        (
            lambda: Problem(LINE, lambda x, u, p: p, residual=lambda x, y: y),
            ValueError,
            "both of flux and residual given",
        ),
        (lambda: Problem(LINE, flux=3), TypeError, "flux is 3: expected a function"),
        (
            lambda: Problem(LINE, residual=lambda x, y, integral: y),
            TypeError,
            r"residual takes \(x, y, integral\): expected residual\(x, y\), with",
        ),
        (
            lambda: Problem(LINE, lambda x, u, p: -np.exp(u)[..., None] * p),
            TypeError,
            r"flux\(x, u, p\) cannot be differentiated .* not of numpy",
        ),
        (
            lambda: Problem(LINE, lambda x, u: u),
            TypeError,
            r"flux takes \(x, u\): expected flux\(x, u, p\)",
        ),
        (
            lambda: Problem(LINE, lambda x, u, p: p, lambda x: x),
            TypeError,
            r"source takes \(x\): expected source\(x, u\)",
        ),
        (
            lambda: Problem(LINE, lambda x, u, p: u),
            ValueError,
            r"flux\(x, u, p\) has shape \(32, 1\): expected \(32, equations, 1\)",
        ),
        (
            lambda: Problem(LINE, lambda x, u, p: p, lambda x, u: x[:, 0]),
            ValueError,
            r"source\(x, u\) has shape \(32,\): expected \(32, 1\)",
        ),
        (
            lambda: Problem(LINE, lambda x, u, p: p, conditions=["zero"]),
            TypeError,
            r"conditions\[0\] is 'zero'",
        ),
        (
            lambda: Problem(
                LINE,
                lambda x, u, p: p,
                conditions=[
                    dde.icbc.DirichletBC(LINE, abs, lambda x, on: on, component=1)
                ],
            ),
            ValueError,
            r"conditions\[0\] is on component 1 but the problem has 1",
        ),
        (
            lambda: Problem(LINE, lambda x, u, p: p, components=0),
            ValueError,
            "components is 0",
        ),
    ],
)
def test_bad_input_is_refused(make, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_coefficient_that_multiplies_points_with_points_is_named() -> None:
    line = dde.geometry.Interval(0, 1)
    with pytest.raises(ValueError, match=r"c\[\.\.\., None\] \* p"):
        Problem(line, lambda x, u, p: -(1 + x) * p, lambda x, u: 0 * u)
    Problem(line, lambda x, u, p: -(1 + x)[..., None] * p, lambda x, u: 0 * u)


def test_functions_with_defaults_and_built_in_ones_are_taken() -> None:
    def flux(x: Tensor, u: Tensor, p: Tensor, nu: float = 0.1) -> Tensor:
        return -nu * p

    problem = Problem(LINE, flux, lambda *given: given[0], exact=torch.sin)
    assert problem.equations == 1


def test_a_pde_that_is_no_balance_law_is_told_from_one() -> None:
    problem = Problem(LINE, residual=lambda x, y: y)
    jet = Jet(*(torch.zeros(1, 1), torch.zeros(1, 1, 1), torch.zeros(1, 1, 1, 1)))
    for call in (
        lambda: problem.strong_residual(torch.zeros(1, 1), jet),
        lambda: problem.normal_flux(torch.zeros(1, 1), jet, torch.ones(1, 1)),
    ):
        with pytest.raises(ValueError, match="this problem was stated by residual="):
            call()
    with pytest.raises(
        ValueError, match=r"normal has shape \(3, 1\): expected \(1, 2\)"
    ):
        zoo.heat().normal_flux(torch.zeros(1, 2), jet, torch.ones(3, 1))


def test_a_source_that_only_compares_u_is_noticed() -> None:
    """NaN compares false with everything: seen by values instead."""
    line = dde.geometry.Interval(0, 1)

    def stepped(x: Tensor, u: Tensor) -> Tensor:
        return torch.where(u > 40.0, 8.0, 2.0)

    assert Problem(line, lambda x, u, p: -p, stepped).source_uses_u
    assert not Problem(line, lambda x, u, p: -p, lambda x, u: x**2).source_uses_u


def test_a_coefficient_on_four_thousandths_of_the_line_is_noticed() -> None:
    line = dde.geometry.Interval(0, 1)

    def layer(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        inside = ((x - 0.5).abs() < 0.002)[..., None]
        return torch.where(inside, -p, 0 * u[..., None])

    problem = Problem(line, layer)
    assert problem.flux_wanted.first == (0,)
    assert problem.wanted.second == ((0, 0),)


def test_a_jump_of_the_flux_is_found_and_a_steep_slope_is_none() -> None:
    square = dde.geometry.Rectangle([0, 0], [1, 2])

    def jumps(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        return torch.where(x[:, 1:] < 1.3, 1.0, 1.01)[..., None] * p

    def steep(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        return (1 + torch.tanh((x[:, 1:] - 1.3) / 1e-3))[..., None] * p

    axis, place = find_jump(jumps, Problem(square, jumps).probes())
    assert axis == 1 and place == pytest.approx(1.3, abs=1e-7)
    assert find_jump(steep, Problem(square, steep).probes()) is None
