"""Estimates of the Jacobian against the dense one, in float64."""

import pytest
import torch
from torch import Tensor

from unroll.equilibrium import jacobian_penalty, spectral_radius


@pytest.fixture
def M() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 4, generator=generator, dtype=torch.float64) / 2


def test_the_penalty_is_the_mean_square_in_the_mean(M) -> None:
    z = torch.zeros(20_000, 4, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    found = jacobian_penalty(lambda z: z @ M.T, z, generator=generator)
    spread = found.std() / len(z) ** 0.5
    assert abs(found.mean() - M.square().sum() / 4) < 4 * spread


def test_the_gradient_of_the_penalty_by_value(M) -> None:
    """For one draw ``v``: ``|M^T v|^2 / n`` has the gradient ``2 v v^T M / n``."""
    M.requires_grad_()
    z = torch.zeros(1, 4, dtype=torch.float64)
    found = jacobian_penalty(
        lambda z: z @ M.T, z, generator=torch.Generator().manual_seed(2)
    )
    generator = torch.Generator().manual_seed(2)
    v = torch.randn(1, 4, generator=generator, dtype=torch.float64)[0]
    assert found.item() == pytest.approx((v @ M).square().mean().item(), rel=1e-12)
    (ours,) = torch.autograd.grad(found.sum(), M)
    expected = 2 * torch.outer(v, v @ M) / 4
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-14)


def test_the_penalty_under_no_grad_is_a_number(M) -> None:
    with torch.no_grad():
        found = jacobian_penalty(lambda z: z @ M.T, torch.zeros(3, 4).double())
    assert found.shape == (3,)


def test_the_radius_is_the_largest_eigenvalue(M) -> None:
    exact = torch.linalg.eigvals(M).abs().max().item()
    z = torch.zeros(3, 4, dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    found = spectral_radius(lambda z: z @ M.T, z, iterations=4000, generator=generator)
    assert found.tolist() == pytest.approx([exact] * 3, rel=2e-3)


def test_the_radius_is_not_the_norm() -> None:
    nilpotent = torch.tensor([[0.0, 9.0], [0.0, 0.0]], dtype=torch.float64)
    z = torch.zeros(2, 2, dtype=torch.float64)
    assert spectral_radius(lambda z: z @ nilpotent.T, z).tolist() == [0, 0]


def test_each_sample_has_its_own_radius() -> None:
    rates = torch.tensor([[0.5], [2.0]], dtype=torch.float64)
    z = torch.zeros(2, 3, dtype=torch.float64)
    found = spectral_radius(lambda z, rates: rates * z, z, rates)
    torch.testing.assert_close(found, rates[:, 0], rtol=1e-12, atol=0)


def test_refuses_by_name() -> None:
    with pytest.raises(ValueError, match=r"z has shape \(3,\)"):
        jacobian_penalty(torch.tanh, torch.zeros(3))
    with pytest.raises(TypeError, match=r"z has dtype torch\.int64"):
        spectral_radius(torch.tanh, torch.zeros(2, 3, dtype=torch.long))
    with pytest.raises(ValueError, match="iterations is 1: expected at least 2"):
        spectral_radius(torch.tanh, torch.zeros(2, 3), iterations=1)
