"""The data step: its solution, and the gradient that is one more solve."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from tests.unroll.images.cases import OPERATORS, TIGHT, draw, pair, seeded
from unroll.images import MoDL, regularised_solve
from unroll.operators import Matrix

behind = pytest.mark.parametrize("kind", OPERATORS)


def dense(A):
    n = A.zeros().numel()
    return A(torch.eye(n).reshape(n, *A.domain)).flatten(1).T


class Dense(MoDL):
    """MoDL with a factorisation in the place of the implicit layer, by autograd."""

    def iterates(self, b, depth=None):
        layer, x = self.layers[0], self.start(b)
        M, found = dense(self.A), [x]
        for _ in range(self.depth):
            lam = layer.lam()
            z = x.flatten(0, 1)[:, None]
            if x.is_complex():
                step = torch.complex(layer.residual(z.real), layer.residual(z.imag))
            else:
                step = layer.residual(z)
            z = x + step.reshape(x.shape)
            G = M.mH @ M + lam * torch.eye(M.shape[1])
            rhs = (self.A.adjoint(b) + lam * z).flatten(-2).flatten(0, 1)
            x = torch.linalg.solve(G, rhs.to(G.dtype).T).T.reshape(x.shape)
            found.append(x)
        return torch.stack(found)


@pytest.mark.parametrize("kind", [k for k in OPERATORS if k != "Convolution"])
def test_modls_gradient_is_autograd_through_the_dense_solve(kind):
    A = OPERATORS[kind]()
    b, x = pair(A)
    grads = []
    for make in (MoDL, Dense):
        net = make(A, 3, channels=3, generator=seeded(), **TIGHT)
        with torch.no_grad():
            last = net.layers[0].residual[-1].weight
            last += 0.3 * torch.randn(last.shape, generator=seeded(4))
        b_in = b.clone().requires_grad_()
        loss = (net.iterates(b_in)[1:] - x).abs().square().sum()
        grads.append(torch.autograd.grad(loss, [b_in, *net.parameters()]))
    for implicit, explicit in zip(*grads, strict=True):
        assert explicit.any()
        torch.testing.assert_close(implicit, explicit, rtol=1e-10, atol=1e-10)


@behind
def test_the_solution_solves(kind):
    A = OPERATORS[kind]()
    rhs = A.adjoint(pair(A)[0])
    x = regularised_solve(A, rhs, torch.tensor(0.4), **TIGHT)
    back = A.adjoint(A(x)) + 0.4 * x
    torch.testing.assert_close(back, rhs, rtol=0, atol=1e-12 * rhs.abs().max().item())


@behind
def test_first_and_second_derivatives_by_differences(kind):
    A = OPERATORS[kind]()
    rhs = A.adjoint(pair(A)[0][:1]).requires_grad_()
    rho = torch.tensor(0.4 * A.norm() ** 2, requires_grad=True)

    def solve(rhs, rho):
        return regularised_solve(A, rhs, rho, **TIGHT)

    assert gradcheck(solve, (rhs, rho), fast_mode=True)
    assert gradgradcheck(solve, (rhs, rho), fast_mode=True, atol=1e-4, rtol=1e-3)


def test_nothing_of_the_iterations_is_kept():
    """The graph holds the solution and the number, however long the solve was."""
    A = Matrix(draw(30, 40), (5, 8))
    rhs, rho = draw(2, 5, 8).requires_grad_(), torch.tensor(0.01, requires_grad=True)
    kept = []

    def pack(tensor):
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        regularised_solve(A, rhs, rho, **TIGHT)
    assert [tuple(t.shape) for t in kept] == [(2, 5, 8), ()]


@pytest.mark.parametrize(
    ("options", "error", "shown"),
    [
        ({"tol": 0.0}, ValueError, "tol is 0.0: expected a positive"),
        ({"iterations": 0}, ValueError, "iterations is 0: expected at least 1"),
        ({"iterations": 1.5}, TypeError, "iterations is 1.5: expected an int"),
    ],
)
def test_refuses_by_name(options, error, shown):
    with pytest.raises(error, match=shown):
        regularised_solve(Matrix(draw(2, 2)), draw(1, 2), torch.tensor(1.0), **options)
