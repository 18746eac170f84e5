"""The Jacobian of residuals by parameters equals the one by rows."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pinn import (
    HPVPINN,
    Conservative,
    FourierFeatures,
    HardPINN,
    JetFNN,
    LevenbergMarquardt,
    Partition,
    Strong,
    SubdomainFNN,
    Vanilla,
    zoo,
)
from pinn.derivatives.tape import recording
from pinn.optimizers.jacobian import jacobian, stream
from pinn.optimizers.separable import read_apart
from tests.pinn.cases import rough, seeded

BURGERS = zoo.burgers()
WEAK = HPVPINN(3, degree=3, num_sides=90, hidden=(6,))


def by_rows(residuals: object, params: list[Tensor]) -> Tensor:
    r = residuals()
    rows = [
        torch.autograd.grad(e, params, retain_graph=True, materialize_grads=True)
        for e in r
    ]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])


class Features(HPVPINN):
    def net(self, problem: object, generator: torch.Generator) -> torch.nn.Module:
        net = JetFNN([8, 6, 1], adaptive=2.0, generator=generator)
        net.apply_feature_transform(FourierFeatures(2, 4, generator=generator))
        return net


METHODS = {
    "hp-VPINN": (zoo.poisson_1d_steep, HPVPINN(3, degree=5, hidden=(6, 5), hats=True)),
    "system": (zoo.kovasznay, HPVPINN(2, degree=2, hidden=(6,), num_sides=9)),
    "hard": (zoo.helmholtz_2d, HPVPINN(2, degree=2, hidden=(6, 5), hard=True)),
    "vanilla": (zoo.burgers, Vanilla(90, num_sides=9, hidden=(6, 5))),
    "learned slopes": (zoo.heat, Features(2, degree=2, num_sides=9)),
}


@pytest.mark.parametrize("name", METHODS)
def test_the_jacobian_by_points_equals_the_one_by_rows(name: str) -> None:
    problem, method = METHODS[name][0](), METHODS[name][1]
    data = method.data(problem)
    net = rough(method.net(problem, seeded()))
    params = list(net.parameters())[1:]  # the first weight stays fixed

    def residuals() -> Tensor:
        return data.residual_vector(net, [k + 1.0 for k in range(losses)])

    losses = len(data.blocks(net, data.points(params[0]))) + len(data.bcs)
    r, J = jacobian(residuals, params, 10**8)
    assert torch.equal(r, residuals().detach())
    expected = by_rows(residuals, params)
    assert torch.allclose(J, expected, rtol=1e-10, atol=1e-11 * expected.abs().max())


def test_a_parameter_that_residuals_read_directly_is_differentiated_too() -> None:
    net, x = JetFNN([2, 5, 1], generator=seeded()), BURGERS.probes()[0]
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    params = [scale, *net.parameters()]

    def residuals() -> Tensor:
        weight_decay = net.linears[0].weight.flatten()
        return torch.cat([(scale * net(x) - 1).flatten(), weight_decay])

    _, J = jacobian(residuals, params, 10**8)
    assert torch.allclose(J, by_rows(residuals, params), rtol=1e-12, atol=1e-13)


def test_networks_on_subdomains_are_taken_by_levenberg_marquardt() -> None:
    np.random.seed(0)  # DeepXDE draws points of the boundary with numpy
    partition = Partition(zoo.heat().geometry, [[0.4]])
    net = SubdomainFNN(partition, [2, 6, 1], generator=seeded())
    data = Conservative(zoo.heat(), partition, 40, 10, 10, num_interface=5)
    optimizer = LevenbergMarquardt(net.parameters(), lambda: data.residual_vector(net))
    losses = [optimizer.step().item() for _ in range(12)]
    assert losses[-1] < 0.2 * losses[0]


def test_conditions_on_derivatives_have_a_jacobian() -> None:
    import deepxde as dde

    from pinn import Problem

    line = dde.geometry.Interval(0, 1)
    slope = dde.icbc.NeumannBC(line, lambda x: 0 * x[:, :1], lambda x, on: on)
    problem = Problem(line, lambda x, u, p: -p, conditions=[slope])
    data = Strong(problem, 8, 2)
    net = rough(JetFNN([1, 5, 1], generator=seeded()))
    params = list(net.parameters())
    _, J = jacobian(lambda: data.residual_vector(net), params, 10**8)
    expected = by_rows(lambda: data.residual_vector(net), params)
    assert torch.allclose(J, expected, rtol=1e-10, atol=1e-11)


APART = {
    "Burgers": (zoo.burgers, Vanilla(130, num_sides=90, hidden=(6, 5))),
    "flow, three equations": (
        zoo.kovasznay,
        Vanilla(100, num_sides=80, hidden=(6,)),
    ),
    "hard": (zoo.helmholtz_2d, HardPINN(70, hidden=(6, 5))),
}


@pytest.mark.parametrize("name", APART)
def test_rows_of_points_of_their_own_equal_autograd(name: str) -> None:
    problem, method = APART[name][0](), APART[name][1]
    data = method.data(problem)
    net = rough(method.net(problem, seeded()))
    params = list(net.parameters())
    r, J = jacobian(lambda: data.residual_vector(net), params, 10**8)
    expected = by_rows(lambda: data.residual_vector(net), params)
    assert torch.equal(r, data.residual_vector(net).detach())
    assert (J - expected).abs().max() < 1e-12 * expected.abs().max()


def test_collocation_takes_the_short_way_and_weak_forms_do_not() -> None:
    for method, short in ((Vanilla(130, 90, hidden=(6,)), True), (WEAK, False)):
        data = method.data(BURGERS)
        net = rough(method.net(BURGERS, seeded()))
        params = list(net.parameters())
        with recording() as tape:
            r = data.residual_vector(net)
        rows = torch.arange(tape.blocks[0])
        found = read_apart(r, rows, tape.records, params)
        assert (found is not None) == short
        sizes = [
            len(rows)
            for rows, _ in stream(lambda d=data, n=net: d.residual_vector(n), params)[1]
        ]
        assert (sizes[0] == tape.blocks[0]) == short


def test_a_residual_of_two_points_is_not_taken_for_one_of_its_own() -> None:
    """A difference of neighbours, of mirror images, and a mean subtracted."""
    net = rough(JetFNN([2, 5, 1], generator=seeded()))
    x = torch.rand(90, 2, generator=seeded(), dtype=torch.float64)
    params = list(net.parameters())
    ways = {
        "neighbours": lambda u: u[1:] - u[:-1],
        "around": lambda u: u.roll(1) + u.roll(-1),
        "mirror": lambda u: u - 0.5 * u.flip(0),
        "mean": lambda u: u - u.mean(),
        "twice": lambda u: torch.cat([u, u**2]),
        "shuffled": lambda u: 3 * u.flip(0),
    }
    for name, way in ways.items():

        def residuals(way: object = way) -> Tensor:
            return way(net(x)[:, 0])

        _, J = jacobian(residuals, params, 10**8)
        expected = by_rows(residuals, params)
        assert torch.allclose(J, expected, rtol=1e-11, atol=1e-13), name


def test_periodic_pairs_and_unknown_numbers_are_read_apart() -> None:
    net = rough(JetFNN([2, 5, 1], generator=seeded()))
    unknown = torch.tensor([0.7, -0.4], dtype=torch.float64, requires_grad=True)
    x = torch.rand(160, 2, generator=seeded(), dtype=torch.float64)
    params = [*net.parameters(), unknown]

    def residuals() -> Tensor:
        u = net(x)[:, 0]
        return unknown[0] * u[:80] - unknown.prod() * u[80:] ** 2

    with recording() as tape:
        r = residuals()
    found = read_apart(r, torch.arange(80), tape.records, params)
    assert found is not None and len(found.direct) == 1
    _, J = jacobian(residuals, params, 10**8)
    assert torch.allclose(J, by_rows(residuals, params), rtol=1e-11, atol=1e-13)
