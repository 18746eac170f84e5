"""The proximal map of the nuclear norm, the nearest matrix, and their gradients."""

import pytest
import torch
from torch.autograd import gradcheck

from unroll.lowrank import singular_value_threshold
from unroll.lowrank.singular import balanced_factors
from unroll.penalties import NuclearNorm

WIDE, TALL = (4, 7), (7, 4)


def matrices(shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, *shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("shape", [WIDE, TALL, (5, 5)])
def test_the_threshold_is_the_prox_of_the_nuclear_norm(shape):
    X, theta = matrices(shape), torch.tensor([0.3, 1.1, 2.0], dtype=torch.float64)
    found = singular_value_threshold(X, theta)
    expected = NuclearNorm().prox(X, theta[:, None, None])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert torch.linalg.matrix_rank(found[2]) < 4


@pytest.mark.parametrize("shape", [WIDE, TALL, (5, 5)])
def test_its_gradient_is_that_of_finite_differences(shape):
    X, theta = matrices(shape), torch.tensor([0.3, 1.1, 2.0], dtype=torch.float64)
    assert gradcheck(
        singular_value_threshold, (X.requires_grad_(), theta.requires_grad_())
    )


def test_its_gradient_is_right_where_singular_values_are_equal_or_zero():
    """There autograd through the decomposition is NaN."""
    X = torch.diag_embed(torch.tensor([[3.0, 3.0, 0.0, 0.0]], dtype=torch.float64))
    assert gradcheck(lambda X: singular_value_threshold(X, 1.0), (X.requires_grad_(),))
    torch.linalg.svd(X)[0].sum().backward()
    assert X.grad.isnan().any()


@pytest.mark.parametrize("shape", [WIDE, TALL])
def test_balanced_factors_are_those_of_the_nearest_matrix(shape):
    X = matrices(shape)
    L, R = balanced_factors(X, 2)
    U, s, Vh = torch.linalg.svd(X, full_matrices=False)
    nearest = U[..., :2] @ torch.diag_embed(s[:, :2]) @ Vh[:, :2]
    torch.testing.assert_close(L @ R.mT, nearest, rtol=0, atol=1e-12)
    torch.testing.assert_close(L.mT @ L, R.mT @ R, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [WIDE, TALL])
def test_the_gradient_of_their_product_is_that_of_finite_differences(shape):
    def product(X):
        L, R = balanced_factors(X, 2)
        return L @ R.mT

    assert gradcheck(product, (matrices(shape).requires_grad_(),))


def test_the_factors_of_a_matrix_of_lower_rank_are_finite_and_so_is_their_gradient():
    X = torch.zeros(1, 4, 5, dtype=torch.float64)
    X[0, 1, 2] = 2.0
    L, R = balanced_factors(X.requires_grad_(), 3)
    torch.testing.assert_close(L @ R.mT, X.detach(), rtol=0, atol=1e-12)
    (L @ R.mT).square().sum().backward()
    assert X.grad.isfinite().all()
