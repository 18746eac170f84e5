import torch

import unroll as u
from tests.unroll.networks.cases import DEPTH, KEEP, LAM, disturbed, problem


def test_is_lista_with_the_second_matrix_coupled_to_the_first():
    """W1 = W^T and W2 = I - W1 A, for weights as far from ISTA's as training goes."""
    A, b, _ = problem()
    for keep in (0, KEEP):
        coupled = disturbed(u.LISTACPSS(A, DEPTH, lam=LAM, keep=keep))
        free = u.LISTASS(A, DEPTH, lam=LAM, keep=keep)
        with torch.no_grad():
            for ours, theirs in zip(coupled.layers, free.layers, strict=True):
                theirs.W1.copy_(ours.W.T)
                theirs.W2.copy_(torch.eye(16) - ours.W.T @ A)
                theirs.theta.load_state_dict(ours.theta.state_dict())
        expected = free.iterates(b)
        torch.testing.assert_close(coupled.iterates(b), expected, rtol=0, atol=1e-12)


def test_keep_zero_is_lista_cp():
    A, b, _ = problem()
    plain = disturbed(u.LISTACP(A, DEPTH, lam=LAM))
    selecting = disturbed(u.LISTACPSS(A, DEPTH, lam=LAM, keep=0))
    assert torch.equal(selecting.iterates(b), plain.iterates(b))


def test_support_selection_saves_large_entries_from_the_bias():
    """With an orthonormal A one layer without noise recovers what it selects."""
    x = torch.tensor([[2.0, 0.0, -1.0, 0.0]])
    kept = u.LISTACPSS(torch.eye(4), depth=1, lam=0.5, keep=2)(x)
    shrunk = u.LISTACP(torch.eye(4), depth=1, lam=0.5)(x)
    torch.testing.assert_close(kept, x)
    torch.testing.assert_close(shrunk, torch.tensor([[1.5, 0.0, -0.5, 0.0]]))
