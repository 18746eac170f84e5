import pytest
import torch

import unroll as u
from tests.unroll.networks.cases import DEPTH, KEEP, LAM, disturbed, problem


def test_a_layer_uses_the_analytic_weight_with_its_own_ridge():
    A, b, _ = problem()
    net = disturbed(u.RidgeALISTA(A, DEPTH, lam=LAM, keep=KEEP, ridge=0.5), 0.3)
    x = torch.zeros(6, 16)
    for layer, keep in zip(net.layers, KEEP, strict=True):
        W = u.analytic_weight(A, ridge=layer.ridge().item())
        v = x + layer.gamma() * (b - x @ A.T) @ W
        x = u.support_select(v, layer.theta(), keep)
    torch.testing.assert_close(net(b), x, rtol=0, atol=1e-12)


def test_a_small_ridge_is_alista():
    A, b, _ = problem()
    alista = u.ALISTA(A, DEPTH, lam=LAM, keep=KEEP).iterates(b)
    small = u.RidgeALISTA(A, DEPTH, lam=LAM, keep=KEEP, ridge=1e-13).iterates(b)
    torch.testing.assert_close(small, alista, rtol=0, atol=1e-9)


def test_what_the_ridge_trades():
    """More ridge, less noise through W and more crosstalk: for n = 2 m, up to 3 dB."""
    generator = torch.Generator().manual_seed(0)
    A = u.SparseCoding.gaussian(100, 200, generator).A
    weights = [u.analytic_weight(A, ridge=ridge) for ridge in (0.0, 0.3, 3.0, 1e6)]
    noise = torch.stack([W.square().sum(dim=0).mean() for W in weights])
    crosstalk = torch.stack([(W.T @ A).square().sum() for W in weights])
    assert (noise.diff() < 0).all() and (crosstalk.diff() > 0).all()
    assert 10 * torch.log10(noise[0] / noise[-1]) == pytest.approx(3.0, abs=0.3)
    torch.testing.assert_close(weights[-1], A, rtol=0, atol=1e-4)


@pytest.mark.parametrize("ridge", [0.0, -1.0])
def test_refuses_ridge(ridge):
    with pytest.raises(ValueError, match=f"ridge is {ridge}: expected a positive"):
        u.RidgeALISTA(problem()[0], ridge=ridge)
