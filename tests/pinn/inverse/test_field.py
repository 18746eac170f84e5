"""A field is its hats; with a prior, data have one most probable field."""

import math

import pytest
import torch
from torch import Tensor

from pinn import HardPINN, Problem, fem
from pinn import inverse as i
from pinn.domains.mesh import Mesh
from tests.pinn.inverse.cases import ENDS, HARD, LINE

DOUBLE = {"dtype": torch.float64}
KNOTS = torch.tensor([0.0, 0.1, 0.4, 0.5, 1.0], **DOUBLE)


def plane() -> i.Field:
    """Return a field of the first and the last of three coordinates."""
    return i.Field(
        "c", [KNOTS, torch.tensor([-1.0, 0.0, 2.0], **DOUBLE)], (0, 2), start=1
    )


def test_what_is_linear_in_each_coordinate_is_met_with_its_slopes() -> None:
    c = plane()
    a, b = torch.meshgrid(*c.grid, indexing="ij")
    c.set(1 + 2 * a - 3 * b + 4 * a * b)
    g = torch.Generator().manual_seed(0)
    x = torch.rand(50, 3, generator=g, **DOUBLE) * torch.tensor([1.0, 9.0, 3.0])
    x = x - torch.tensor([0.0, 0.0, 1.0], **DOUBLE)
    x[:5, 0] = KNOTS  # at the knots, too
    x.requires_grad_()
    y = c(x)
    s, t = x[:, :1], x[:, 2:]
    torch.testing.assert_close(y, 1 + 2 * s - 3 * t + 4 * s * t, rtol=0, atol=1e-12)
    (slopes,) = torch.autograd.grad(y.sum(), x)
    true = torch.cat([2 + 4 * t, 0 * s, -3 + 4 * s], 1)
    torch.testing.assert_close(slopes[5:], true[5:], rtol=0, atol=1e-12)


def test_hats_are_one_at_their_knot_and_sum_to_one() -> None:
    c = plane()
    x = torch.cartesian_prod(c.grid[0], torch.zeros(1, **DOUBLE), c.grid[1])
    hats = torch.stack(
        [
            torch.stack(torch.autograd.grad(c(at).sum(), [u.theta for u in c.unknowns]))
            for at in x.split(1)
        ]
    )
    torch.testing.assert_close(hats, torch.eye(15, **DOUBLE), rtol=0, atol=1e-12)
    beyond = torch.tensor([[-5.0, 0.0, 9.0]], **DOUBLE)
    assert c(beyond).item() == 1.0


def test_roughness_is_the_integral_of_the_squared_gradient() -> None:
    c = i.Field("c", [KNOTS], start=1.0)
    values = torch.tensor([1.0, 3.0, 2.0, 2.0, 5.0], **DOUBLE)
    c.set(values)
    integral = (values.diff() ** 2 / KNOTS.diff()).sum()
    torch.testing.assert_close(
        c.roughness().square().sum(), integral, rtol=1e-12, atol=0
    )
    flat = plane()
    a, b = torch.meshgrid(*flat.grid, indexing="ij")
    flat.set(2 * a - 3 * b)  # gradient (2, -3) on an area of 3
    assert flat.roughness().square().sum().item() == pytest.approx(39, rel=1e-12)


def rod(f: i.Field) -> Problem:
    """Return ``-u'' = f``, zero at both ends."""
    return Problem(
        LINE,
        lambda x, u, p: -p,
        lambda x, u: f(x),
        [ENDS],
        hard=HARD,
        unknowns=[*f.unknowns],
    )


def noisy(sigma: float = 1e-3) -> i.Data:
    x = torch.linspace(0.05, 0.95, 19, **DOUBLE)[:, None]
    noise = torch.randn(19, 1, generator=torch.Generator().manual_seed(1), **DOUBLE)
    return i.Data(x, torch.sin(math.pi * x) + sigma * noise, sigma)


def posterior(f: i.Field, problem: Problem, data: i.Data, rho: float) -> tuple:
    """Solve the normal equations of the linear problem, hat by hat."""
    mesh, columns = Mesh(LINE, 10), []
    for unit in torch.eye(len(f.unknowns), **DOUBLE):
        f.set(unit)
        columns.append(fem(problem, mesh).predict(data.points)[:, 0])
    G = torch.stack(columns, 1).detach() / data.sigma
    steps = torch.eye(len(f.unknowns), **DOUBLE).diff(dim=0)
    L = steps / f.grid[0].diff().sqrt()[:, None] / rho
    inverse = torch.linalg.inv(G.T @ G + L.T @ L)
    return inverse @ G.T @ data.values[:, 0] / data.sigma, inverse.diagonal().sqrt()


def test_the_twin_finds_the_most_probable_field_and_its_deviations() -> None:
    f = i.Field("f", [torch.linspace(0, 1, 4, **DOUBLE)], start=1.0)
    data, problem = noisy(), rod(f)
    mean, deviations = posterior(f, problem, data, rho=10.0)
    known = [data, i.Smoothness(f, rho=10.0)]
    found = i.classical(problem, known, elements=10)
    values = torch.tensor(list(found.values.values()), **DOUBLE)
    torch.testing.assert_close(values, mean, rtol=0, atol=1e-4)
    torch.testing.assert_close(
        found.information.deviations, deviations, rtol=1e-4, atol=0
    )


def test_the_loss_of_a_prior_weighs_as_the_data_do() -> None:
    """One weight for both makes the posterior: ``N / sigma^2`` times their losses."""
    f, data = i.Field("f", [KNOTS], start=1.0), noisy()
    f.set(torch.tensor([1.0, 3.0, 2.0, 2.0, 5.0], **DOUBLE))
    prior = i.Smoothness(f, rho=10.0)
    loss = i.with_data(rod(f), [data, prior]).conditions[-1]
    rows = loss.error(None, None, torch.zeros(1, **DOUBLE), 0, 4)
    assert rows.shape == (len(loss.points), 1) == (4, 1)
    penalty = len(data.points) / data.sigma**2 * rows.square().mean()
    torch.testing.assert_close(penalty, prior.rows().square().sum(), rtol=1e-12, atol=0)


def test_a_network_tells_the_posterior_s_deviations() -> None:
    f = i.Field("f", [torch.linspace(0, 1, 4, **DOUBLE)], start=1.0)
    data, problem = noisy(), rod(f)
    known = [data, i.Smoothness(f, rho=10.0)]
    method = HardPINN(40, hidden=(12,), resample=None)
    found = i.identify(problem, known, method, seeds=[0], iterations=30)
    told = i.information(found.solutions[0], known).deviations
    deviations = posterior(f, problem, data, rho=10.0)[1]
    torch.testing.assert_close(told, deviations, rtol=0.1, atol=0)


def test_more_knots_than_data_are_told_unless_something_is_known_before() -> None:
    f = i.Field("f", [torch.linspace(0, 1, 5, **DOUBLE)], start=1.0)
    whole, problem = noisy(), rod(f)
    data = i.Data(whole.points[::7], whole.values[::7], whole.sigma)  # three values
    found = i.classical(problem, data, elements=10)
    assert found.information.identifiability == math.inf
    assert found.information.deviations.isinf().all()
    known = [data, i.Smoothness(f, rho=10.0)]
    assert (
        i.classical(problem, known, elements=10).information.deviations.isfinite().all()
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"grid": [KNOTS, KNOTS]}, "one axis for each"),
        ({"grid": [KNOTS.flip(0)]}, "increasing"),
        ({"grid": [KNOTS[:1]]}, "two or more"),
        ({"axes": (-1,)}, "axes"),
        ({"start": -1.0, "positive": True}, "start"),
    ],
)
def test_no_field_is_made_of_that(wrong: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        i.Field("c", **{"grid": [KNOTS], "start": 1.0} | wrong)


def test_a_prior_of_another_problem_or_without_data_is_refused() -> None:
    f, other = (i.Field("f", [KNOTS], start=1.0) for _ in range(2))
    with pytest.raises(ValueError, match="not the problem's"):
        i.with_data(rod(f), [noisy(), i.Smoothness(other, 1.0)])
    with pytest.raises(ValueError, match="no measurements"):
        i.with_data(rod(f), [i.Smoothness(f, 1.0)])
    far = i.Field("f", [KNOTS], (1,), start=1.0)
    with pytest.raises(ValueError, match="along axis 1"):
        i.with_data(rod(f), [noisy(), i.Smoothness(far, 1.0)])
    with pytest.raises(ValueError, match="shape"):
        f.set(torch.ones(2))


def test_a_field_is_differentiated_in_the_strong_form() -> None:
    """``-(c u')' = f`` needs ``c'``: constant between the knots."""
    c = i.Field("c", [torch.tensor([0.0, 1.0], **DOUBLE)], start=1.0)
    c.set(torch.tensor([1.0, 3.0], **DOUBLE))
    problem = Problem(
        LINE,
        lambda x, u, p: -c(x)[..., None] * p,
        lambda x, u: 0 * u,
        [ENDS],
        unknowns=[*c.unknowns],
    )

    def parabola(x: Tensor) -> Tensor:
        return x * x

    from pinn.derivatives.jets import Wanted, jet_of

    x = torch.tensor([[0.2], [0.7]], **DOUBLE)
    r = problem.strong_residual(x, jet_of(parabola, x, Wanted.all(1)))
    torch.testing.assert_close(r.detach(), -(2 + 8 * x), rtol=0, atol=1e-12)
