"""Physics-informed networks on a GPU: the same numbers as on the CPU."""

import copy
from collections.abc import Callable

import pytest
import torch

from pinn import (
    JetFNN,
    LevenbergMarquardt,
    Mesh,
    Partition,
    SSBroyden,
    Strong,
    SubdomainFNN,
    Variational,
    Wanted,
    mass_defect,
    relative_error,
    sin,
    tanh,
    zoo,
)
from pinn.optimizers.jacobian import jacobian

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine"),
]

HEAT = zoo.heat()
CUTS = Partition(HEAT.geometry, [[0.4]])
DATA: dict[str, Callable[[], object]] = {
    "strong": lambda: Strong(HEAT, 200, hard=True),
    "hp-VPINN": lambda: Variational(
        HEAT, Mesh(HEAT.geometry, 2, degree=3), hats=True, hard=True
    ),
}


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def constrained(net: torch.nn.Module) -> torch.nn.Module:
    net.apply_output_transform(HEAT.hard)
    return net


def pair() -> tuple[torch.nn.Module, torch.nn.Module]:
    """Return a network on the CPU, and its copy on the GPU."""
    net = constrained(JetFNN([2, 12, 12, 1], generator=seeded()))
    return net, copy.deepcopy(net).cuda()


@pytest.mark.parametrize("activation", [tanh, sin])
def test_jets_and_their_gradients_are_those_of_the_cpu(activation: object) -> None:
    net = JetFNN([2, 12, 12, 1], activation, generator=seeded())
    other = copy.deepcopy(net).cuda()
    x, found = torch.rand(5000, 2, generator=seeded(), dtype=torch.float64), []
    for one, points in ((net, x), (other, x.cuda())):
        jet = one.jet(points, Wanted.all(2))
        (jet.H.square().mean() + jet.p.mean() + jet.u.mean()).backward()
        found.append([jet.H.cpu(), *(p.grad.cpu() for p in one.parameters())])
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-11)


def test_subdomains_are_those_of_the_cpu() -> None:
    net = SubdomainFNN(CUTS, [2, 8, 1], generator=seeded())
    other = copy.deepcopy(net).cuda()
    x = torch.rand(500, 2, generator=seeded(), dtype=torch.float64)
    index = CUTS.locate(x)
    a = net.traces(x, index, Wanted.all(2)).H
    b = other.traces(x.cuda(), index.cuda(), Wanted.all(2)).H
    assert b.is_cuda and torch.allclose(a, b.cpu(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", DATA)
def test_residuals_and_jacobians_are_those_of_the_cpu(name: str) -> None:
    found = []
    for net in pair():
        data, params = DATA[name](), list(net.parameters())
        found.append(
            jacobian(lambda d=data, n=net: d.residual_vector(n), params, 10**8)
        )
    for a, b in zip(*found, strict=True):
        assert b.is_cuda and torch.allclose(a, b.cpu(), rtol=1e-8, atol=1e-10)


def test_error_and_mass_defect_are_measured_where_the_network_is() -> None:
    here, there = pair()
    for measure in (relative_error, mass_defect):
        assert measure(HEAT, there) == pytest.approx(measure(HEAT, here), rel=1e-8)


@pytest.mark.parametrize("name", DATA)
def test_second_order_training_stays_on_the_gpu(name: str) -> None:
    net, data = pair()[1], DATA[name]()

    def residuals() -> torch.Tensor:
        return data.residual_vector(net)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = residuals().square().sum()
        loss.backward()
        return loss

    optimizer = LevenbergMarquardt(net.parameters(), residuals)
    first = optimizer.step()
    for _ in range(5):
        optimizer.step()
    optimizer = SSBroyden(net.parameters())
    for _ in range(5):
        last = optimizer.step(closure)
    assert last.is_cuda and last < 0.01 * first
    state = optimizer.state[next(net.parameters())]
    assert state["H"].is_cuda
