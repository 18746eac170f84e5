import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.autograd import gradcheck

from unroll import soft_threshold, support_select

vectors = arrays("float64", (2, 5), elements=st.floats(-1e3, 1e3)).map(torch.tensor)
thresholds = st.floats(0, 1e3)


def test_is_the_argmin_of_its_definition():
    """No point of a fine grid beats the proximal point, for every entry and theta."""
    v = torch.linspace(-3, 3, 41)
    grid = torch.linspace(-4, 4, 8001)  # step 1e-3, contains 0
    for theta in (0.0, 0.3, 1.0, 2.5):

        def cost(x, theta=theta):
            return theta * x.abs() + 0.5 * (x - v[:, None]) ** 2

        x = soft_threshold(v, theta)
        best = cost(grid[None, :]).min(dim=1)
        assert (cost(x[:, None])[:, 0] <= best.values + 1e-12).all()
        assert ((x - grid[best.indices]).abs() <= 1e-3).all()


def test_equals_sign_times_positive_part(generator):
    v = torch.randn(50, 40, generator=generator)
    expected = v.sign() * (v.abs() - 0.7).clamp(min=0)
    torch.testing.assert_close(soft_threshold(v, 0.7), expected, rtol=0, atol=1e-15)


def test_known_values():
    v = torch.tensor([[3.0, -0.5, -2.0, 1.0, 0.0]])
    assert soft_threshold(v, 1.0).tolist() == [[2.0, 0.0, -1.0, 0.0, 0.0]]


def test_what_it_takes_away_is_a_subgradient(generator):
    """v - x is in theta * (subdifferential of the l1 norm at x)."""
    v, theta = torch.randn(30, 20, generator=generator), 0.5
    x = soft_threshold(v, theta)
    taken = v - x
    on = x != 0
    torch.testing.assert_close(taken[on], theta * x[on].sign(), rtol=0, atol=1e-15)
    assert (taken[~on].abs() <= theta).all()


@given(vectors, vectors, thresholds)
def test_never_moves_two_points_apart(u, v, theta):
    apart = (soft_threshold(u, theta) - soft_threshold(v, theta)).norm()
    assert apart <= (u - v).norm() * (1 + 1e-12)


@given(vectors, thresholds, thresholds)
def test_two_thresholds_in_turn_are_their_sum(v, first, second):
    in_turn = soft_threshold(soft_threshold(v, first), second)
    torch.testing.assert_close(
        in_turn, soft_threshold(v, first + second), rtol=1e-12, atol=1e-12 * 1e3
    )


@given(vectors, thresholds, st.floats(0.01, 100))
def test_is_odd_and_scales_with_its_arguments(v, theta, c):
    x = soft_threshold(v, theta)
    assert torch.equal(soft_threshold(-v, theta), -x)
    scaled = soft_threshold(c * v, c * theta)
    torch.testing.assert_close(scaled, c * x, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("shape", [(3, 1), (4,), (1, 4), (3, 4), ()])
def test_tensor_thresholds_broadcast(generator, shape):
    v = torch.randn(3, 4, generator=generator)
    theta = torch.rand(shape, generator=generator)
    each = theta.expand(3, 4)
    x = soft_threshold(v, theta)
    for i in range(3):
        for j in range(4):
            assert x[i, j] == soft_threshold(v[i, j], each[i, j].item())


def test_the_two_ends_of_theta(generator):
    v = torch.randn(3, 4, generator=generator)
    assert torch.equal(soft_threshold(v, 0.0), v)
    assert not soft_threshold(v, float("inf")).any()


def test_nan_in_the_input_stays_visible():
    x = soft_threshold(torch.tensor([[float("nan"), 2.0]]), 1.0)
    assert x[0, 0].isnan() and x[0, 1] == 1


def test_gradients_in_v_and_theta(generator):
    v = torch.tensor([[2.0, -1.5, 0.2, -0.3]], requires_grad=True)
    theta = torch.tensor([[0.7]], requires_grad=True)
    assert gradcheck(soft_threshold, (v, theta))
    soft_threshold(v, theta).sum().backward()
    assert v.grad.tolist() == [[1, 1, 0, 0]]
    assert theta.grad.item() == 0  # -1 for the positive entry, +1 for the negative


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_follows_the_input(dtype):
    v = torch.ones(2, 3, dtype=dtype)
    assert soft_threshold(v, 0.5).dtype == dtype
    assert soft_threshold(v, torch.full((2, 1), 0.5, dtype=dtype)).dtype == dtype


def test_compiles_without_a_graph_break():
    """The check of theta looks at values, which a compiled network must not do."""
    compiled = torch.compile(soft_threshold, backend="eager", fullgraph=True)
    v, theta = torch.tensor([[2.0, -0.5]]), torch.tensor([[1.0]])
    assert compiled(v, theta).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    ("theta", "shown"),
    [
        (-0.25, r"theta is -0\.25"),
        (float("nan"), "theta is nan"),
        (torch.tensor([[0.1], [-0.5]]), r"theta is -0\.5"),
        (torch.tensor([float("nan"), 1.0]), "theta is nan"),
    ],
)
def test_refuses_thresholds_below_zero(theta, shown):
    with pytest.raises(ValueError, match=shown):
        soft_threshold(torch.zeros(2, 2), theta)


# Complex codes


def test_complex_entries_keep_their_phase_and_lose_modulus(generator):
    """Against the proximal map of the sum of moduli, on a grid of the plane."""
    v = torch.randn(6, dtype=torch.complex128, generator=generator)
    axis = torch.linspace(-3, 3, 601)
    plane = torch.complex(*torch.meshgrid(axis, axis, indexing="ij")).flatten()
    for theta in (0.3, 1.0):
        x = soft_threshold(v, theta)
        cost = theta * plane.abs() + 0.5 * (plane - v[:, None]).abs() ** 2
        own = theta * x.abs() + 0.5 * (x - v).abs() ** 2
        assert (own <= cost.amin(dim=1) + 1e-12).all()
    assert torch.equal(soft_threshold(v, 0.0), v)
    assert not soft_threshold(v, v.abs().max()).any()
    parts = soft_threshold(v.real, 0.3), soft_threshold(v.imag, 0.3)
    assert (soft_threshold(v, 0.3) - torch.complex(*parts)).abs().max() > 0.01
    real = torch.randn(3, 4, generator=generator)
    torch.testing.assert_close(
        soft_threshold(real.to(torch.complex128), 0.4).real,
        soft_threshold(real, 0.4),
        rtol=0,
        atol=1e-15,
    )


def test_complex_gradients_are_right(generator):
    v = torch.randn(3, 4, dtype=torch.complex128, generator=generator)
    theta = torch.tensor(0.4, requires_grad=True)
    assert gradcheck(soft_threshold, (v.requires_grad_(), theta))
    zero = torch.zeros(2, dtype=torch.complex128, requires_grad=True)
    soft_threshold(zero, 0.1).abs().square().sum().backward()
    assert not zero.grad.any()


def test_complex_support_selection_goes_by_modulus():
    v = torch.tensor([[3 + 4j, 0.1j, -2.0 + 0j]], dtype=torch.complex128)
    expected = torch.tensor([[3 + 4j, 0, -1.0]], dtype=torch.complex128)
    torch.testing.assert_close(support_select(v, 1.0, keep=1), expected)


def test_refuses_a_complex_threshold():
    with pytest.raises(ValueError, match=r"theta has dtype torch\.complex128"):
        soft_threshold(torch.ones(1, 2), torch.tensor(1 + 0j, dtype=torch.complex128))


# torch.func


def test_vmap_is_a_loop(generator):
    v, theta = torch.randn(2, 5, 7, generator=generator).abs()
    keep = torch.tensor([0, 1, 3, 7, 9])
    each = [
        support_select(v[i : i + 1], theta[i, 0], keep[i : i + 1, None])[0]
        for i in range(5)
    ]
    mapped = torch.func.vmap(
        lambda v, theta, keep: support_select(v[None], theta, keep[None, None])[0]
    )(v, theta[:, 0], keep)
    assert torch.equal(mapped, torch.stack(each))


@pytest.mark.parametrize("kind", [torch.int64, torch.uint8, torch.bool])
def test_refuses_integers_whose_threshold_would_be_rounded_away(kind):
    v = torch.tensor([[2, 0, 1]]).to(kind)
    for shrink in (soft_threshold, lambda v, t: support_select(v, t, 1)):
        with pytest.raises(TypeError, match=f"v has dtype {kind}: expected a floating"):
            shrink(v, 0.5)
