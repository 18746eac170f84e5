"""What solve refuses, warns of and makes right before it trains."""

import copy
import warnings

import numpy as np
import pytest
import torch

from pinn import (
    CPINN,
    FEM,
    HPVPINN,
    XPINN,
    HardConstraint,
    HardPINN,
    JetFNN,
    Problem,
    Strong,
    Vanilla,
    solve,
    zoo,
)
from pinn._backend import dde
from pinn.forms.conditions import unfixed

LINE = dde.geometry.Interval(0, 1)
ENDS = dde.icbc.DirichletBC(LINE, lambda x: 0 * x, lambda x, on: on)
LEFT = dde.icbc.DirichletBC(LINE, lambda x: 0 * x, lambda x, on: on and x[0] < 0.5)
FLAT = dde.icbc.NeumannBC(LINE, lambda x: 0 * x, lambda x, on: on)
NOWHERE = dde.icbc.DirichletBC(LINE, lambda x: 0 * x, lambda x, on: on and x[0] > 2)
HARD = HardConstraint(lambda x: 0 * x, lambda x: x * (1 - x))
SMALL = Vanilla(20, hidden=(4,), resample=None)


def make(conditions: object = (ENDS,), **options: object) -> Problem:
    return Problem(
        LINE,
        lambda x, u, p: -p,
        lambda x, u: torch.pi**2 * torch.sin(torch.pi * x),
        conditions,
        **{"exact": lambda x: torch.sin(torch.pi * x)} | options,
    )


def own_net(**options: object) -> JetFNN:
    generator = torch.Generator().manual_seed(0)
    return JetFNN([1, 6, 1], generator=generator, **options)


@pytest.mark.parametrize("method", [HardPINN(20), HPVPINN(2, degree=3, hard=True)])
def test_a_network_of_ones_own_gets_the_hard_constraint(method: object) -> None:
    """Without it the conditions were dropped: errors of 3 at losses of 1e-33."""
    solution = solve(make(hard=HARD), method, net=own_net(), iterations=60)
    ends = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    assert solution.predict(ends).abs().max() == 0
    assert solution.error() < 1e-2


def test_hard_constraints_that_violate_the_conditions_are_refused() -> None:
    wrong = make(hard=lambda x, y: x * (2 - x) * y)
    message = r"conditions\[0\], a DirichletBC, is missed by .* before training"
    for net in (None, own_net()):
        with pytest.raises(ValueError, match=message):
            solve(wrong, HardPINN(20, hidden=(4,)), net=net, iterations=1)
    bare = own_net()
    with pytest.raises(ValueError, match=message):  # nothing to apply
        solve(make(), HardPINN(20, hidden=(4,)), net=bare, iterations=1)
    transformed = own_net()
    transformed.apply_output_transform(HARD)
    solve(make(), HardPINN(20, hidden=(4,)), net=transformed, iterations=1)
    with pytest.raises(ValueError, match=r"conditions\[0\], a PeriodicBC"):
        solve(zoo.allen_cahn(), HardPINN(20, hidden=(4,)), iterations=1)


@pytest.mark.parametrize(
    "conditions, freedom",
    [
        ([], r"x\[0\] to component 0|1 to component 0"),
        ([FLAT], "adding 1 to component 0 changes"),
        ([LEFT], r"adding 1 x\[0\] to component 0 changes"),
    ],
    ids=["none", "Neumann", "one end"],
)
def test_what_no_condition_fixes_is_said(conditions: list, freedom: str) -> None:
    problem = make(conditions)
    with pytest.warns(UserWarning, match=freedom):
        solve(problem, SMALL, iterations=1)
    with pytest.raises(ValueError, match="nothing fixes the solution"):
        solve(problem, FEM(4))


def test_what_is_fixed_is_not_warned_of() -> None:
    for name in zoo.__all__:
        assert unfixed(getattr(zoo, name)()) is None, name
    absorbing = Problem(LINE, lambda x, u, p: -p, lambda x, u: -u, [FLAT])
    assert unfixed(absorbing) is None
    stated = Problem(
        LINE, residual=lambda x, y: dde.grad.hessian(y, x), conditions=[FLAT]
    )
    assert unfixed(stated) == "1 to component 0"


def test_a_condition_that_no_point_meets_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"conditions\[1\], a DirichletBC, holds at none"
    ):
        Strong(make([ENDS, NOWHERE]), 10, 2)
    with pytest.raises(ValueError, match=r"conditions\[1\], a IC, holds at none"):
        Strong(zoo.heat(), 10, 8, 0)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: solve(SMALL, make(), seconds=1), TypeError, "problem is of type Vani"),
        (
            lambda: solve(make(), Vanilla, seconds=1),
            TypeError,
            r"expected .* Vanilla\(",
        ),
        (
            lambda: solve(make(), "vanilla", seconds=1),
            TypeError,
            "method is of type str",
        ),
        (
            lambda: solve(make(), SMALL, iterations=1, optimizer="adam"),
            TypeError,
            "optimizer is 'adam': expected a function",
        ),
        (
            lambda: solve(make(), SMALL, iterations=1, optimizer=torch.optim.Adam),
            TypeError,
            "optimizer is <class",
        ),
        (
            lambda: solve(make(), SMALL, iterations=1, optimizer=lambda net, data: 3),
            TypeError,
            "returned 3: expected a torch optimizer",
        ),
        (
            lambda: solve(make(), SMALL, net=torch.nn.Sequential(), iterations=1),
            TypeError,
            "net is of type Sequential: expected a deepxde.nn.NN",
        ),
        (
            lambda: solve(make(), SMALL, net=own_net().float(), iterations=1),
            ValueError,
            "net has parameters in torch.float32: expected torch.float64",
        ),
        (
            lambda: solve(
                make(), Vanilla(20, hidden=(4,), weights=[1, 2, 3]), iterations=1
            ),
            ValueError,
            "loss_weights has 3 entries but there are 2 losses",
        ),
        (
            lambda: make(ENDS),
            TypeError,
            "conditions is <.*DirichletBC.*expected a list",
        ),
        (
            lambda: solve(make(exact=lambda x: x[:, 0]), SMALL, iterations=1),
            ValueError,
            r"exact\(x\) has shape \(32,\): expected \(32, 1\)",
        ),
        (
            lambda: Problem(LINE, lambda x, u, p: -p, lambda x, u: 1.0),
            TypeError,
            r"source\(x, u\) is 1.0: expected a torch.Tensor",
        ),
    ],
)
def test_small_mistakes_are_refused_by_name(call, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_more_points_than_candidates_are_no_mistake() -> None:
    (resampler,) = Vanilla(30_000).callbacks(0)
    assert resampler.candidates == 60_000
    (resampler,) = Vanilla(2_500).callbacks(0)
    assert resampler.candidates == 20_000


def test_looking_at_conditions_disturbs_no_random_number() -> None:
    before = np.random.get_state()[1].copy()
    unfixed(copy.copy(zoo.heat()))
    assert np.array_equal(before, np.random.get_state()[1])


def two_materials() -> Problem:
    """A bar of conductivity 1 and 10; the slope jumps where they meet."""
    flow = 1 / (0.5 + 0.05)
    return Problem(
        LINE,
        lambda x, u, p: -torch.where(x < 0.5, 1.0, 10.0)[..., None] * p,
        conditions=[dde.icbc.DirichletBC(LINE, lambda x: x, lambda x, on: on)],
        exact=lambda x: torch.where(x < 0.5, flow * x, 1 - flow * (1 - x) / 10),
    )


def test_cpinn_gives_each_side_its_own_material() -> None:
    """Both sides used to get one material: error 0.31 at a loss of 4e-9."""
    method = CPINN([[0.5]], num_domain=60, num_interface=5, hidden=(6,))
    solution = solve(two_materials(), method, iterations=60)
    assert solution.error() < 1e-5 and solution.flux_jump() < 1e-4


@pytest.mark.parametrize(
    "method",
    [SMALL, XPINN([[0.5]], 60, hidden=(4,)), HPVPINN([[0, 0.5, 1]], degree=3)],
    ids=["strong", "XPINN", "hp-VPINN"],
)
def test_methods_that_cannot_see_a_jump_of_the_flux_say_so(method: object) -> None:
    with pytest.warns(UserWarning, match=r"the flux jumps at x\[0\] = 0.5, and"):
        solve(two_materials(), method, iterations=1)


def test_large_domains_are_scaled_and_those_of_size_one_are_not() -> None:
    for name in zoo.__all__:
        net = SMALL.net(getattr(zoo, name)(), torch.Generator().manual_seed(0))
        assert net._input_transform is None, name
    wide = dde.geometry.Interval(10, 40)
    start = dde.icbc.DirichletBC(wide, lambda x: 0 * x + 1, lambda x, on: on)
    problem = Problem(wide, lambda x, u, p: -p, conditions=[start])
    for method in (SMALL, HPVPINN(2, hidden=(4,))):
        net = method.net(problem, torch.Generator().manual_seed(0))
        x = torch.tensor([[10.0], [25.0], [40.0]], dtype=torch.float64)
        assert net._input_transform(x).flatten().tolist() == [-1, 0, 1]


def test_a_condition_whose_value_learns_is_refused() -> None:
    """DeepXDE remembers values: an unknown of 1 stayed at 0.717."""
    unknown = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    learns = dde.icbc.DirichletBC(
        LINE, lambda x: unknown * torch.ones(len(x), 1), lambda x, on: on
    )
    with pytest.raises(ValueError, match=r"conditions\[0\], a Dirich.* that learns"):
        solve(make([learns]), SMALL, iterations=1)
    operator = dde.icbc.OperatorBC(
        LINE, lambda x, y, X: y[:, :1] - unknown, lambda x, on: on
    )

    def adam(net: torch.nn.Module, data: object) -> torch.optim.Optimizer:
        return torch.optim.Adam([*net.parameters(), unknown], 1e-2)

    solve(make([operator]), SMALL, iterations=2, optimizer=adam)
    assert unknown.item() != 0.3


def test_a_quadrature_that_misses_the_source_says_so() -> None:
    """A source of width 0.005 between the points: error 0.028 at a loss of 2e-15."""

    def narrow(x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.exp(-(((x - 0.51) / 0.005) ** 2)) / (0.005 * torch.pi**0.5)

    problem = Problem(LINE, lambda x, u, p: -p, narrow, [ENDS])
    coarse = HPVPINN([[0, 0.5, 1]], degree=5, hidden=(4,))
    with pytest.warns(UserWarning, match="points is 15 per axis .* are off by"):
        solve(problem, coarse, iterations=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fitted = HPVPINN([[0, 0.48, 0.54, 1]], points=30, hidden=(4,))
        solve(problem, fitted, iterations=1)


def test_points_of_any_precision_are_predicted_at_and_arrays_refused() -> None:
    solution = solve(make(), SMALL, iterations=1)
    x = torch.rand(5, 1, dtype=torch.float64)
    found = solution.predict(x.float())
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), solution.predict(x), atol=1e-5)
    with pytest.raises(TypeError, match="x is of type ndarray: expected a torch.Ten"):
        solution.predict(x.numpy())
    with pytest.raises(ValueError, match=r"x has shape \(5, 2\): expected"):
        solution.predict(torch.rand(5, 2))


def test_flat_cuts_are_refused() -> None:
    with pytest.raises(TypeError, match=r"cuts\[0\] is 0.5: expected a list"):
        solve(make(), CPINN([0.5]), iterations=1)
