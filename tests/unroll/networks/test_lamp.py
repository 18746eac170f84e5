import pytest
import torch

import unroll as u
from tests.unroll.networks.cases import problem


def test_without_the_memory_of_the_residual_it_is_not_amp():
    """The Onsager term is what makes the difference, by many dB."""
    generator = torch.Generator().manual_seed(0)
    sparse = u.SparseCoding.gaussian(250, 500, generator, density=0.1)
    b, x = sparse.sample(30, generator)
    net = u.LAMP(sparse.A, 25)
    layer, forgetful = net.layers[0], net.start(b)
    for _ in range(25):
        code, _ = layer(forgetful, b, sparse.A)
        forgetful = code, torch.zeros_like(b)
    assert u.nmse_db(net(b), x) < u.nmse_db(forgetful[0], x) - 10


def test_thresholds_follow_the_noise_of_the_sample():
    A, b, _ = problem()
    net = u.LAMP(A, 3)
    torch.testing.assert_close(net(7 * b), 7 * net(b), rtol=0, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.0, -1.0])
def test_refuses_alpha(alpha):
    with pytest.raises(ValueError, match=f"alpha is {alpha}: expected a positive"):
        u.LAMP(problem()[0], alpha=alpha)


def test_refuses_columns_of_another_scale():
    A = problem()[0]
    with pytest.raises(ValueError, match="A has columns of mean squared norm 9, 9 at"):
        u.LAMP(3 * A)
    u.LAMP(torch.randn(50, 90) / 50**0.5)  # norms of about 1 are enough
