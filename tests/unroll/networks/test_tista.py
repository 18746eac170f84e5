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
