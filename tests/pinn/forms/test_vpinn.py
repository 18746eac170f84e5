"""The weak form as data: assembly, one element, quadrature, estimator."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pinn import JetFNN, Mesh, Problem, Variational, zoo
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
    data = Variational(problem, mesh, 8, points=12)
    (R,) = data.blocks(net, torch.zeros(1, 2).double())
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


def test_a_quadrature_that_misses_the_layer_is_fooled_and_a_mesh_is_not() -> None:
    """The sums of one element vanish for a smooth function that is far from u."""
    problem = zoo.poisson_1d_steep()
    one = Variational(problem, Mesh(problem.geometry, 1, degree=60), 2, points=80)
    three = Mesh(problem.geometry, [[-1, -0.1, 0.1, 1]], degree=60)
    three = Variational(problem, three, 2, points=80)
    x = torch.zeros(1, 1).double()

    def size(data: Variational) -> float:
        return data.blocks(problem.exact, x)[0].square().mean().sqrt().item()

    assert size(three) < 1e-6
    assert size(one) > 1e-3, "80 points cannot integrate the layer even for u itself"


def test_the_estimator_asks_for_elements_at_the_layer() -> None:
    problem = zoo.poisson_1d_steep()
    mesh = Mesh(problem.geometry, 8, degree=4)
    data = Variational(problem, mesh, 2, points=40, hats=True)
    norm = data.element_norm(smooth((1, 10, 1)))
    assert sorted(norm.topk(2).indices.tolist()) == [3, 4]
    assert len(mesh.refine(norm > 0.5 * norm.max())) == 10
