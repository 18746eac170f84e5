import pytest
import torch

import unroll as u
from tests.unroll.networks.cases import problem
from unroll.networks.tista import _posterior_mean


@pytest.mark.parametrize("tau2", [0.003, 0.2, 2.0])
def test_the_denoiser_is_the_posterior_mean(tau2):
    """Against the integrals over x of prior times likelihood, by quadrature."""
    density, y = 0.1, torch.linspace(-4, 4, 33)[:, None]
    x = torch.linspace(-12, 12, 40_001)
    log_prior = -x.square() / 2 - 0.5 * torch.log(torch.tensor(2 * torch.pi))
    log_seen = -(y - x).square() / (2 * tau2)
    weight = density * torch.exp(log_prior + log_seen) * (x[1] - x[0])
    off = (1 - density) * torch.exp(-y.square() / (2 * tau2))
    expected = (weight * x).sum(dim=1) / (weight.sum(dim=1) + off[:, 0])
    log_odds = torch.log(torch.tensor(density / (1 - density)))
    mean = _posterior_mean(y, torch.tensor(tau2), log_odds)[:, 0]
    torch.testing.assert_close(mean, expected, rtol=0, atol=1e-9)


def test_nothing_overflows_far_from_the_prior():
    y = torch.tensor([[1e3, -1e3, 0.0]])
    mean = _posterior_mean(y, torch.tensor(1e-8), -2.0)
    torch.testing.assert_close(mean, y)


def test_learns_one_number_a_layer():
    net = u.TISTA(problem()[0], depth=7)
    assert sum(parameter.numel() for parameter in net.parameters()) == 7
    assert torch.equal(net.constants()["gamma"].round(decimals=12), torch.ones(7))


def test_noiseless_codes_are_recovered_further():
    generator = torch.Generator().manual_seed(0)
    sparse = u.SparseCoding.gaussian(60, 90, generator, density=0.05, snr_db=None)
    b, x = sparse.sample(50, generator)
    told = u.TISTA(sparse.A, 40, density=0.05, snr_db=None)
    doubtful = u.TISTA(sparse.A, 40, density=0.05, snr_db=10.0)
    assert u.nmse_db(told(b), x) < u.nmse_db(doubtful(b), x) - 10


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (dict(density=0.0), r"density is 0\.0: expected 0 < density < 1"),
        (dict(density=1.0), r"density is 1\.0"),
        (dict(snr_db=float("inf")), "snr_db is inf: expected dB, or None"),
    ],
)
def test_refuses_statistics(options, shown):
    with pytest.raises(ValueError, match=shown):
        u.TISTA(problem()[0], **options)


@pytest.mark.parametrize(("m", "n", "rank"), [(40, 15, 15), (20, 40, 9), (20, 20, 20)])
@pytest.mark.parametrize("gamma", [1.0, 0.6])
def test_the_variance_is_that_of_the_error_for_any_shape_and_rank(m, n, rank, gamma):
    """E |(I - gamma A^+ A) e + gamma A^+ w|^2 / n over many errors e and noises w."""
    generator = torch.Generator().manual_seed(0)
    A = torch.randn(m, rank, generator=generator)
    A = A @ torch.randn(rank, n, generator=generator) / rank
    net = u.TISTA(A, 1, density=0.5, snr_db=10.0)
    W, noise = torch.linalg.pinv(A).T, 0.01
    e = 0.3 * torch.randn(20_000, n, generator=generator)
    w = 0.1 * torch.randn(20_000, m, generator=generator)
    after = e - gamma * (e @ A.T) @ W + gamma * w @ W
    exact = 0.3**2 * (n + (gamma**2 - 2 * gamma) * net.rank) / n
    exact += gamma**2 * noise * W.square().sum().item() / n
    assert net.rank == rank
    assert after.square().mean().item() == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("snr_db", [None, 40.0])
@pytest.mark.parametrize(("m", "n"), [(60, 20), (20, 20)])
def test_tall_and_square_dictionaries_recover_exactly(m, n, snr_db):
    generator = torch.Generator().manual_seed(0)
    sparse = u.SparseCoding.gaussian(m, n, generator, density=0.2, snr_db=snr_db)
    b, x = sparse.sample(50, generator)
    net = u.TISTA(sparse.A, 4, density=0.2, snr_db=snr_db)
    code = net(b)
    code.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())
    if m > n:
        best = torch.linalg.lstsq(sparse.A, b.T).solution.T
        assert u.nmse_db(code, x) <= u.nmse_db(best, x) + 0.1
    assert u.nmse_db(code, x) < (-20 if snr_db else -60)


def test_a_rank_below_m_does_not_spoil_it():
    """What A cannot see stays unknown; what it sees is recovered as with full rank."""
    generator = torch.Generator().manual_seed(0)
    full = u.SparseCoding.gaussian(40, 80, generator, density=0.05)
    repeated = torch.cat([full.A, full.A[:20]])  # 60 rows of rank 40
    b, x = full.sample(200, generator)
    net = u.TISTA(repeated, 20, density=0.05)
    assert net.rank == 40
    both = torch.cat([b, b[:, :20]], dim=1)
    reached = u.nmse_db(net(both), x)
    assert reached < u.nmse_db(u.TISTA(full.A, 20, density=0.05)(b), x) + 3 < -15
