"""Solving, racing, measuring and drawing."""

import copy

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from pinn import (
    CPINN,
    FEM,
    HPVPINN,
    SSBFGS,
    VPINN,
    XPINN,
    HardPINN,
    JetFNN,
    Mesh,
    Partition,
    Problem,
    SSBroyden,
    Strong,
    SubdomainFNN,
    Vanilla,
    flux_jump,
    jet_of,
    mass_defect,
    race,
    relative_error,
    solve,
    test_points,
    zoo,
)
from pinn import solve as solve_function
from pinn._backend import dde
from pinn.domains.border import corners
from pinn.plot import plot_mesh, plot_points

HEAT = zoo.heat()


def diffusion(x: torch.Tensor, u: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    return -p


SMALL = {"num_domain": 150, "num_sides": 20, "hidden": (10, 10)}
METHODS = {
    "vanilla": Vanilla(**SMALL, resample=3),
    "hard": HardPINN(**SMALL),
    "cPINN": CPINN([[0.4]], num_interface=10, **SMALL),
    "XPINN": XPINN([[], [0.5]], num_interface=10, **SMALL),
    "VPINN": VPINN(degree=4, num_sides=20, hidden=(12, 12)),
    "hp-VPINN": HPVPINN(2, degree=3, num_sides=20, hidden=(12, 12), hats=True),
    "hp-VPINN, hard": HPVPINN(2, degree=3, hidden=(12, 12), hard=True),
    "FEM": FEM(16),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_solves_the_heat_equation(name: str) -> None:
    solution = solve(HEAT, METHODS[name], iterations=40)
    assert solution.error() < 0.1
    errors = solution.history.error
    assert name == "FEM" or errors[-1] < 0.2 * errors[0]
    assert solution.mass_defect() < 0.3 and solution.parameters > 10
    x = torch.rand(5, 2, dtype=torch.float64)
    assert solution.predict(x).shape == (5, 1)
    assert (solution.flux_jump() > 0) == (name in ("cPINN", "XPINN"))


@pytest.mark.parametrize("name", [name for name in METHODS if name != "FEM"])
def test_networks_are_trained_by_ssbroyden_unless_told_otherwise(name: str) -> None:
    method = METHODS[name]
    data = method.data(HEAT)
    net = method.net(HEAT, torch.Generator().manual_seed(0))
    assert type(method.optimizer(net, data)) is SSBroyden
    assert type(solve(HEAT, method, iterations=1).model.opt) is SSBroyden


def test_the_same_seed_gives_the_same_solution_and_disturbs_nobody() -> None:
    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    a, b, c = (solve(HEAT, METHODS["vanilla"], iterations=4, seed=s) for s in (1, 1, 2))
    assert torch.equal(before, torch.rand(1)), "the global generator is put back"
    x = torch.rand(9, 2, dtype=torch.float64)
    assert torch.equal(a.predict(x), b.predict(x))
    assert not torch.equal(a.predict(x), c.predict(x))


def test_a_network_and_an_optimiser_of_ones_own() -> None:
    net = JetFNN([2, 5, 1], generator=torch.Generator().manual_seed(0))
    made = []

    def optimizer(net: torch.nn.Module, data: object) -> torch.optim.Optimizer:
        made.append(SSBFGS(net.parameters()))
        return made[0]

    solution = solve(
        HEAT, METHODS["vanilla"], net=net, optimizer=optimizer, iterations=3
    )
    assert solution.net is net and solution.model.opt is made[0]


def test_a_limit_in_seconds_is_kept_and_looked_at() -> None:
    solution = solve(HEAT, METHODS["vanilla"], seconds=0.3)
    assert solution.seconds >= 0.3
    assert (solution.history.seconds.diff() >= 0).all()
    assert len(solution.history.loss) > 3


def test_an_interrupt_returns_what_there_is(monkeypatch) -> None:
    class Impatient(Vanilla):
        def callbacks(self, seed: int) -> list:
            from pinn._backend import dde

            class Interrupt(dde.callbacks.Callback):
                def on_epoch_end(self) -> None:
                    if self.model.train_state.step == 3:
                        raise KeyboardInterrupt

            return [Interrupt()]

    solution = solve(HEAT, Impatient(**SMALL), iterations=50)
    assert solution.model.train_state.step == 3 and solution.interrupted
    assert solution.history.loss[-1] < solution.history.loss[0]
    with pytest.warns(UserWarning, match="interrupted in 'impatient', seed 0"):
        found = race(
            HEAT, {"FEM": FEM(4), "impatient": Impatient(**SMALL)}, 60.0, seeds=[0, 1]
        )
    assert list(found.solutions) == ["FEM"], "a run cut short is no contestant"
    with pytest.raises(KeyboardInterrupt):
        race(HEAT, {"impatient": Impatient(**SMALL)}, 60.0)


def test_a_race_has_a_table_and_a_picture() -> None:
    found = race(HEAT, {"FEM": FEM(8), "VPINN": METHODS["VPINN"]}, 0.2, seeds=[0, 1])
    assert [len(runs) for runs in found.solutions.values()] == [1, 2]
    table = found.table().splitlines()
    assert table[2].startswith("| FEM |") and table[3].startswith("| VPINN |")
    (panel,) = found.plot().axes
    assert panel.get_xlabel() == "CPU seconds" and panel.get_yscale() == "log"
    assert len(panel.lines) == 2 and len(panel.collections) == 1
    plt.close("all")


def test_pictures() -> None:
    solution = solve(HEAT, METHODS["VPINN"], iterations=2)
    assert [axis.get_title() for axis in solution.plot().axes[:2]] == ["u", "error"]
    animation = solution.animate(frames=3)
    animation._draw_frame(2)
    line = solution.plot().axes
    assert len(line) == 4
    steep = zoo.poisson_1d_steep()
    from pinn.plot import plot_solution

    assert len(plot_solution(steep, steep.exact).axes) == 2
    corner = zoo.l_shape()
    mesh = Mesh(corner.geometry, 4)
    picture = plot_mesh(mesh, torch.arange(12.0))
    assert len(picture.axes[0].patches) == 12
    data = METHODS["vanilla"].data(HEAT)
    assert len(plot_points(data).axes[0].lines[0].get_xdata()) == len(data.train_x_all)
    with pytest.raises(ValueError, match="1 coordinates and in_time=False"):
        from pinn.plot import animate_solution

        animate_solution(steep, steep.exact)
    plt.close("all")


def test_the_mass_defect_by_hand() -> None:
    # u = t: int u_t = 1; the flux -0.4 u_x is 0.
    assert mass_defect(HEAT, lambda x: x[:, 1:]) == pytest.approx(1.0, abs=1e-12)
    # u = x^2: flux out of both ends is -0.8.
    assert mass_defect(HEAT, lambda x: x[:, :1] ** 2) == pytest.approx(0.8, abs=1e-12)
    square = zoo.poisson_2d_steep()
    assert mass_defect(square, square.exact) < 1e-9
    flow = zoo.kovasznay()
    assert mass_defect(flow, flow.exact) < 1e-12
    with pytest.raises(ValueError, match="mass_defect needs a balance law"):
        mass_defect(Problem(HEAT.geometry, residual=lambda x, y: y), HEAT.exact)


def test_measures_follow_the_networks_precision() -> None:
    net = JetFNN([2, 8, 1], generator=torch.Generator().manual_seed(0))
    single = copy.deepcopy(net).float()
    for measure in (relative_error, mass_defect):
        assert measure(HEAT, single) == pytest.approx(measure(HEAT, net), rel=1e-4)


def test_the_flux_jump_sees_a_jump() -> None:
    partition = Partition(HEAT.geometry, [[0.4]])
    net = SubdomainFNN(partition, [2, 4, 1], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
    assert flux_jump(HEAT, net, partition) == 0
    with torch.no_grad():
        net.groups[0].weights[0].fill_(0.1)
        net.groups[0].weights[1][0].fill_(1.0)
    assert flux_jump(HEAT, net, partition) > 0.1


def test_without_an_interface_no_flux_jumps() -> None:
    partition = Partition(HEAT.geometry, [[]])
    net = SubdomainFNN(partition, [2, 4, 1], generator=torch.Generator().manual_seed(0))
    assert flux_jump(HEAT, net, partition) == 0


def test_errors_are_relative() -> None:
    assert relative_error(HEAT, lambda x: 1.25 * HEAT.exact(x)) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="no exact solution"):
        relative_error(Problem(HEAT.geometry, HEAT.flux), HEAT.exact)
    with pytest.raises(ValueError, match=r"net\(x\) has shape"):
        relative_error(HEAT, lambda x: x)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: solve(HEAT, Vanilla()), "neither seconds nor iterations"),
        (lambda: solve(HEAT, Vanilla(), seconds=-1.0), "seconds is -1.0"),
        (lambda: solve(HEAT, Vanilla(), iterations=0), "iterations is 0"),
        (lambda: solve(HEAT, Vanilla(), iterations=1, seed=-1), "seed is -1"),
        (
            lambda: solve(zoo.kovasznay(), HardPINN(), iterations=1),
            "no hard constraint",
        ),
        (lambda: race(HEAT, {}, 1.0), "0 methods and 3 seeds"),
        (
            lambda: race(Problem(HEAT.geometry, HEAT.flux), {"a": FEM()}, 1.0),
            "no exact solution",
        ),
    ],
)
def test_bad_input_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
    assert solve_function is solve


def test_the_mass_defect_is_refused_where_the_domain_is_no_box() -> None:
    """On the L it summed over the missing quadrant: 2.18 for the exact solution."""
    ell = zoo.l_shape()
    with pytest.raises(ValueError, match="mass_defect expects a box"):
        mass_defect(ell, ell.exact)


def test_the_mass_defect_is_refused_on_a_disk_that_lasts() -> None:
    disk = dde.geometry.Disk([0, 0], 1)
    lasting = dde.geometry.GeometryXTime(disk, dde.geometry.TimeDomain(0, 1))
    for geometry in (disk, lasting):
        problem = Problem(geometry, lambda x, u, p: -p)
        with pytest.raises(ValueError, match="inside its bounding box: mass_defect"):
            mass_defect(problem, lambda x: x[:, :1])


def test_a_function_that_lost_its_derivatives_is_refused() -> None:
    with pytest.raises(ValueError, match="does not carry its derivatives"):
        mass_defect(HEAT, lambda x: HEAT.exact(x).detach())
    flat = jet_of(lambda x: torch.ones_like(x[:, :1]), HEAT.probes()[0], HEAT.wanted)
    assert flat.p[..., 0].abs().max() == 0, "a constant may"


def test_finite_elements_on_an_l_are_drawn() -> None:
    figure = solve(zoo.l_shape(), FEM([[-1, 0, 1], [-1, 0, 1]])).plot()
    values = figure.axes[0].collections[0].get_array()
    assert 0.2 < np.ma.getmaskarray(np.ma.masked_invalid(values)).mean() < 0.3
    plt.close(figure)


def test_conditions_with_normals_have_no_corners() -> None:
    square = dde.geometry.Rectangle([0, 0], [1, 1])
    slope = dde.icbc.NeumannBC(square, lambda x: 0 * x[:, :1], lambda x, on: on)
    value = dde.icbc.DirichletBC(square, lambda x: 0 * x[:, :1], lambda x, on: on)
    data = Strong(Problem(square, diffusion, conditions=[slope, value]), 10, 60)
    with_normal, others = data.num_bcs
    assert with_normal == others - corners(square, data.train_x_all).sum() < others
    data.resample_train_points()
    assert data.num_bcs[0] <= data.num_bcs[1] == len(data.train_x_bc) - data.num_bcs[0]


def test_in_ten_coordinates_errors_are_measured_at_points_that_differ() -> None:
    """On a grid of two places per axis this sum would have one value only."""
    dim = 10
    cube = dde.geometry.Hypercube([0.0] * dim, [2.0] * dim)

    def exact(x: torch.Tensor) -> torch.Tensor:
        return torch.sin(torch.pi * x / 2).sum(1, keepdim=True)

    problem = Problem(cube, lambda x, u, p: -p, exact=exact)
    x = test_points(problem, 4000)
    assert x.shape == (4000, dim) and x.dtype == torch.float64
    assert torch.equal(x, test_points(problem, 4000)), "the same at every call"
    for axis in x.T:
        share, _ = axis.sort()
        even = (torch.arange(4000) + 0.5) / 2000
        assert (share - even).abs().max() < 2e-3, "each coordinate evenly"
    spread, mean = dim**0.5 * (1 / 2 - 4 / torch.pi**2) ** 0.5, 2 * dim / torch.pi
    assert exact(x).std().item() == pytest.approx(spread, rel=0.05)
    constant = relative_error(problem, lambda x: mean + 0 * x[:, :1])
    assert constant == pytest.approx(spread / (spread**2 + mean**2) ** 0.5, rel=0.05)
