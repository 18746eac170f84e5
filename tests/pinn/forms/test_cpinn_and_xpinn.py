"""Conservative and extended coupling: what makes each what it is."""

import pytest
import torch
from torch import Tensor

from pinn import (
    Conservative,
    Extended,
    Interfaces,
    Partition,
    Problem,
    Strong,
    SubdomainFNN,
    Wanted,
    jet_of,
    zoo,
)
from tests.pinn.cases import smooth
from tests.pinn.test_problem import burgers_pde

BURGERS = zoo.burgers()
CUTS = Partition(BURGERS.geometry, [[-0.6, 0.2, 0.5]])


def pieces(partition: Partition = CUTS) -> SubdomainFNN:
    generator = torch.Generator().manual_seed(0)
    net = SubdomainFNN(partition, [2, 10, 10, 1], generator=generator)
    with torch.no_grad():
        for p in net.parameters():  # biases too, or every network would be odd
            p += 0.1 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return net


class Pieces(torch.nn.Module):
    """Any functions as the networks of the subdomains."""

    def __init__(self, partition: Partition, functions: list) -> None:
        super().__init__()
        self.partition, self.functions = partition, functions

    def jet(self, x: Tensor, wanted: Wanted) -> object:
        return self.traces(x, self.partition.locate(x), wanted)

    def traces(self, x: Tensor, index: Tensor, wanted: Wanted) -> object:
        def piecewise(x: Tensor) -> Tensor:
            values = torch.stack([f(x) for f in self.functions])  # (parts, batch, 1)
            return values[index, torch.arange(len(x))]

        return jet_of(piecewise, x, wanted)


def test_a_solution_cut_to_pieces_couples_without_error() -> None:
    exact = Pieces(CUTS, [BURGERS.exact] * 4)
    x = BURGERS.probes()[0]
    for method in (Conservative, Extended):
        data = method(BURGERS, CUTS, 20, 10, 10, num_interface=20)
        assert max(b.abs().max() for b in data.blocks(exact, x)) < 1e-8


def test_the_flux_has_u_x_on_both_sides() -> None:
    nu = 0.3
    problem = zoo.burgers(nu=nu)
    partition = Partition(problem.geometry, [[0.2]])

    def left(x: Tensor) -> Tensor:
        return x[:, :1] ** 2 * x[:, 1:]

    def right(x: Tensor) -> Tensor:
        return x[:, :1] ** 3 + x[:, 1:]

    data = Conservative(problem, partition, 10, 10, 10, num_interface=5)
    net = Pieces(partition, [left, right])
    _, jump, average = data.blocks(net, problem.probes()[0])
    x, t = 0.2, data.interfaces.x[:, 1:]
    flux_left = (x**2 * t) ** 2 / 2 - nu * 2 * x * t
    flux_right = (x**3 + t) ** 2 / 2 - nu * 3 * x**2
    assert torch.allclose(jump, flux_left - flux_right, atol=1e-14)
    half = (x**2 * t - x**3 - t) / 2
    assert torch.allclose(average, torch.cat([half, -half]), atol=1e-14)


def test_the_residual_jump_is_that_of_the_strong_residual() -> None:
    problem = zoo.heat()
    partition = Partition(problem.geometry, [[], [0.5]])  # a cut in time
    data = Extended(problem, partition, 10, 10, 10, num_interface=5)
    net = Pieces(partition, [lambda x: x[:, :1] ** 2, lambda x: x[:, 1:] ** 2])
    jump = data.blocks(net, problem.probes()[0])[1]
    assert torch.allclose(jump, torch.full_like(jump, -0.8 - 1.0), atol=1e-14)


@pytest.mark.parametrize("method", [Conservative, Extended])
def test_one_subdomain_is_the_vanilla_pinn(method: type) -> None:
    whole = Partition(BURGERS.geometry)
    net = pieces(whole)
    x = BURGERS.probes()[0]
    coupled = method(BURGERS, whole, 50, 10, 10).blocks(net, x)
    vanilla = Strong(BURGERS, 50, 10, 10).blocks(net, x)
    assert len(coupled) == len(vanilla) == 1
    assert torch.equal(coupled[0], vanilla[0])


def test_fluxes_over_subdomains_telescope() -> None:
    """What leaves all subdomains leaves the domain, up to the jumps between them."""
    net, faces = pieces(), Interfaces(CUTS, 400)
    wanted = BURGERS.flux_wanted
    t = faces.x[faces.left == 0][:, 1:]

    def through(side: float, subdomain: int) -> Tensor:
        x = torch.cat([torch.full_like(t, side), t], dim=1)
        index = torch.full((len(x),), subdomain)
        normal = torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand_as(x)
        jet = net.traces(x, index, wanted)
        return BURGERS.normal_flux(x, jet, normal).mean()

    edges = [-1.0, -0.6, 0.2, 0.5, 1.0]
    out = sum(through(edges[q + 1], q) - through(edges[q], q) for q in range(4))
    left, right = faces.sides(net, wanted)
    flux = BURGERS.normal_flux
    jumps = flux(faces.x, left, faces.normal) - flux(faces.x, right, faces.normal)
    total = through(1.0, 3) - through(-1.0, 0) + (jumps[:, 0] * faces.area).sum()
    assert out.item() == pytest.approx(total.item(), abs=1e-13)


def test_interfaces_of_a_square_are_evenly_covered() -> None:
    partition = Partition(zoo.poisson_2d_steep().geometry, [[0.0], [0.0]])
    faces = Interfaces(partition, 10)
    assert faces.x.shape == (40, 2)
    assert faces.area.sum().item() == pytest.approx(4.0)
    assert torch.equal(faces.normal.abs().sum(1), torch.ones(40).double())


def test_cuts_and_networks_that_do_not_fit_are_refused() -> None:
    in_time = Partition(BURGERS.geometry, [[0.0], [0.5]])
    with pytest.raises(ValueError, match=r"time is cut at \[0.5\]"):
        Conservative(BURGERS, in_time)
    Extended(BURGERS, in_time, 10, 10, 10)
    with pytest.raises(TypeError, match="net is a JetFNN: Conservative expects"):
        Conservative(BURGERS, CUTS, 9, 9, 9).blocks(
            smooth(), torch.zeros(1, 2).double()
        )
    stated = Problem(BURGERS.geometry, residual=burgers_pde)
    with pytest.raises(ValueError, match="Extended needs a balance law"):
        Extended(stated, CUTS)
    with pytest.raises(ValueError, match="Conservative needs a balance law"):
        Conservative(stated, CUTS)
    with pytest.raises(ValueError, match="count is 0"):
        Interfaces(CUTS, 0)


def test_interfaces_are_where_both_sides_are_inside() -> None:
    ell = zoo.l_shape().geometry  # one quadrant is missing
    whole = Interfaces(Partition(ell, [[-0.5]]), 20)
    through = Interfaces(Partition(ell, [[0.0]]), 20)
    assert len(whole.x) == 20 and len(through.x) == 10
    assert through.area.sum().item() == pytest.approx(1.0)
    assert len(through.left) == len(through.right) == len(through.normal) == 10


def test_each_side_of_an_interface_has_points_of_its_own() -> None:
    faces = Interfaces(Partition(BURGERS.geometry, [[0.2]]), 5)
    for like in (torch.empty(0, dtype=torch.float64), torch.empty(0)):
        faces.to(like)
        assert (faces.before[:, 0] < 0.2).all() and (faces.behind[:, 0] > 0.2).all()
        assert (faces.behind - faces.before).abs().max() < 1e-3
        assert torch.equal(faces.before[:, 1], faces.x[:, 1])
