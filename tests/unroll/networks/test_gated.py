import torch

import unroll as u
from tests.unroll.networks.cases import DEPTH, KEEP, LAM, problem


def opened(net):
    with torch.no_grad():
        for layer in net.layers:
            layer.gain.fill_(3.0)
            layer.overshoot.fill_(0.02)
    return net


def test_closed_gates_are_the_parent():
    A, b, _ = problem()
    alista = u.ALISTA(A, DEPTH, lam=LAM, keep=KEEP).iterates(b)
    assert torch.equal(u.AGLISTA(A, DEPTH, lam=LAM, keep=KEEP).iterates(b), alista)
    cpss = u.LISTACPSS(A, DEPTH, lam=LAM, keep=KEEP).iterates(b)
    assert torch.equal(u.GLISTA(A, DEPTH, lam=LAM, keep=KEEP).iterates(b), cpss)


def test_open_gates_follow_the_equations():
    """Two layers written out, in the letters of the docstrings."""
    A, b, _ = problem()
    ag, gl = u.AGLISTA(A, 2, lam=LAM, keep=KEEP[:2]), u.GLISTA(A, 2, lam=LAM, keep=0)
    for net in (opened(ag), opened(gl)):
        x = torch.zeros(6, 16)
        for layer, keep in zip(net.layers, net.keep, strict=True):
            theta, mu, nu, a = layer.theta(), 3.0, 1.0, 0.02
            g = 1 + theta * mu * torch.exp(-nu * x.abs())
            if net is ag:
                v = x + layer.gamma() * (b - (g * x) @ A.T) @ net.W
            else:
                v = g * x + (b - (g * x) @ A.T) @ layer.W
            tilde = u.support_select(v, theta, keep)
            x = tilde + a * (tilde - x) / ((tilde - x).abs() + 0.01)
        torch.testing.assert_close(net(b), x, rtol=0, atol=1e-13)


def test_the_gates_do_what_they_are_for():
    """Gain enlarges small entries most; overshoot moves about 0.02 further each."""
    layer = opened(u.AGLISTA(problem()[0], 1)).layers[0]
    x = torch.tensor([[0.0, 0.1, 2.0]])
    factor = layer.before(x, torch.tensor(0.5))[0, 1:] / x[0, 1:]
    assert 1 < factor[1] < factor[0] < 1 + 0.5 * 3
    moved = layer.after(torch.zeros(1, 3), torch.tensor([[0.0, -0.5, 2.0]]))
    expected = torch.tensor([[0.0, -0.52, 2.02]])
    torch.testing.assert_close(moved, expected, rtol=0, atol=5e-4)
