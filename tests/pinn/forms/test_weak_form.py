"""The weak form: every way of writing it is the same number."""

import warnings

import pytest
import torch
from torch import Tensor

from pinn import Mesh, Problem, WeakForm, gauss_lobatto, jet_of, zoo
from pinn._backend import dde

CORNERS = {
    1: dde.geometry.Interval(-0.5, 1.3),
    2: dde.geometry.Rectangle([-0.5, 0.2], [1.3, 0.9]),
    3: dde.geometry.Cuboid([-0.5, 0.2, 0], [1.3, 0.9, 2]),
}
EDGES = [[-0.5, 0.1, 1.3], [0.2, 0.3, 0.9], [0.0, 0.7, 2.0]]


def polynomial_problem(dim: int, components: int, seed: int):
    """A random flux linear in the gradient, and a random polynomial to put into it."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    A = draw(components, dim, components, dim)
    B, c = draw(components, dim, components), draw(components, dim, dim)
    coefficients = draw(components, 4, dim)

    def flux(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        linear = torch.einsum("eicj,ncj->nei", A, p)
        drift = torch.einsum("eic,nc->nei", B, u**2)
        return linear + drift + torch.einsum("eij,nj->nei", c, x)

    def source(x: Tensor, u: Tensor) -> Tensor:
        return x.sum(1, True) * u

    def u(x: Tensor) -> Tensor:
        powers = torch.stack([x**k for k in range(4)], dim=1)  # (batch, 4, dim)
        return torch.einsum("ckj,nkj->nc", coefficients, powers) + x.prod(1, True)

    return Problem(CORNERS[dim], flux, source, components=components), u


@pytest.mark.parametrize("hats", [False, True])
@pytest.mark.parametrize("dim, components", [(1, 1), (2, 1), (2, 2), (3, 1)])
def test_none_one_and_two_integrations_by_parts_agree(
    dim: int, components: int, hats: bool
) -> None:
    problem, u = polynomial_problem(dim, components, seed=dim)
    mesh = Mesh(problem.geometry, EDGES[:dim], degree=3)
    residuals = []
    for integrations in (0, 1, 2):
        form = WeakForm(problem, mesh, points=9, hats=hats, integrations=integrations)
        residuals.append(form.residual(jet_of(u, form.x, form.wanted)))
    scale = residuals[0].abs().max().item()
    assert scale > 1e-2
    none, one, two = residuals
    assert torch.allclose(none, one, atol=1e-12 * scale, rtol=1e-10)
    assert torch.allclose(none, two, atol=1e-12 * scale, rtol=1e-10)


def test_lobatto_points_give_the_same_integrals() -> None:
    problem, u = polynomial_problem(2, 1, seed=5)
    mesh = Mesh(problem.geometry, EDGES[:2], degree=3)
    forms = [WeakForm(problem, mesh, points=n, rule=r, hats=True)
             for n, r in ((9, gauss_lobatto), (12, gauss_lobatto))]  # fmt: skip
    forms.append(WeakForm(problem, mesh, points=8, hats=True))
    a, b, c = (f.residual(jet_of(u, f.x, f.wanted)) for f in forms)
    assert torch.allclose(a, b, atol=1e-12) and torch.allclose(a, c, atol=1e-12)


def test_the_residual_is_the_integral_written_out_by_hand() -> None:
    # -u'' = 2 on [0, 3], with u = x^3 instead: int (-6x - 2) v, v = P_2 - P_0.
    problem = Problem(dde.geometry.Interval(0, 3), lambda x, u, p: -p,
                      lambda x, u: 2 + 0 * x)  # fmt: skip
    form = WeakForm(problem, Mesh(problem.geometry, 1, degree=1), points=6)
    R = form.residual(jet_of(lambda x: x**3, form.x, form.wanted))
    # v = 3/2 (xi^2 - 1): int v dx = -3, int x v dx = -9/2; |v'|^2 = 2 * 3 / 1.5.
    assert R.item() == pytest.approx((-6 * -4.5 - 2 * -3) / 2, abs=1e-13)


def test_time_is_integrated_by_parts_like_space_and_asks_for_no_derivative() -> None:
    form = WeakForm(zoo.burgers(), Mesh(zoo.burgers().geometry, 1, degree=2))
    assert form.wanted.first == (0,) and form.wanted.second == ()
    advection = zoo.advection()
    form = WeakForm(advection, Mesh(advection.geometry, 1, degree=2))
    assert form.wanted.first == ()


def test_tests_of_lower_degree_are_a_part_of_those_of_higher_degree() -> None:
    problem, u = polynomial_problem(2, 1, seed=6)
    mesh = Mesh(problem.geometry, EDGES[:2], degree=2)
    finer = mesh.refine(torch.tensor([True, False, False, True]), degree=2)
    a = WeakForm(problem, mesh, points=9)
    b = WeakForm(problem, finer, points=9)
    Ra, Rb = (f.residual(jet_of(u, f.x, f.wanted)) for f in (a, b))
    assert len(Ra) == 4 * 4 and len(Rb) == 2 * 4 + 2 * 16
    assert torch.allclose(Ra[a.element == 1], Rb[b.element == 1])
    square = Rb[b.element == 0].view(4, 4)[:2, :2].reshape(-1, 1)
    assert torch.allclose(Ra[a.element == 0], square)


def test_the_estimator_finds_the_element_that_is_wrong() -> None:
    problem = zoo.poisson_1d_steep()
    mesh = Mesh(problem.geometry, 40, degree=6)
    form = WeakForm(problem, mesh, points=30)

    def dented(x: Tensor) -> Tensor:
        return problem.exact(x) + 0.01 * torch.exp(-((x - 0.52) ** 2) / 1e-4)

    norm = form.element_norm(form.residual(jet_of(dented, form.x, form.wanted)))
    assert norm.shape == (40,)
    assert norm.argmax().item() == 30  # from 0.5 to 0.55


def test_residuals_are_differentiable() -> None:
    problem, _ = polynomial_problem(2, 1, seed=7)
    form = WeakForm(problem, Mesh(problem.geometry, 1, degree=2), points=4, hats=True)
    theta = torch.randn(3, dtype=torch.float64, requires_grad=True)

    def residual(theta: Tensor) -> Tensor:
        def u(x: Tensor) -> Tensor:
            return (torch.sin(x * theta[0]) * theta[1]).sum(1, True) + theta[2]

        return form.residual(jet_of(u, form.x, form.wanted))

    assert torch.autograd.gradcheck(residual, theta)


def test_too_few_points_are_named_with_the_number_needed() -> None:
    problem = zoo.heat()
    mesh = Mesh(problem.geometry, 1, degree=6)
    with pytest.warns(UserWarning, match="5 quadrature points .* at least 7"):
        WeakForm(problem, mesh, points=5)
    with pytest.warns(UserWarning, match="7 quadrature points .* at least 8"):
        WeakForm(problem, mesh, points=7, rule=gauss_lobatto)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WeakForm(problem, mesh, points=7)


def test_bad_input_is_refused() -> None:
    heat = zoo.heat()
    mesh = Mesh(heat.geometry, 1, degree=2)
    with pytest.raises(ValueError, match="integrations is 3"):
        WeakForm(heat, mesh, integrations=3)
    plain = Problem(heat.geometry, residual=lambda x, y: y)
    with pytest.raises(ValueError, match="WeakForm needs a balance law"):
        WeakForm(plain, mesh)
    porous = Problem(heat.geometry, lambda x, u, p: u[..., None] * p)
    with pytest.raises(
        ValueError, match="integrations is 2 but the flux is not linear"
    ):
        WeakForm(porous, mesh, integrations=2)


def test_float32_is_followed() -> None:
    problem, u = polynomial_problem(2, 1, seed=8)
    form = WeakForm(problem, Mesh(problem.geometry, 2, degree=2), hats=True)
    exact = form.residual(jet_of(u, form.x, form.wanted))
    single = Problem(problem.geometry, lambda x, u, p: p, None)
    form = WeakForm(single, Mesh(problem.geometry, 2, degree=2), hats=True)
    x = form.to(torch.zeros(1)).x
    assert x.dtype == torch.float32 and exact.dtype == torch.float64
    R = form.residual(jet_of(lambda x: x[:, :1] ** 2, x, form.wanted))
    assert R.dtype == torch.float32


def test_a_source_that_learns_is_computed_at_every_call() -> None:
    line = dde.geometry.Interval(0, 1)
    strength = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    problem = Problem(line, lambda x, u, p: -p, lambda x, u: strength * (1 + 0 * x))
    form = WeakForm(problem, Mesh(line, 2, degree=3))
    jet = jet_of(lambda x: 0 * x, form.x, form.wanted)
    with torch.no_grad():  # a look at the loss must not freeze it either
        before = form.residual(jet)
    loss = form.residual(jet).square().sum()
    (slope,) = torch.autograd.grad(loss, strength)
    assert slope.item() == pytest.approx(2 * loss.item() / 0.3, rel=1e-12)
    with torch.no_grad():
        strength.mul_(2)
        assert torch.allclose(form.residual(jet), 2 * before, rtol=1e-12)


def test_a_source_that_compares_u_is_computed_at_every_call() -> None:
    line = dde.geometry.Interval(0, 1)
    problem = Problem(
        line, lambda x, u, p: -p, lambda x, u: torch.where(u > 0.2, 8.0, 2.0)
    )
    form = WeakForm(problem, Mesh(line, 2, degree=3))
    low, high = (
        form.residual(jet_of(lambda x, c=c: c + 0 * x, form.x, form.wanted))
        for c in (0.1, 0.3)
    )
    assert torch.allclose(high, 4 * low, rtol=1e-12) and low.abs().max() > 0.1


def test_faces_read_the_coefficient_of_their_own_element() -> None:
    """The flux of the exact solution is continuous, so hats see no residual."""
    line = dde.geometry.Interval(0, 1)
    problem = Problem(
        line, lambda x, u, p: -torch.where(x < 0.5, 1.0, 10.0)[..., None] * p
    )
    form = WeakForm(problem, Mesh(line, [[0, 0.5, 1]], degree=2), hats=True)
    volume = form._volume_points
    slope = torch.where(form.x < 0.5, 10.0, 1.0).double()[..., None]
    left = torch.tensor([True, False, True, False])  # faces: left ends, then right
    slope[volume:, 0, 0] = torch.where(torch.tensor([True, False] * 2), 10.0, 1.0)
    assert len(left) == len(form.x) - volume
    jet = jet_of(lambda x: 0 * x, form.x, form.wanted)
    exact = type(jet)(jet.u, slope, jet.H)
    assert form.residual(exact).abs().max() < 1e-12
