"""Two materials: what flows out of one flows into the other, at every face."""

import warnings

import pytest
import torch
from torch import Tensor

from pinn import (
    CPINN,
    Conservative,
    Mesh,
    Partition,
    Problem,
    SubdomainFNN,
    Vanilla,
    WeakForm,
    flux_jump,
    jet_of,
    solve,
    zoo,
)
from pinn._backend import dde

LINE = dde.geometry.Interval(0, 1)
SQUARE = dde.geometry.Rectangle([0, 0], [1, 1])
FLOW = 1 / (0.5 + 0.05)  # through a bar of conductivity 1 and 10


def conductivity(x: Tensor) -> Tensor:
    """Of the last coordinate: 1, and 10 behind 0.5."""
    return torch.where(x[:, -1:] < 0.5, 1.0, 10.0)[..., None].to(x)


def bar(geometry: object = LINE) -> Problem:
    ends = dde.icbc.DirichletBC(geometry, lambda x: x[:, -1:], lambda x, on: on)
    return Problem(geometry, lambda x, u, p: -conductivity(x) * p, None, [ends])


def straight(partition: Partition) -> SubdomainFNN:
    """The solution: a straight line in each material."""
    net = SubdomainFNN(partition, [1, 1])
    (weight,), (bias,) = net.groups[0].weights, net.groups[0].biases
    slopes = torch.tensor([FLOW, FLOW / 10], dtype=torch.float64)
    with torch.no_grad():  # inputs are scaled to [-1, 1] on each half
        weight[:, 0, 0] = slopes / 4
        bias[:, 0] = torch.tensor([FLOW / 4, 1 - FLOW / 40], dtype=bias.dtype)
    return net


def test_the_solution_of_two_materials_has_no_jump_of_the_flux() -> None:
    partition = Partition(LINE, [[0.5]])
    net = straight(partition)
    x = torch.tensor([[0.0], [0.5], [1.0]], dtype=torch.float64)
    expected = torch.tensor([[0.0], [FLOW / 2], [1.0]], dtype=torch.float64)
    assert torch.allclose(net(x), expected, atol=1e-12)
    assert flux_jump(bar(), net, partition) < 1e-12
    blocks = Conservative(bar(), partition, 10, 2).blocks(net, x[:2])
    assert max(b.abs().max().item() for b in blocks) < 1e-12


def test_the_flux_of_the_wrong_material_is_a_jump() -> None:
    partition = Partition(LINE, [[0.5]])
    net = straight(partition)
    with torch.no_grad():  # one slope everywhere: u is right for one material
        net.groups[0].weights[0].fill_(0.25)
    assert flux_jump(bar(), net, partition) == pytest.approx(9.0, abs=1e-9)


def test_hats_on_a_square_see_no_residual_of_the_solution() -> None:
    problem = bar(SQUARE)
    form = WeakForm(problem, Mesh(SQUARE, [1, [0, 0.5, 1]], degree=2), hats=True)
    jet = jet_of(lambda x: 0 * x[:, :1], form.x, form.wanted)
    slopes = torch.zeros_like(jet.p)
    # the elements lie one above the other: points of each, then face after face
    inner, size = form._volume_points, len(form.rule.nodes)
    slopes[:inner, 0, 1] = torch.where(form.x[:inner, 1] < 0.5, FLOW, FLOW / 10)
    each = torch.tensor([FLOW, FLOW / 10]).repeat_interleave(size)
    slopes[inner:, 0, 1] = each.repeat(4)
    # the tests of the lowest and the highest hat see what flows through the border
    R = form.residual(type(jet)(jet.u, slopes.double(), jet.H))
    assert R.abs().max() < 1e-12


def test_only_methods_that_look_at_one_side_are_warned_of_a_jump() -> None:
    with pytest.warns(UserWarning, match=r"the flux jumps at x\[1\] = 0.5, and Strong"):
        solve(bar(SQUARE), Vanilla(20, hidden=(4,), resample=None), iterations=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        solve(bar(), CPINN([[0.5]], 20, num_interface=5, hidden=(4,)), iterations=1)


def test_interfaces_of_an_l_lie_in_it() -> None:
    ell = zoo.l_shape()
    data = CPINN([[0.0], [0.0]], 40, num_interface=20).data(ell)
    faces = data.interfaces
    for side in (faces.before, faces.x, faces.behind):
        assert ell.inside(side).all()
    sizes = {len(getattr(faces, n)) for n in ("x", "left", "right", "normal", "area")}
    assert sizes == {40}, "two of four faces are whole, and none is half"
