"""The weak form as data: assembly, one element, quadrature, estimator."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pinn import HPVPINN, VPINN, JetFNN, Mesh, Problem, Variational, jet_of, zoo
from pinn._backend import dde
from tests.pinn.cases import smooth


def looped(problem: Problem, mesh: Mesh, net: JetFNN, points: int) -> Tensor:
    """Element by element, test by test, by the definition: int (div F - s) v."""
    q, w = np.polynomial.legendre.leggauss(points)
    P = np.polynomial.Legendre.basis
    rows = []
    for low, high in zip(mesh.lower, mesh.upper, strict=True):
        centre, half = (low + high) / 2, (high - low) / 2
        for j in range(1, mesh.degree + 1):
            for k in range(1, mesh.degree + 1):
                v = [P(j + 1) - P(j - 1), P(k + 1) - P(k - 1)]
                total, norm = 0.0, 0.0
                for a in range(points):
                    xi = torch.tensor([[q[a], q[b]] for b in range(points)])
                    x = centre + half * xi
                    jet = net.jet(x, problem.wanted)
                    r = problem.strong_residual(x, jet)[:, 0]
                    weight = torch.tensor(w[a] * w) * half.prod()
                    along = torch.tensor(v[1](q)), torch.tensor(v[1].deriv()(q))
                    total = total + (weight * r * along[0]).sum() * float(v[0](q[a]))
                    gx = float(v[0].deriv()(q[a])) * along[0] / half[0]
                    gy = float(v[0](q[a])) * along[1] / half[1]
                    norm = norm + (weight * (gx**2 + gy**2)).sum()
                rows.append(total / norm**0.5)
    return torch.stack(rows)[:, None]


def test_the_assembly_equals_loops_over_elements_and_tests() -> None:
    problem = zoo.helmholtz_2d()
    mesh = Mesh(problem.geometry, [[0, 0.3, 1], [0, 0.6, 1]], degree=2)
    net = smooth()
    data = Variational(problem, mesh, 8, points=12, hats=False)
    (block,) = data.blocks(net, torch.zeros(1, 2).double())
    R = block / len(block) ** 0.5
    assert torch.allclose(R, looped(problem, mesh, net, 12), atol=1e-11)


@pytest.mark.parametrize("integrations", [0, 1, 2])
def test_one_element_is_the_vpinn(integrations: int) -> None:
    problem = zoo.poisson_1d_steep()
    net = smooth((1, 10, 1))
    one = Mesh(problem.geometry, 1, degree=5)
    also = Mesh(problem.geometry, [[-1.0, 1.0]], degree=5)
    a, b = (
        Variational(problem, m, 2, points=60, integrations=integrations)
        for m in (one, also)
    )
    x = torch.zeros(1, 1).double()
    assert torch.equal(a.blocks(net, x)[0], b.blocks(net, x)[0])


LINE = dde.geometry.Interval(0, 1)
PUSHED = Problem(LINE, lambda x, u, p: -p, lambda x, u: 1 + 0 * x)  # -u'' = 1


class Still(torch.nn.Module):
    """The function zero, whose residual is minus the source."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1).double())

    def forward(self, x: Tensor) -> Tensor:
        return 0 * x[:, :1] + 0 * self.unused


def loss(
    problem: Problem, mesh: Mesh, net: torch.nn.Module, **options: object
) -> float:
    data = Variational(problem, mesh, **options)
    return data.residual_vector(net).square().sum().item()


def test_the_loss_is_the_square_of_the_dual_norm() -> None:
    """sup (int v)^2 / int v'^2 over functions that vanish at both ends is 1 / 12."""
    for degree in (1, 4, 9):
        mesh = Mesh(LINE, 1, degree=degree)
        assert loss(PUSHED, mesh, Still()) == pytest.approx(1 / 12, rel=1e-12)
    for many in (2, 5):  # of functions that vanish at all edges: 1 / (12 many^2)
        mesh = Mesh(LINE, many, degree=3)
        found = loss(PUSHED, mesh, Still(), hats=False)
        assert found == pytest.approx(1 / 12 / many**2, rel=1e-12)


def test_more_tests_never_lower_the_loss() -> None:
    """A mean over the tests would: the equation fades against the conditions."""
    problem, net = zoo.helmholtz_2d(), smooth()
    options = {"points": 20, "hats": False, "hard": True}
    sizes = [
        loss(problem, Mesh(problem.geometry, 2, degree=d), net, **options)
        for d in (1, 2, 4, 8)
    ]
    assert all(more >= less for less, more in zip(sizes, sizes[1:], strict=False))
    assert sizes[-1] > sizes[0]


def test_several_elements_are_tested_with_hats_unless_told_otherwise() -> None:
    """Bubbles alone accept a kink at every edge: losses of 1e-13, errors near 1."""
    for elements, rows in ((1, 4), (2, 12), ([[0.0, 0.3, 1.0]], 12)):
        assert Variational(PUSHED, Mesh(LINE, elements, degree=4)).form.tests == rows
        assert HPVPINN(elements, degree=4).data(PUSHED).form.tests == rows
    assert VPINN(degree=4).data(PUSHED).form.tests == 4
    for hats, rows in ((True, 6), (False, 4)):
        for made in (
            Variational(PUSHED, Mesh(LINE, 1, degree=4), hats=hats),
            HPVPINN(1, degree=4, hats=hats).data(PUSHED),
        ):
            assert made.form.tests == rows


def test_what_no_bubble_sees_is_seen_by_default() -> None:
    """A residual that is orthogonal to all bubbles, and whose mean is not zero."""

    def source(x: Tensor, u: Tensor) -> Tensor:
        return (2 * (2 * x % 1) - 1) ** 2 - 1 / 5  # the same on both halves

    free, mesh = Problem(LINE, lambda x, u, p: -p, source), Mesh(LINE, 2, degree=1)
    assert loss(free, mesh, Still(), hats=False) < 1e-25
    assert loss(free, mesh, Still()) > 1e-3


def test_a_quadrature_that_misses_the_layer_is_fooled_and_a_mesh_is_not() -> None:
    """The sums of one element vanish for a smooth function that is far from u."""
    problem = zoo.poisson_1d_steep()
    one = Variational(problem, Mesh(problem.geometry, 1, degree=60), 2, points=80)
    three = Mesh(problem.geometry, [[-1, -0.1, 0.1, 1]], degree=60)
    three = Variational(problem, three, 2, points=80, hats=False)

    def size(data: Variational) -> float:
        return data.form.residual(
            jet_of(problem.exact, data.form.x, data.form.wanted)
        ).norm()

    assert size(three) < 1e-5
    assert size(one) > 1e-3, "80 points cannot integrate the layer even for u itself"


def test_the_estimator_asks_for_elements_at_the_layer() -> None:
    problem = zoo.poisson_1d_steep()
    mesh = Mesh(problem.geometry, 8, degree=4)
    data = Variational(problem, mesh, 2, points=40, hats=True)
    norm = data.element_norm(smooth((1, 10, 1)))
    assert sorted(norm.topk(2).indices.tolist()) == [3, 4]
    assert len(mesh.refine(norm > 0.5 * norm.max())) == 10
