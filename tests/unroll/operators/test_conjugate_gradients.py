import pytest
import torch

from unroll.operators import FourierSample, conjugate_gradients


@pytest.mark.parametrize("kind", [torch.float64, torch.complex128])
def test_solves_as_a_factorisation_does(generator, kind):
    root = torch.empty(12, 12, dtype=kind).normal_(generator=generator)
    M = root @ root.mH + 0.1 * torch.eye(12)
    rhs = torch.empty(5, 12, dtype=kind).normal_(generator=generator)
    rhs[1] *= 1e6  # every sample by its own size
    rhs[2] = 0
    expected = torch.linalg.solve(M, rhs.T).T
    found = conjugate_gradients(lambda x: x @ M.T, rhs)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)
    assert torch.equal(found[2], rhs[2])


def test_as_many_iterations_as_eigenvalues(generator):
    """A* A of a sampled Fourier transform has two: 0 and 1."""
    A = FourierSample.random((6, 6), 0.5, generator)
    rhs = torch.empty(2, 6, 6, dtype=torch.complex128).normal_(generator=generator)
    calls = []

    def M(x):
        calls.append(len(x))
        return A.adjoint(A(x)) + 0.5 * x

    x = conjugate_gradients(M, rhs)
    assert len(calls) == 2
    torch.testing.assert_close(A.adjoint(A(x)) + 0.5 * x, rhs, rtol=0, atol=1e-12)


def test_stops_where_it_was_told_to(generator):
    d = torch.logspace(0, 4, 30)
    rhs = torch.randn(3, 30, generator=generator)
    rough = conjugate_gradients(lambda x: d * x, rhs, tol=1e-2)
    off = (d * rough - rhs).norm(dim=1) / rhs.norm(dim=1)
    assert (off <= 1e-2 * (1 + 1e-9)).all() and (off > 1e-4).all()
    few = conjugate_gradients(lambda x: d * x, rhs, iterations=1)
    alpha = rhs.square().sum(dim=1) / (d * rhs**2).sum(dim=1)
    torch.testing.assert_close(few, alpha[:, None] * rhs, rtol=0, atol=1e-12)


def test_refuses_by_name():
    with pytest.raises(ValueError, match="tol is 0: expected a positive"):
        conjugate_gradients(lambda x: x, torch.ones(1, 2), tol=0)
    with pytest.raises(ValueError, match="iterations is 0"):
        conjugate_gradients(lambda x: x, torch.ones(1, 2), iterations=0)
