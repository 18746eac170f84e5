import pytest
import torch

import unroll as u
from tests.unroll.networks.cases import DEPTH, KEEP, LAM, disturbed, problem


def test_learns_two_numbers_a_layer():
    net = u.ALISTA(problem()[0], depth=7)
    assert sum(parameter.numel() for parameter in net.parameters()) == 14
    torch.testing.assert_close(net.W, u.analytic_weight(net.A))


def test_tilista_from_the_analytic_weight_is_alista():
    A, b, _ = problem()
    alista = u.ALISTA(A, DEPTH, lam=LAM, keep=KEEP)
    tilista = u.TiLISTA(A, DEPTH, lam=LAM, keep=KEEP, weight=u.analytic_weight(A))
    assert torch.equal(tilista.iterates(b), alista.iterates(b))
    assert "W" in dict(tilista.named_parameters())
    assert "W" not in dict(alista.named_parameters())
    assert alista.state_dict().keys() == tilista.state_dict().keys()


def test_the_theorem_of_alista_without_noise():
    """No false positives, and an error that falls linearly, with the ideal threshold.

    Liu, Chen, Wang and Yin 2019, theorem 1: gamma = 1 and theta = mu * (largest l1
    error of the batch), mu the generalised coherence of W. Then |x_k - x*|_1 shrinks by
    at least (2 s - 1) mu per layer, s the number of non-zeros: proved for 2 s - 1 < 1 /
    mu.
    """
    generator = torch.Generator().manual_seed(0)
    A = u.SparseCoding.gaussian(60, 90, generator).A
    W = u.coherence_weight(A, iterations=100)
    mu = u.generalized_coherence(W, A)
    s = 3
    assert (2 * s - 1) * mu < 1
    x = torch.zeros(40, 90)
    for row in x:
        row[torch.randperm(90, generator=generator)[:s]] = torch.randn(
            s, generator=generator
        )
    b = x @ A.T
    net = u.ALISTA(A, depth=8, keep=0, weight=W)
    code = torch.zeros_like(x)
    error = (code - x).abs().sum(dim=1).max()
    for layer in net.layers:
        layer.gamma, layer.theta = u.Positive(torch.ones(())), u.Positive(mu * error)
        code = layer(code, b, A, W, 0)
        assert not code[x == 0].any(), "a false positive"
        last, error = error, (code - x).abs().sum(dim=1).max()
        assert error <= (2 * s - 1) * mu * last * (1 + 1e-9)
    assert torch.equal(net(b), code)
    assert u.nmse_db(code, x) < -20


@pytest.mark.parametrize("kind", [u.ALISTA, u.NAALISTA])
def test_the_weight_can_be_chosen(kind):
    A, b, _ = problem()
    nets = [
        kind(A, DEPTH, weight=weight)
        for weight in (None, A, u.symmetric_weight(A), u.coherence_weight(A))
    ]
    codes = [net(b) for net in nets]
    for i in range(4):
        for j in range(i):
            assert not torch.allclose(codes[i], codes[j], atol=1e-3)


@pytest.mark.parametrize(
    "net", [u.ALISTA, u.TiLISTA, u.ALISTAAT, u.AGLISTA, u.NAALISTA]
)
def test_refuses_a_weight_that_does_not_fit(net):
    A, *_ = problem()
    with pytest.raises(
        ValueError, match=r"weight has shape \(16, 10\): expected \(10, 16"
    ):
        net(A, weight=A.T)
    with pytest.raises(TypeError, match=r"weight has dtype torch\.float32 but A"):
        net(A, weight=A.float())
    with pytest.raises(ValueError, match=r"weight\[0, 0\] is nan"):
        net(A, weight=A * float("nan"))


def test_refuses_a_zero_atom():
    A = problem()[0].clone()
    A[:, 3] = 0
    with pytest.raises(ValueError, match="A has a zero column 3"):
        u.ALISTA(A)


def test_constants_over_depth():
    net = disturbed(u.ALISTA(problem()[0], DEPTH))
    constants = net.constants()
    assert set(constants) == {"gamma", "theta"}
    expected = torch.stack([layer.theta() for layer in net.layers])
    assert torch.equal(constants["theta"], expected)
    assert not constants["theta"].requires_grad


@pytest.mark.parametrize(
    ("m", "n", "depth", "first", "last"),
    [
        (250, 500, 16, 6, 65),  # the paper's: 1.2 % of 500, at most 13 %
        (250, 500, 12, 6, 65),
        (250, 500, 4, 15, 60),  # the counts of the published logs: 15, 30, 45, 60
        (250, 1000, 16, 6, 65),
        (250, 2000, 16, 4, 65),  # not 24 and 260, more than there are measurements
        (250, 4000, 16, 3, 48),  # half as fast as at 1000
        (60, 40, 16, 0, 5),
    ],
)
def test_default_counts_follow_measurements_and_depth(m, n, depth, first, last):
    A = torch.randn(m, n, generator=torch.Generator().manual_seed(0))
    keep = u.ALISTA(A, depth).keep
    assert (keep[0], keep[-1], len(keep)) == (first, last, depth)
    assert keep == sorted(keep) and keep[-1] < m
