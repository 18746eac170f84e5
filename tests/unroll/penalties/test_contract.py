"""What every penalty promises: its prox is the argmin, its polar the polar."""

import pytest
import torch

from tests.unroll.penalties.cases import PENALTIES, Length
from unroll.penalties import L1, TV, GroupL21, NonNegativeL1, NuclearNorm

WITH_KINDS = [
    pytest.param(name, kind, id=f"{name} {kind}")
    for name, (*_, welcome) in PENALTIES.items()
    for kind in ([torch.float64, torch.complex128] if welcome else [torch.float64])
]
each = pytest.mark.parametrize(("name", "kind"), WITH_KINDS)


def case(name, kind, batch=3, seed=0):
    penalty, shape, _ = PENALTIES[name]
    generator = torch.Generator().manual_seed(seed)
    v = torch.empty(batch, *shape, dtype=kind).normal_(generator=generator)
    theta = torch.rand(batch, *[1] * len(shape), generator=generator) + 0.1
    return penalty, v, theta, generator


def dot(x, y):
    return (x.conj() * y).real.flatten(1).sum(dim=1)


def column(numbers, like):
    return numbers.reshape(-1, *[1] * (like.ndim - 1))


def nearby(x, generator, scale):
    """Points near ``x``, and as sparse as it is: where a kink could be missed."""
    step = scale * torch.empty_like(x).normal_(generator=generator)
    return x + step, (x + step) * (x != 0), x * (1 + scale)


@each
def test_prox_is_the_argmin(name, kind):
    """f(y) >= f(prox) + 1/2 ||y - prox||^2 for every y: f is strongly convex."""
    penalty, v, theta, generator = case(name, kind)

    def f(x):
        return theta.flatten() * penalty.value(x) + 0.5 * dot(x - v, x - v)

    found = penalty.prox(v, theta)
    assert found.dtype == v.dtype and found.shape == v.shape
    for scale in (1e-4, 1e-2, 1.0):
        for _ in range(20):
            for y in (*nearby(found, generator, scale), v * scale):
                far = 0.5 * dot(y - found, y - found)
                assert (f(y) >= f(found) + far - 1e-9).all()


@each
def test_moreau_splits_a_point_into_two_that_meet_at_no_cost(name, kind):
    """v = x + u, <x, u> = theta R(x) and R*(u / theta) = 0."""
    penalty, v, theta, _ = case(name, kind)
    x, u = penalty.prox(v, theta), penalty.project(v, theta)
    torch.testing.assert_close(x + u, v, rtol=0, atol=1e-14)
    weighted = theta.flatten() * penalty.value(x)
    torch.testing.assert_close(dot(x, u), weighted, rtol=0, atol=1e-9)
    if penalty.has_polar:
        assert (penalty.polar(u) <= theta.flatten() * (1 + 1e-12)).all()
        inside = penalty.conjugate(u / theta * (1 - 1e-12))
        assert torch.equal(inside, torch.zeros(3))


@each
def test_the_polar_is_the_largest_inner_product_on_the_unit_ball(name, kind):
    penalty, u, _, generator = case(name, kind)
    if not penalty.has_polar:
        assert penalty.polar(u).isnan().all() and penalty.conjugate(u).isnan().all()
        return
    polar = penalty.polar(u)
    for _ in range(50):
        x = torch.empty_like(u).normal_(generator=generator)
        x = x.abs() if isinstance(penalty, NonNegativeL1) else x
        assert (dot(x, u) <= polar * penalty.value(x) * (1 + 1e-12)).all()
    # It is reached, by what is left of u just below its own size.
    x = penalty.prox(u, column(polar, u) * (1 - 1e-6))
    reached = dot(x, u) / penalty.value(x)
    torch.testing.assert_close(reached, polar, rtol=1e-5, atol=0)
    beyond = penalty.conjugate(u / (0.99 * column(polar, u)))
    assert torch.equal(beyond, torch.full((3,), float("inf")))


@each
def test_it_is_a_gauge(name, kind):
    penalty, v, theta, _ = case(name, kind)
    x = penalty.prox(v, theta)  # in the domain, also where signs matter
    assert (penalty.value(x) >= 0).all()
    torch.testing.assert_close(penalty.value(3 * x), 3 * penalty.value(x))
    assert torch.equal(penalty.value(0 * x), torch.zeros(3))
    none = penalty.prox(v, 0.0)
    expected = v.clamp(min=0) if isinstance(penalty, NonNegativeL1) else v
    torch.testing.assert_close(none, expected, rtol=0, atol=1e-12)


@each
def test_a_weight_for_each_sample_is_a_loop(name, kind):
    penalty, v, theta, _ = case(name, kind)
    whole = penalty.prox(v, theta)
    for i in range(3):
        one = penalty.prox(v[i : i + 1], theta[i].item())[0]
        torch.testing.assert_close(whole[i], one, rtol=0, atol=1e-12)


def test_projections_in_closed_form(generator):
    """Each of them, written down without its prox."""
    u, radius = torch.randn(3, 6, generator=generator), 0.7
    exact = {"rtol": 0, "atol": 1e-12}
    clipped = u.clamp(-radius, radius)
    torch.testing.assert_close(L1().project(u, radius), clipped, **exact)
    below = u.clamp(max=radius)
    torch.testing.assert_close(NonNegativeL1().project(u, radius), below, **exact)
    groups = u.reshape(3, 2, 3)
    lengths = groups.norm(dim=2, keepdim=True)
    scaled = (groups * (radius / lengths).clamp(max=1)).reshape(3, 6)
    torch.testing.assert_close(GroupL21(3).project(u, radius), scaled, **exact)
    U, S, Vh = torch.linalg.svd(groups, full_matrices=False)
    capped = U @ torch.diag_embed(S.clamp(max=radius)) @ Vh
    torch.testing.assert_close(NuclearNorm().project(groups, radius), capped, **exact)
    z = torch.complex(u[:, :3], u[:, 3:])
    disc = z / z.abs() * z.abs().clamp(max=radius)
    torch.testing.assert_close(L1().project(z, radius), disc, **exact)


def test_nothing_negative_has_a_value():
    x = torch.tensor([[1.0, 2.0], [1.0, -1e-30]])
    assert NonNegativeL1().value(x).tolist() == [3.0, float("inf")]
    assert NonNegativeL1().polar(-x).tolist() == [0.0, 1e-30]


def test_a_penalty_of_ones_own_has_conjugate_and_projection():
    u = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    assert Length().conjugate(u).tolist() == [float("inf"), 0.0]
    nearest = torch.tensor([[0.6, 0.8], [0.3, 0.4]])
    torch.testing.assert_close(Length().project(u, 1.0), nearest)


@pytest.mark.parametrize(
    ("call", "error", "shown"),
    [
        (
            lambda: NonNegativeL1().value(torch.ones(1, 2) * 1j),
            TypeError,
            "expected re",
        ),
        (lambda: GroupL21(0), ValueError, "size is 0"),
        (lambda: GroupL21(2.0), TypeError, r"size is 2\.0"),
        (
            lambda: GroupL21(4).value(torch.ones(1, 6)),
            ValueError,
            "size is 4 but the last axis has 6 entries: expected a divisor",
        ),
        (lambda: NuclearNorm().value(torch.ones(2, 3)), ValueError, r"shape \(2, 3\)"),
        (lambda: TV().prox(torch.ones(2, 3), 1.0), ValueError, r"shape \(2, 3\): exp"),
        (lambda: TV().value(torch.ones(2, 3)), ValueError, r"shape \(2, 3\): exp"),
        (lambda: TV(tol=0.0), ValueError, r"tol is 0\.0"),
        (lambda: TV(iterations=0), ValueError, "iterations is 0"),
        (lambda: L1().prox(torch.ones(1, 2), -1.0), ValueError, r"theta is -1\.0"),
    ],
)
def test_refuses_by_name(call, error, shown):
    with pytest.raises(error, match=shown):
        call()
