import pytest
import torch

import unroll as u
from tests.unroll.networks.cases import DEPTH, KEEP, LAM, problem


def test_a_large_epsilon_is_alista():
    A, b, _ = problem()
    far = u.ALISTAAT(A, DEPTH, lam=LAM, keep=KEEP, epsilon=1e15).iterates(b)
    alista = u.ALISTA(A, DEPTH, lam=LAM, keep=KEEP).iterates(b)
    torch.testing.assert_close(far, alista, rtol=0, atol=1e-12)


def test_an_entry_of_size_epsilon_has_half_the_threshold():
    net = u.ALISTAAT(torch.eye(1), depth=1, lam=0.5, keep=0, epsilon=0.2)
    b = torch.tensor([[1.0]])
    x = net.layers[0](torch.tensor([[0.2]]), b, *net.given(b, 0)[1:])
    torch.testing.assert_close(x, torch.tensor([[1.0 - 0.25]]))


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan")])
def test_refuses_epsilon(epsilon):
    with pytest.raises(ValueError, match=f"epsilon is {epsilon}: expected a positive"):
        u.ALISTAAT(torch.eye(2), epsilon=epsilon)
