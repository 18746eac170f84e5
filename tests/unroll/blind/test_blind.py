"""Half-quadratic splitting by dense matrices, and DUBLID, which starts as it."""

import copy
import pickle

import pytest
import torch

from unroll.blind import DUBLID, half_quadratic
from unroll.blind.half_quadratic import differences, kernel_step, latent_step, restored
from unroll.operators import Blur
from unroll.operators._circular import transfer
from unroll.problems import BlindDeblurring, Ellipses

SIZE, BOX = (6, 7), (3, 5)
NUMBERS = {"theta": 0.03, "weights": (6.0, 2.0, 0.2), "bias": 0.04}


def sampled(batch=2, seed=0, size=SIZE, snr_db=40.0):
    problem = BlindDeblurring(Ellipses(size), BOX, snr_db=snr_db)
    return problem.sample(batch, torch.Generator().manual_seed(seed))


def matrix(kernel, size=SIZE):
    """Return the circular convolution with a kernel as a matrix, entry by entry."""
    (height, width), (rows, columns) = size, kernel.shape
    found = torch.zeros(height, width, height, width)
    for i in range(height):
        for j in range(width):
            for p in range(rows):
                for q in range(columns):
                    r = (i - (p - rows // 2)) % height
                    c = (j - (q - columns // 2)) % width
                    found[i, j, r, c] += kernel[p, q]
    return found.reshape(height * width, -1)


def by_hand(b, filters, theta, weights, bias, iterations):
    """One image, by dense linear systems, no Fourier transform."""
    zeta, zeta_k, eta = weights
    y = [matrix(f) @ b.flatten() for f in filters]
    z, shifts = [torch.zeros_like(v) for v in y], whole_places()
    k = torch.zeros(BOX)
    k[BOX[0] // 2, BOX[1] // 2] = 1
    one = torch.eye(b.numel())
    for _ in range(iterations):
        K = matrix(k)
        normal = zeta * K.T @ K + one
        g = [
            torch.linalg.solve(normal, zeta * K.T @ v + w)
            for v, w in zip(y, z, strict=True)
        ]
        z = [v.sign() * (v.abs() - theta).relu() for v in g]
        Z = [torch.stack([S @ w for S in shifts], dim=1) for w in z]
        normal = zeta_k * sum(M.T @ M for M in Z) + one
        top = zeta_k * sum(M.T @ v for M, v in zip(Z, y, strict=True)) + spread(k)
        k = inside(torch.linalg.solve(normal, top))
        k = (k - bias * k.max()).relu()
        k = k / k.sum()
    K = matrix(k)
    F = [matrix(f) for f in filters]
    normal = K.T @ K + eta * sum(f.T @ f for f in F)
    top = K.T @ b.flatten() + eta * sum(f.T @ v for f, v in zip(F, g, strict=True))
    return torch.linalg.solve(normal, top).reshape(b.shape), k


def whole_places():
    """Return the shifts by every place of the image: a kernel as large as it."""
    found = []
    for r in range(SIZE[0]):
        for c in range(SIZE[1]):
            one = torch.eye(SIZE[0] * SIZE[1]).reshape(-1, *SIZE)
            found.append(one.roll((r, c), dims=(1, 2)).flatten(1).T)
    return found


def spread(k):
    """Return a kernel on the whole grid, its centre at the first place."""
    whole = torch.zeros(SIZE)
    whole[: BOX[0], : BOX[1]] = k
    return whole.roll((-(BOX[0] // 2), -(BOX[1] // 2)), dims=(0, 1)).flatten()


def inside(whole):
    """Return the box of a kernel that is on the whole grid."""
    rolled = whole.reshape(SIZE).roll((BOX[0] // 2, BOX[1] // 2), dims=(0, 1))
    return rolled[: BOX[0], : BOX[1]]


@pytest.mark.parametrize("iterations", [1, 3])
def test_half_quadratic_is_the_algorithm_by_hand_and_dublid_before_training_too(
    iterations,
):
    b, _, _ = sampled()
    filters = torch.randn(3, 3, 3, generator=torch.Generator().manual_seed(1))
    found = half_quadratic(b, filters, BOX, iterations=iterations, **NUMBERS)
    net = DUBLID(BOX, iterations, filters=filters, **NUMBERS)(b)
    for i in range(2):
        expected = by_hand(b[i, 0], filters, iterations=iterations, **NUMBERS)
        for x, k in (found, net):
            torch.testing.assert_close(x[i, 0], expected[0], rtol=0, atol=1e-12)
            torch.testing.assert_close(k[i], expected[1], rtol=0, atol=1e-12)


def test_the_truth_rests():
    """From the true kernel and the true edges nothing moves, and the image is exact."""
    b, x, k = sampled(snr_db=None)
    filters = differences().double()
    F = transfer(filters, SIZE, full=False)
    edges = torch.fft.irfft2(F * torch.fft.rfft2(x), s=SIZE)
    y = torch.fft.irfft2(F * torch.fft.rfft2(b), s=SIZE)
    torch.testing.assert_close(latent_step(y, edges, k, 5.0), edges)
    torch.testing.assert_close(kernel_step(y, edges, k, 5.0, 0.0), k)
    torch.testing.assert_close(restored(b, edges, k, F, 0.3), x)


def test_a_blur_of_the_problem_is_that_of_the_operator():
    b, x, k = sampled(snr_db=None)
    for i in range(2):
        torch.testing.assert_close(Blur(k[i], SIZE)(x[i]), b[i])
    torch.testing.assert_close(k.sum(dim=(1, 2)), torch.ones(2))
    assert (k > 0).all() and not torch.allclose(k[0], k[1])


def disturbed(seed=0, size=0.3):
    generator = torch.Generator().manual_seed(seed)
    net = DUBLID(BOX, 3, **NUMBERS)
    with torch.no_grad():
        for p in net.parameters():
            p += size * torch.randn(p.shape, generator=generator)
    return net


@pytest.mark.parametrize("seed", range(4))
def test_the_kernel_is_on_the_simplex_whatever_was_learned(seed):
    b, _, _ = sampled(batch=5, seed=seed)
    _, k = disturbed(seed, size=1.0)(b)
    assert (k >= 0).all()
    torch.testing.assert_close(k.sum(dim=(1, 2)), torch.ones(5))


def test_an_image_without_edges_keeps_its_kernel():
    x, k = DUBLID(BOX)(torch.full((1, 1, *SIZE), 0.4))
    torch.testing.assert_close(x, torch.full((1, 1, *SIZE), 0.4))
    assert k[0, 1, 2] == 1 and k.sum() == 1


def test_the_first_step_sees_the_widest_filters():
    """With wider filters that are zero at depth 1, only the last step has a signal."""
    b, _, _ = sampled()
    net = DUBLID(BOX, 2, **NUMBERS)
    with torch.no_grad():
        net.wider[0].zero_()
    _, k = net(b)
    one = DUBLID(BOX, 1, **NUMBERS)(b)[1]
    torch.testing.assert_close(k, one, rtol=0, atol=1e-12)


def test_the_gradient_is_that_of_finite_differences():
    b, x, k = sampled()
    net = disturbed(size=0.05)

    def loss():
        image, kernel = net(b)
        return (image - x).square().sum() + 10 * (kernel - k).square().sum()

    loss().backward()
    for name, p in net.named_parameters():
        flat, slope = p.data.view(-1), p.grad.view(-1)[0]
        value, h = flat[0].item(), 1e-6
        with torch.no_grad():
            flat[0] = value + h
            above = loss()
            flat[0] = value - h
            expected = (above - loss()) / (2 * h)
            flat[0] = value
        assert abs(slope - expected) < 1e-5 * (1 + abs(expected)), name


def test_training_finds_better_kernels():
    problem = BlindDeblurring(Ellipses((16, 16)), BOX)
    generator = torch.Generator().manual_seed(0)
    test = problem.sample(32, torch.Generator().manual_seed(1))
    net = DUBLID(BOX, 3)

    def error(b, x, k):
        image, kernel = net(b)
        return (kernel - k).square().sum() / k.square().sum() + (
            (image - x).square().sum() / x.square().sum()
        )

    before = error(*test).item()
    adam = torch.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(40):
        adam.zero_grad()
        error(*problem.sample(8, generator)).backward()
        adam.step()
    assert error(*test).item() < 0.9 * before


def test_survives_copy_pickle_save_and_export():
    b, _, _ = sampled()
    net = disturbed()
    expected = net(b)[1]
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(other(b)[1], expected)
    other = DUBLID(BOX, 3)
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(b)[1], expected)
    exported = torch.export.export(net, (b,)).module()
    torch.testing.assert_close(exported(b)[1], expected)


ONES = torch.ones(1, 1, 6, 7, dtype=torch.float64)


@pytest.mark.parametrize(
    ("b", "kind", "shown"),
    [
        (ONES[0], ValueError, r"b has shape \(1, 6, 7\): expected \(batch, 1, height"),
        (ONES.expand(1, 2, 6, 7), ValueError, r"b has shape \(1, 2, 6, 7\)"),
        (ONES[..., :4], ValueError, r"kernel is \(3, 5\) but b has shape \(1, 1, 6, 4"),
        (ONES * torch.nan, ValueError, r"b\[0, 0, 0, 0\] is nan"),
        (
            ONES.float(),
            TypeError,
            "torch.float32 but .* torch.float64|torch.float64 but",
        ),
        (ONES.int(), TypeError, "b has dtype torch.int32"),
    ],
)
def test_refuses_what_is_no_grey_image(b, kind, shown):
    for method in (DUBLID(BOX), lambda b: half_quadratic(b, ONES[0], BOX)):
        with pytest.raises(kind, match=shown):
            method(b)


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"kernel": (0, 3)}, "height of kernel is 0"),
        ({"depth": 0}, "depth is 0"),
        ({"bias": 1.0}, "bias is 1.0: expected 0 < bias < 1"),
        ({"theta": 0.0}, "value is 0.0"),
        ({"filters": torch.ones(3, 3)}, r"filters has shape \(3, 3\)"),
    ],
)
def test_dublid_refuses_by_name(change, shown):
    with pytest.raises(ValueError, match=shown):
        DUBLID(**({"kernel": (3, 3)} | change))


def test_half_quadratic_refuses_by_name():
    with pytest.raises(ValueError, match="bias is -0.1"):
        half_quadratic(ONES, ONES[0], BOX, bias=-0.1)
    with pytest.raises(ValueError, match=r"filters has shape \(6, 7\)"):
        half_quadratic(ONES, ONES[0, 0], BOX)
    with pytest.raises(ValueError, match="iterations is -1"):
        half_quadratic(ONES, ONES[0], BOX, iterations=-1)


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"kernel": (7, 3)}, "height of kernel is 7: expected <= 6"),
        ({"kernel": (3, 0)}, "width of kernel is 0"),
        ({"snr_db": float("nan")}, "snr_db is nan"),
    ],
)
def test_the_problem_refuses_by_name(change, shown):
    with pytest.raises(ValueError, match=shown):
        BlindDeblurring(**({"images": Ellipses(SIZE), "kernel": BOX} | change))
