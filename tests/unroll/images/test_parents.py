"""Each network is its classical method where its learned parts are that method's."""

import pytest
import torch
from torch import nn

import unroll as u
from tests.unroll.images.cases import OPERATORS, TIGHT, draw, pair, seeded
from unroll.images import ADMMNet, ISTANet, LearnedPrimalDual, MoDL, PiecewiseLinear
from unroll.images.base import scale_of
from unroll.operators import Matrix, Operator
from unroll.penalties import TV
from unroll.penalties.base import Penalty

EXACT = {"rtol": 0, "atol": 1e-12}
behind = pytest.mark.parametrize("kind", OPERATORS)


def dense(A):
    """Return the matrix of an operator: its columns are its values of unit images."""
    n = A.zeros().numel()
    return A(torch.eye(n).reshape(n, *A.domain)).flatten(1).T


def vectors(value):
    return value.flatten(1)


def single(A):
    """Return measurements of two images of one channel, or of one dictionary."""
    inner = A.domain if len(A.domain) == 3 else (1, *A.domain)
    return A(draw(2, *inner))


# ISTA-Net


@pytest.mark.parametrize("kind", [k for k in OPERATORS if k != "FourierSample"])
def test_untrained_ista_net_is_ista_at_every_depth(kind):
    A = OPERATORS[kind]()
    b, _ = pair(A)
    lam = 0.1 * scale_of(A)
    net = ISTANet(A, 6, channels=5, lam=lam, generator=seeded())
    expected = u.ista(A, b, lam, iterations=6, keep_iterates=True).iterates
    assert expected[-1].any() and not (expected[-1] != 0).all(), "some are shrunk"
    torch.testing.assert_close(net.iterates(b), expected, **EXACT)


def test_of_complex_images_both_parts_are_shrunk():
    A = OPERATORS["FourierSample"]()
    b, _ = pair(A)
    x, t = torch.zeros_like(A.adjoint(b)), 1 / scale_of(A)
    for _ in range(4):
        r = x + t * A.adjoint(b - A(x))
        parts = (u.soft_threshold(part, 0.05 * t) for part in (r.real, r.imag))
        x = torch.complex(*parts)
    net = ISTANet(A, 4, channels=2, lam=0.05)
    torch.testing.assert_close(net(b), x, **EXACT)


@behind
def test_untrained_plus_variant_is_gradient_descent(kind):
    A = OPERATORS[kind]()
    b, _ = pair(A)
    net = ISTANet(A, 4, channels=4, plus=True)
    expected = u.ista(A, b, 0.0, iterations=4, keep_iterates=True).iterates
    torch.testing.assert_close(net.iterates(b), expected, **EXACT)


class InBasis(nn.Module):
    """An orthogonal transform of whole images, or its inverse."""

    def __init__(self, W, size):
        super().__init__()
        self.W, self.size = W, size

    def forward(self, x):
        return (x.flatten(1) @ self.W.T).reshape(-1, 1, *self.size)


class AfterBasis(Operator):
    """``A W^T``: an operator on the coefficients of a basis."""

    def __init__(self, A, W):
        super().__init__(A.domain)
        self.A, self.back, self.there = A, InBasis(W.T, A.domain), InBasis(W, A.domain)

    def forward(self, x):
        return self.A(self.back(x))

    def adjoint(self, b):
        return self.there(self.A.adjoint(b))


@pytest.mark.parametrize("kind", ["Matrix", "Mask", "Blur", "Ray"])
def test_with_an_orthogonal_transform_it_is_ista_in_that_basis(kind):
    A = OPERATORS[kind]()
    b = A(draw(3, 1, *A.domain))
    W = torch.linalg.qr(draw(42, 42, seed=3))[0]
    lam = 0.1 * scale_of(A)
    net = ISTANet(A, 5, lam=lam)
    for layer in net.layers:
        layer.F, layer.back = InBasis(W, A.domain), InBasis(W.T, A.domain)
    codes = u.ista(
        AfterBasis(A, W),
        b,
        lam,
        step_size=1 / scale_of(A),
        iterations=5,
        keep_iterates=True,
    ).iterates
    assert (codes[-1] == 0).any()
    expected = torch.stack([InBasis(W.T, A.domain)(code) for code in codes])
    torch.testing.assert_close(net.iterates(b), expected, **EXACT)
    assert net.symmetry(b, net.iterates(b)) < 1e-24


def test_the_symmetry_loss_is_its_formula_and_zero_at_the_start():
    A = OPERATORS["Blur"]()
    b, x = pair(A)
    assert ISTANet(A, 3).symmetry(b, ISTANet(A, 3).iterates(b)) < 1e-24
    net = ISTANet(A, 2, channels=3, plus=True, generator=seeded())
    iterates = net.iterates(b)
    losses = []
    for layer, x_k in zip(net.layers, iterates, strict=False):
        r = x_k + layer.rho() * A.adjoint(b - A(x_k))
        d = layer.D(r.reshape(-1, 1, *A.domain))
        losses.append((layer.back(layer.F(d)) - d).norm() ** 2 / d.norm() ** 2)
    found = net.symmetry(b, iterates)
    torch.testing.assert_close(found, torch.stack(losses).mean(), **EXACT)


# ADMM-Net


def by_hand(A, b, prox, rho, stages):
    """ADMM with the identity for its analysis, systems by a factorisation."""
    M = dense(A)
    G = M.mH @ M + rho * torch.eye(M.shape[1], dtype=M.dtype)
    like = A.adjoint(b)
    back = vectors(like).to(M.dtype)

    def solved(rhs):
        x = torch.linalg.solve(G, rhs.T).T.reshape(like.shape)
        return x

    x, u_k = solved(back), torch.zeros_like(like)
    found = [x]
    for _ in range(stages):
        z = prox(x + u_k)
        u_k = u_k + x - z
        x = solved(back + rho * vectors(z - u_k))
        found.append(x)
    return torch.stack(found)


@torch.no_grad()
def pixels(net, theta):
    """Set filter 0 to the pixel, the function to the clip, and mute the others."""
    for layer in net.layers:
        layer.analysis.weight[0] = 0
        layer.analysis.weight[0, 0, 2, 2] = 1
        layer.synthesis.weight.zero_()
        layer.synthesis.weight[0, 0, 2, 2] = 1
        layer.S = PiecewiseLinear(len(layer.analysis.weight), theta)
    return net


def one_dual_step(v, theta):
    """The prox of total variation of both directions, by one step from the dual 0.

    p = clip(K v / (8 theta), -1, 1), z = v - theta K^T p; outside the image is 0.
    """
    z = v.clone()
    for axis in (-2, -1):
        ahead = torch.cat((v, torch.zeros_like(v.narrow(axis, 0, 1))), axis)
        p = (ahead.diff(dim=axis) / (8 * theta)).clamp(-1, 1)
        before = torch.cat((torch.zeros_like(p.narrow(axis, 0, 1)), p), axis)
        z = z + theta * before.diff(dim=axis)
    return z


@pytest.mark.parametrize("kind", ["Matrix", "Mask", "Blur", "Ray"])
def test_untrained_admm_net_is_admm_with_one_step_of_total_variation(kind):
    A = OPERATORS[kind]()
    b = A(0.2 * draw(2, 1, *A.domain))
    rho = 0.5 * scale_of(A)
    lam = 0.01 * rho  # 8 times of it is a node of the function
    net = ADMMNet(A, 4, channels=3, lam=lam, rho=rho, generator=seeded(), **TIGHT)
    expected = by_hand(A, b, lambda v: one_dual_step(v, 0.01), rho, 4)
    steep = expected.diff(dim=-1).abs() > 8 * 0.01
    assert steep.any() and not steep.all(), "some are cut"
    torch.testing.assert_close(net.iterates(b), expected, **EXACT)


@pytest.mark.parametrize("kind", ["Matrix", "Mask", "Blur", "Ray"])
def test_with_pixels_for_filters_it_is_admm_with_the_l1_norm(kind):
    A = OPERATORS[kind]()
    b = A(0.2 * draw(2, 1, *A.domain))
    rho = 0.5 * scale_of(A)
    lam = 0.1 * rho  # a node of the function
    net = pixels(ADMMNet(A, 4, channels=3, rho=rho, **TIGHT), lam / rho)
    expected = by_hand(A, b, lambda v: u.soft_threshold(v, 0.1), rho, 4)
    assert expected.abs().max() < 1, "within the nodes"
    torch.testing.assert_close(net.iterates(b), expected, **EXACT)


def test_it_ends_where_the_librarys_admm_does():
    A = OPERATORS["Mask"]()
    b = A(0.2 * draw(2, 1, *A.domain))
    net = pixels(ADMMNet(A, 300, channels=2, rho=0.5, tied=True, **TIGHT), 0.1)
    expected = u.admm(A, b, 0.05, rho=0.5, iterations=300).x
    torch.testing.assert_close(net(b), expected, rtol=0, atol=1e-9)


class Prox(nn.Module):
    """The proximal map of a penalty in the place of the learned one."""

    def __init__(self, penalty: Penalty, theta: float):
        super().__init__()
        self.penalty, self.theta = penalty, theta

    def forward(self, v):
        return v - self.penalty.prox(v, self.theta)


@pytest.mark.parametrize("kind", ["Mask", "Blur", "FourierSample"])
def test_with_the_prox_of_total_variation_it_is_admm(kind):
    A = OPERATORS[kind]()
    b = A(draw(2, 1, *A.domain))
    rho, lam, penalty = 0.7, 0.2, TV(tol=1e-15, iterations=20_000)
    net = ADMMNet(A, 3, rho=rho, **TIGHT)
    for layer in net.layers:
        layer.analysis, layer.synthesis = nn.Identity(), nn.Identity()
        layer.S = Prox(penalty, lam / rho)

    def prox(v):
        if not v.is_complex():
            return penalty.prox(v, lam / rho)
        return torch.complex(prox(v.real), prox(v.imag))

    expected = by_hand(A, b, prox, rho, 3)
    assert (prox(expected[0]) - expected[0]).abs().max() > 0.05
    torch.testing.assert_close(net.iterates(b), expected, rtol=0, atol=1e-11)


def test_the_multiplier_moves_by_eta():
    A = OPERATORS["Mask"]()
    b = A(0.2 * draw(2, 1, *A.domain))
    net = pixels(ADMMNet(A, 2, channels=2, rho=0.5, **TIGHT), 0.1)
    with torch.no_grad():
        net.layers[0].eta.fill_(0.3)
    x = by_hand(A, b, lambda v: v, 0.5, 0)[0]
    z = u.soft_threshold(x, 0.1)
    _, moved = net.layers[0]((x, torch.zeros_like(x)), *net.given(b, 0))
    torch.testing.assert_close(moved, 0.3 * (x - z), **EXACT)


def test_a_piecewise_linear_function_interpolates():
    S = PiecewiseLinear(2, theta=0.2, nodes=11)
    S.values.data = draw(2, 11)
    v = 1.5 * torch.rand(3, 2, 4, 5, generator=seeded(2)) * 2 - 1.5
    grid = torch.linspace(-1, 1, 11)
    found = S(v)
    for channel in range(2):
        i = torch.searchsorted(grid, v[:, channel].clamp(-1, 1)).clamp(1, 10)
        w = (v[:, channel].clamp(-1, 1) - grid[i - 1]) / 0.2
        q = S.values[channel]
        expected = (1 - w) * q[i - 1] + w * q[i]
        torch.testing.assert_close(found[:, channel], expected, **EXACT)
    at_ends = S(torch.tensor([-9.0, -1.0, 1.0, 9.0]).reshape(1, 1, 4).repeat(1, 2, 1))
    ends = S.values[:, [0, 0, -1, -1]]
    torch.testing.assert_close(at_ends[0], ends, **EXACT)
    loss = S(v.requires_grad_()).square().sum()
    slope = torch.autograd.grad(loss, S.values)[0][0, 4]
    with torch.no_grad():
        S.values[0, 4] += 1e-6
    change = (S(v).square().sum() - loss) / 1e-6
    assert change.item() == pytest.approx(slope.item(), rel=1e-4)


# Learned primal-dual


def linear(net, ridge, sigma=1.0, tau=1.0):
    """Set the filters so that both updates are those of a quadratic problem.

    p = (x, 2 x - x_last), d = (q, unused); all in the units of A / ||A||.
    """
    shrink = 1 / (1 + tau * ridge)
    keep = sigma / (1 + sigma)  # q + keep (A x_bar - b) - keep q
    dual = torch.tensor([[-keep, 0, keep, -keep], [0.0, 0, 0, 0]])
    x_next = torch.tensor([shrink, 0, -tau * shrink])
    now = torch.tensor([1.0, 0, 0])
    primal = torch.stack((x_next - now, 2 * x_next - now - torch.tensor([0.0, 1, 0])))
    for layer in net.layers:
        for part, last in ((layer.dual, dual), (layer.primal, primal)):
            weights = torch.eye(part[0].out_channels)
            first, middle, end = part[0], part[2], part[4]
            with torch.no_grad():
                for p in part.parameters():
                    p.fill_(1.0 if p.ndim == 1 else 0.0)
                for conv, w in (
                    (first, weights[:, : last.shape[1]]),
                    (middle, weights),
                    (end, last @ weights[: last.shape[1]]),
                ):
                    conv.bias.zero_()
                    centre = conv.kernel_size[0] // 2
                    conv.weight[:, :, centre, centre] = w


@behind
def test_untrained_learned_primal_dual_is_the_primal_dual_of_least_squares(kind):
    A = OPERATORS[kind]()
    b, _ = pair(A)
    net = LearnedPrimalDual(A, 5, channels=5, memory=3, generator=seeded())

    class Unit(Operator):
        def forward(self, x):
            return A(x) / net.norm

        def adjoint(self, b):
            return A.adjoint(b) / net.norm

        def norm(self, **_):
            return 1.0

    expected = u.primal_dual(
        Unit(A.domain), b / net.norm, 0.0, iterations=5, keep_iterates=True
    ).iterates
    torch.testing.assert_close(net.iterates(b), expected, **EXACT)


@behind
@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_with_linear_updates_it_is_chambolle_pock(kind, ridge):
    A = OPERATORS[kind]()
    b = single(A)
    net = LearnedPrimalDual(A, 6, channels=4, memory=2)
    linear(net, ridge)
    K, y = dense(A) / net.norm, vectors(b) / net.norm
    x, x_last = (vectors(torch.zeros_like(A.adjoint(b))).to(K.dtype) for _ in "ab")
    q = torch.zeros_like(y)
    for k in range(6):
        q = (q + (2 * x - x_last) @ K.T - y) / 2
        x_last, x = x, (x - q @ K.conj()) / (1 + ridge)
        found = vectors(net(b, depth=k + 1)).to(K.dtype)
        torch.testing.assert_close(found, x, **EXACT)


# MoDL


@behind
def test_untrained_modl_is_iterated_tikhonov(kind):
    A = OPERATORS[kind]()
    b = single(A)
    net = MoDL(A, 4, channels=3, **TIGHT)
    M, lam = dense(A), 0.05 * scale_of(A)
    G = M.mH @ M + lam * torch.eye(M.shape[1])
    back = vectors(A.adjoint(b)).to(M.dtype)
    x = back / scale_of(A)
    for depth in range(5):
        found = vectors(net(b, depth=depth)).to(M.dtype)
        torch.testing.assert_close(found, x, **EXACT)
        x = torch.linalg.solve(G, (back + lam * x).T).T


def test_weights_serve_another_depth():
    A = OPERATORS["Mask"]()
    b, _ = pair(A)
    one, five = (MoDL(A, k, channels=3, generator=seeded(k)) for k in (1, 5))
    with torch.no_grad():
        one.layers[0].residual[-1].weight.normal_(generator=seeded())
    five.load_state_dict(one.state_dict())
    assert torch.equal(five(b, depth=1), one(b))
    with pytest.raises(ValueError, match="depth = 2 but this network 3"):
        ISTANet(A, 3).load_state_dict(ISTANet(A, 2).state_dict())


def test_a_matrix_of_vectors_has_its_images_by_size():
    A = draw(5, 6)
    x = draw(2, 3, 2, 3)
    assert torch.equal(Matrix(A, (2, 3))(x), x.flatten(2) @ A.T)
