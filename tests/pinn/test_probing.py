"""What is found by trying a flux and a source, and what is tried."""

import pytest
import torch
from torch import Tensor

from pinn import Problem, jet_of
from pinn._backend import dde
from pinn.domains.mesh import inside_of
from pinn.probing import find_jump, probe

LINE = dde.geometry.Interval(0, 1)
SQUARE = dde.geometry.Rectangle([0, 0], [1, 2])
DISK = dde.geometry.Disk([0, 0], 1)


def diffusion(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
    return -p


def test_probes_lie_in_the_domain_and_are_the_same_at_every_call() -> None:
    x, u, p = probe(DISK, 2, count=500)
    assert inside_of(DISK, x.numpy()).all() and len(x) == 500
    assert u.shape == (500, 2) and p.shape == (500, 2, 2)
    for here, again in zip((x, u, p), probe(DISK, 2, count=500), strict=True):
        assert torch.equal(here, again)


def test_what_is_defined_in_the_domain_only_is_not_taken_for_reading_u() -> None:
    def dome(x: Tensor, u: Tensor) -> Tensor:
        return (1 - x.square().sum(1, keepdim=True)).sqrt()  # NaN outside

    assert not Problem(DISK, diffusion, dome).source_uses_u


def test_a_domain_without_points_is_refused() -> None:
    nothing = dde.geometry.Disk([0, 0], 1) - dde.geometry.Disk([0, 0], 2)
    with pytest.raises(ValueError, match="geometry has 0 of 6400 points"):
        Problem(nothing, diffusion)


def test_a_source_that_reads_u_on_four_thousandths_of_the_line_is_noticed() -> None:
    def thin(x: Tensor, u: Tensor) -> Tensor:
        return torch.where((x - 0.3).abs() < 0.002, u, 0 * x)

    assert Problem(LINE, diffusion, thin).source_uses_u


@pytest.mark.parametrize("level", [-500.0, -0.5, 0.5, 500.0])
def test_comparisons_with_values_of_any_size_are_noticed(level: float) -> None:
    def stepped(x: Tensor, u: Tensor) -> Tensor:
        beyond = u > level if level > 0 else u < level
        return torch.where(beyond, 1.0, 0.0).to(x)

    assert Problem(LINE, diffusion, stepped).source_uses_u


def test_a_mixed_derivative_is_noticed() -> None:
    def crossed(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        return torch.stack([p[..., 1], 0 * u], dim=-1)

    problem = Problem(SQUARE, crossed)
    assert problem.wanted.second == ((0, 1),) and problem.flux_wanted.first == (1,)


def bar(jump: float, *, from_: float = 0.0) -> object:
    """A flux whose coefficient jumps along the second axis, where the first allows."""

    def flux(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        beyond = (x[:, 1:] > 1.3) & (x[:, :1] > from_)
        return torch.where(beyond, 1 + jump, 1.0)[..., None] * p

    return flux


def test_a_small_jump_and_one_on_part_of_the_domain_are_found() -> None:
    for flux in (bar(1e-3), bar(1.0, from_=0.6)):
        axis, place = find_jump(flux, Problem(SQUARE, flux).probes())
        assert (axis, place) in [(1, pytest.approx(1.3)), (0, pytest.approx(0.6))]


def test_a_coefficient_that_varies_smoothly_does_not_jump() -> None:
    def varying(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        return (1 + x[:, :1] ** 2 + torch.sin(9 * x[:, 1:]))[..., None] * p

    assert find_jump(varying, Problem(SQUARE, varying).probes()) is None


def test_an_anisotropic_flux_gets_every_derivative_that_it_reads() -> None:
    A = torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
    problem = Problem(SQUARE, lambda x, u, p: p @ A)
    x = problem.probes()[0]
    jet = jet_of(lambda x: x[:, :1] ** 2 * x[:, 1:], x, problem.wanted)
    a, b = x.T
    by_hand = 2 * 2 * b + 2 * 2 * a
    assert torch.allclose(problem.strong_residual(x, jet)[:, 0], by_hand)


def test_a_jump_is_named_where_it_is_and_not_where_the_flux_is_smooth() -> None:
    def partly(x: Tensor, u: Tensor, p: Tensor) -> Tensor:
        inside = (x[:, 1:] > 0.7) & (x[:, :1] > 0.9)
        return torch.where(inside, 2.0, 1 + x[:, 1:] / 10)[..., None] * p

    axis, place = find_jump(partly, Problem(SQUARE, partly).probes())
    assert place == pytest.approx((0.9, 0.7)[axis], abs=1e-6)
