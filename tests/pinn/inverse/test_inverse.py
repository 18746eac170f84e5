"""Unknown numbers from data: networks, the classical twin, and Fisher's bound."""

import copy
import dataclasses
import math
import pickle

import pytest
import torch
from torch import Tensor

from pinn import (
    FEM,
    HPVPINN,
    HardPINN,
    JetFNN,
    LevenbergMarquardt,
    Problem,
    Vanilla,
    Wanted,
    load,
    solve,
    zoo,
)
from pinn._backend import dde
from pinn.inverse import Data, Information, Unknown, classical, identify, information
from tests.pinn.cases import seeded
from tests.pinn.inverse.cases import ENDS, LINE, X, measured, rod

METHOD = HardPINN(30, hidden=(6, 6), resample=None)


def by_levenberg(net: torch.nn.Module, data: object) -> LevenbergMarquardt:
    return LevenbergMarquardt(net.parameters(), lambda: data.residual_vector(net))


def test_an_unknown_is_a_number_that_learns() -> None:
    plain, sized = Unknown("k", -3.0), Unknown("D", -3.0, scale=1e-3)
    positive = Unknown("C", 0.02, positive=True, scale=0.1)
    for unknown, start in ((plain, -3.0), (sized, -3.0), (positive, 0.02)):
        assert unknown().item() == pytest.approx(start, rel=1e-14)
        (slope,) = torch.autograd.grad(unknown(), unknown.theta)
        assert slope.item() == pytest.approx(unknown.slope(), rel=1e-14)
        with torch.no_grad():
            unknown.theta += 0.7
        moved = unknown().item()
        for same in (copy.deepcopy(unknown), pickle.loads(pickle.dumps(unknown))):
            assert same().item() == moved and same.name == unknown.name
        unknown.reset()
        assert unknown().item() == pytest.approx(start, rel=1e-14)
    with torch.no_grad():
        positive.theta -= 50
    assert positive().item() > 0


@pytest.mark.parametrize("start, truth", [(0.5, 2.0), (7.0, 2.0), (3.0, 1.0)])
def test_the_classical_twin_finds_the_number_and_its_deviation(
    start: float, truth: float
) -> None:
    """u = x (1 - x) / (2 C): the sensitivity is -x (1 - x) / (2 C^2), by hand.

    At C = 1 its logarithm is zero, and a step relative to it would be none.
    """
    found = classical(
        rod(Unknown("C", start, positive=True)), measured(truth), elements=2
    )
    assert found.values["C"] == pytest.approx(truth, rel=1e-8)
    S = -X * (1 - X) / (2 * truth**2)
    fisher = S.square().sum().item() / 0.01**2
    assert found.information.fisher.item() == pytest.approx(fisher, rel=1e-6)
    assert found.information.deviations.item() == pytest.approx(fisher**-0.5, rel=1e-6)
    assert found.evaluations > 1 and found.seconds > 0


def test_noise_spreads_estimates_as_the_bound_says() -> None:
    generator, z = seeded(4), []
    clean = measured(sigma=1e-3)
    for _ in range(16):
        noise = torch.randn(len(X), 1, generator=generator, dtype=torch.float64)
        data = Data(X, clean.values + 1e-3 * noise, 1e-3)
        found = classical(rod(Unknown("C", 1.5, positive=True)), data, elements=2)
        off = found.values["C"] - 2.0
        z.append(off / found.information.deviations.item())
    spread = torch.tensor(z)
    assert 0.6 < spread.std() < 1.5 and spread.mean().abs() < 0.75


@pytest.mark.parametrize(
    "method", [METHOD, HPVPINN(2, degree=3, hidden=(6,), hard=True)], ids=type
)
def test_networks_find_what_the_twin_finds(method: object) -> None:
    problem = rod(Unknown("C", 1.0, positive=True))
    found = identify(
        problem,
        measured(),
        method,
        seeds=(0, 1),
        optimizer=by_levenberg,
        iterations=30,
    )
    low, high = found.interval["C"]
    assert found.values.shape == (2, 1) and low <= found.median["C"] <= high
    assert found.median["C"] == pytest.approx(2.0, rel=1e-4)
    for solution, value in zip(found.solutions, found.values, strict=True):
        assert solution.unknowns == {"C": value.item()}, "what each run found stays"
        assert solution.predict(torch.zeros(1, 1).double()).item() == 0, "still hard"


def test_an_interrupt_ends_all_runs() -> None:
    """A run cut short among whole ones would be an estimate like any other."""

    class Impatient(HardPINN):
        def callbacks(self, seed: int) -> list:
            class Interrupt(dde.callbacks.Callback):
                def on_epoch_end(self) -> None:
                    if seed == 1:
                        raise KeyboardInterrupt

            return [Interrupt()]

    problem, method = rod(Unknown("C", 1.0)), Impatient(20, hidden=(4,), resample=None)
    with pytest.warns(UserWarning, match="seed 1: there are 1 runs of 3$"):
        found = identify(problem, measured(), method, iterations=2)
    assert len(found.solutions) == 1 and not found.solutions[0].interrupted
    with pytest.warns(UserWarning, match="seed 1: there are 1 runs of 2, cut short"):
        found = identify(problem, measured(), method, seeds=(1, 0), iterations=2)
    assert found.solutions[0].interrupted


def test_the_information_of_a_network_is_that_of_the_equation() -> None:
    problem = rod(Unknown("C", 1.5))
    found = identify(
        problem, measured(), METHOD, seeds=[0], optimizer=by_levenberg, iterations=30
    )
    planned = Data(X[1:3], torch.zeros(2, 1), sigma=0.02)
    for data in (measured(), [measured(), planned]):
        S = X * (1 - X) / (2 * 2.0**2)
        expected = S.square().sum().item() / 0.01**2
        if isinstance(data, list):
            expected += S[1:3].square().sum().item() / 0.02**2
        about = information(found.solutions[0], data)
        assert about.fisher.item() == pytest.approx(expected, rel=1e-3)
        assert about.values.item() == pytest.approx(2.0, rel=1e-4)


def test_two_numbers_of_which_only_the_ratio_shows_are_not_identifiable() -> None:
    pair = rod(Unknown("C", 1.0, positive=True), Unknown("k", 0.5, positive=True))
    found = classical(pair, measured(), elements=2)
    ratio = found.values["C"] / found.values["k"]
    assert ratio == pytest.approx(2.0, rel=1e-6)
    assert found.information.identifiability > 1e3
    run = identify(
        pair, measured(), METHOD, seeds=[0], optimizer=by_levenberg, iterations=30
    )
    about = information(run.solutions[0], measured())
    # Along the ratio the data say much, across it next to nothing.
    assert about.identifiability > 1e3


def test_relative_deviation_of_the_worst_combination_by_hand() -> None:
    fisher = torch.diag(torch.tensor([4.0, 100.0]).double())
    values = torch.tensor([2.0, -0.1]).double()
    about = Information(("a", "b"), values, fisher)
    assert torch.allclose(about.deviations, torch.tensor([0.5, 0.1]).double())
    assert about.identifiability == pytest.approx(1.0)  # 0.1 / 0.1, not 0.5 / 2
    blind = Information(("a", "b"), values, torch.ones(2, 2).double() * fisher[0, 0])
    assert math.isfinite(about.identifiability)
    blind_values = Information(("a", "b"), torch.ones(2).double(), blind.fisher)
    assert blind_values.identifiability == math.inf
    assert blind_values.deviations.isinf().all()


def test_a_number_in_a_condition_and_one_in_the_source() -> None:
    end, push = Unknown("end", 0.2), Unknown("push", 3.0)
    conditions = [
        dde.icbc.OperatorBC(
            LINE, lambda x, y, X: y, lambda x, on: on and bool(x[0] < 0.5)
        ),
        dde.icbc.OperatorBC(
            LINE, lambda x, y, X: y - end(), lambda x, on: on and bool(x[0] > 0.5)
        ),
    ]
    problem = Problem(
        LINE,
        lambda x, u, p: -p,
        lambda x, u: push() + 0 * x,
        conditions,
        unknowns=[end, push],
    )
    data = Data(X, X * (1 - X) + 0.5 * X, 0.01)  # push = 2, end = 1/2
    found = identify(
        problem,
        data,
        Vanilla(30, hidden=(6, 6), resample=None),
        seeds=[0],
        optimizer=by_levenberg,
        iterations=40,
    )
    assert found.median["end"] == pytest.approx(0.5, rel=1e-4)
    assert found.median["push"] == pytest.approx(2.0, rel=1e-4)


def test_a_number_in_a_flux_in_time_has_the_gradient_of_a_difference_quotient() -> None:
    """Second derivatives that nobody reads are missing, and must not spoil it."""
    heat, C = zoo.heat(), Unknown("C", 0.3)

    def flux(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        return torch.stack([-C() * p[..., 0], u], dim=-1)

    problem = Problem(heat.geometry, flux, None, heat.conditions, unknowns=[C])
    for method in (
        Vanilla(20, 8, hidden=(5,)),
        HPVPINN(2, 2, num_sides=8, hidden=(5,)),
    ):
        data = method.data(problem)
        net = method.net(problem, seeded())

        def loss(data: object = data, net: torch.nn.Module = net) -> Tensor:
            return data.residual_vector(net).square().sum()

        (slope,) = torch.autograd.grad(loss(), C.theta)
        ends = []
        for step in (1e-5, -1e-5):
            C.set(0.3 + step)
            ends.append(loss().item())
        C.reset()
        quotient = (ends[0] - ends[1]) / 2e-5
        assert slope.item() == pytest.approx(quotient, rel=1e-6)


def test_a_missing_derivative_that_is_read_still_shows() -> None:
    heat = zoo.heat()
    x = heat.probes()[0]
    net = JetFNN([2, 4, 1], generator=seeded())
    assert heat.strong_residual(x, net.jet(x, Wanted((0, 1)))).isnan().all()
    assert not heat.strong_residual(x, net.jet(x, heat.wanted)).isnan().any()


def test_what_was_found_is_saved_with_the_network(tmp_path) -> None:
    problem = rod(Unknown("C", 1.0, positive=True))
    solution = solve(problem, METHOD, optimizer=by_levenberg, iterations=2)
    solution.save(tmp_path / "rod.pt")
    solve(problem, METHOD, iterations=1)  # the object now holds another value
    again = load(tmp_path / "rod.pt", problem, METHOD)
    assert again.unknowns == solution.unknowns == problem.known()


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: Unknown(3, 1.0), TypeError, "name is 3: expected a string"),
        (lambda: Unknown("C", 1.0, scale=0), ValueError, "scale is 0: expected a posi"),
        (lambda: Unknown("C", -1.0, positive=True), ValueError, "start is -1.0"),
        (lambda: Unknown("C", math.nan), ValueError, "start is nan: expected a finite"),
        (lambda: Data(X, X[:, 0], 0.1), ValueError, r"values has shape \(5,\)"),
        (lambda: Data(X, X / 0, 0.1), ValueError, r"values\[0, 0\] is inf"),
        (lambda: Data(X, X, 0.0), ValueError, "sigma is 0.0: expected a positive"),
        (
            lambda: rod(Unknown("C", 1.0), Unknown("C", 2.0)),
            TypeError,
            "unknowns are .* a name of its own",
        ),
        (
            lambda: Problem(LINE, lambda x, u, p: -p, unknowns=[1.0]),
            TypeError,
            r"unknowns are \[1.0\]: expected pinn.inverse.Unknown",
        ),
        (
            lambda: identify(rod(Unknown("C", 1.0)), [], METHOD, iterations=1),
            ValueError,
            "data is an empty list",
        ),
        (
            lambda: identify(
                rod(Unknown("C", 1.0)), measured(), METHOD, seeds=[], iterations=1
            ),
            ValueError,
            "seeds is empty",
        ),
        (
            lambda: identify(rod(Unknown("C", 1.0)), measured(), FEM(4)),
            TypeError,
            "method is of type FEM: expected a network's",
        ),
        (
            lambda: classical(rod(Unknown("C", 1.0)), Data(X, X, 0.1, component=1)),
            ValueError,
            r"data\[0\] is of component 1 but the problem has 1",
        ),
        (
            lambda: classical(
                rod(Unknown("C", 1.0)), Data(torch.rand(3, 2), torch.rand(3, 1), 1.0)
            ),
            ValueError,
            r"data\[0\].points has shape \(3, 2\): expected \(batch, 1\)",
        ),
        (
            lambda: classical(zoo.heat(), Data(torch.rand(3, 2), torch.rand(3, 1), 1)),
            ValueError,
            "problem has no unknowns: expected",
        ),
        (
            lambda: information(solve(rod(Unknown("C", 1.0)), FEM(4)), measured()),
            ValueError,
            "solution has no model",
        ),
    ],
)
def test_what_cannot_be_identified_is_refused(call, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_measurements_stay_a_loss_where_conditions_are_hard() -> None:
    problem = rod(Unknown("C", 1.0))
    data = METHOD.data(
        Problem(
            problem.geometry,
            problem.flux,
            problem.source,
            [ENDS, measured().condition()],
            hard=problem.hard,
        )
    )
    assert [type(bc).__name__ for bc in data.bcs] == ["PointSetBC"]
    net = METHOD.net(problem, seeded())

    def misfit(net: torch.nn.Module) -> Tensor:
        return (net(X) - measured().values).square().mean()

    r = data.residual_vector(net)[-len(X) :]
    assert torch.allclose(r.square().sum(), misfit(net), rtol=1e-12)


def test_deviations_of_a_problem_without_conditions_are_refused() -> None:
    """Its sensitivities are those of one start and end among many: far too certain."""
    free = dataclasses.replace(rod(Unknown("C", 1.0)), conditions=[], hard=None)
    method = Vanilla(20, 2, hidden=(4,), resample=None)
    found = identify(free, measured(), method, seeds=[0], iterations=1)
    with pytest.raises(ValueError, match="no conditions but its data: start and ends"):
        information(found.solutions[0], measured())
